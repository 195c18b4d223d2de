"""PostgreSQL stops at once in the middle of publishing, and starts again: the next try ends right, and nothing is doubled."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, event, select
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

from algorithms.contract.case import Case, Home
from algorithms.contract.catalogue import pipeline
from algorithms.contract.errors import TransientError
from algorithms.contract.execute import execute
from algorithms.contract.inbox import admit
from algorithms.contract.record import states
from algorithms.contract.store import open_store
from operators.cost import LIST, Prices
from operators.publish import publish
from operators.results.audit import lines
from operators.results.database import transaction, upgrade
from operators.results.heads import verify
from operators.results.models import Base
from operators.results.rows import record_rows
from tests.services import Postgres, postgres

CORONARY = pipeline("coronary")
WAIT_S = 120
"""Until a try of publishing comes to the moment at which the server stops, on a busy machine."""

TIMES = {"recorded_at", "published_at", "at", "previous", "hash"}
"""What differs between two databases that were told the same: when, and what is computed from that."""


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """A case whose stages have all run, in stub mode."""
    home = Home(tmp_path / "home")
    (tmp_path / "study").mkdir()
    (tmp_path / "study/image").write_text("image")
    made = admit(tmp_path / "study", "coronary", home)
    for stage in CORONARY.stages:
        execute(CORONARY, stage, made, home, {}, stub=True)
    return made


def record(case: Case, url: str, store: Path) -> None:
    """Publish a case and record it, as a try of `Publish` does."""
    found = states(CORONARY, case, {}, stub=True)
    published = publish(case, found, open_store(store.as_uri()), 1.0)
    record_rows(url, CORONARY, case, found, published, prices=Prices.read(LIST), given={}, stub=True)


def rows(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Return what every table says, without the times."""
    with transaction(url) as connection:
        return {
            table.name: [
                tuple(value for name, value in row._mapping.items() if name not in TIMES)
                for row in connection.execute(select(table).order_by(*table.primary_key))
            ]
            for table in Base.metadata.sorted_tables
        }


def until_it_ends(case: Case, url: str, store: Path) -> int:
    """Try as Airflow does, after each transient error, and return how many tries it took."""
    for tries in range(1, 100):
        try:
            record(case, url, store)
        except TransientError:
            time.sleep(0.2)
        else:
            return tries
    raise AssertionError("publishing never ended")


@pytest.mark.slow
@pytest.mark.parametrize("statement", [1, 5, 20, "before the commit", "after the commit"])
def test_a_database_that_stops_while_a_case_is_recorded(case: Case, tmp_path: Path, statement: int | str) -> None:
    """At a statement, with all written and nothing committed, and with all committed and nobody told.

    The last one is the hard one: the try failed, yet everything is there.
    """
    with postgres() as server:
        undisturbed, disturbed = server.url(), server.url(database="disturbed")
        engine = create_engine(undisturbed, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql("CREATE DATABASE disturbed")
        for url in (undisturbed, disturbed):
            upgrade(url)
        record(case, undisturbed, tmp_path / "store")
        stopping = Stopping(server, statement)
        starter = threading.Thread(target=stopping.start_again)
        starter.start()
        with stopping:
            tries = until_it_ends(case, disturbed, tmp_path / "store")
        starter.join()

        assert stopping.stopped.is_set()
        assert tries >= 2
        assert rows(disturbed) == rows(undisturbed)
        with transaction(disturbed) as connection:
            assert [line.action for line, _ in lines(connection)] == ["published"]
            assert verify(connection, open_store((tmp_path / "store").as_uri())).findings == ()


class Stopping:
    """Stops the server once, at a moment of the first transaction that writes, and starts it again a second later."""

    def __init__(self, server: Postgres, moment: int | str) -> None:
        self.server = server
        self.moment = moment
        self.written = 0
        self.stopped = threading.Event()

    def __enter__(self) -> None:
        event.listen(Engine, "before_cursor_execute", self._statement)
        event.listen(Engine, "commit", self._commit)

    def __exit__(self, *_: object) -> None:
        event.remove(Engine, "before_cursor_execute", self._statement)
        event.remove(Engine, "commit", self._commit)

    def start_again(self) -> None:
        if self.stopped.wait(WAIT_S):
            time.sleep(1)
            self.server.start()

    def _statement(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        self.written += statement.startswith("INSERT")
        if self.written == self.moment:
            self._stop()

    def _commit(self, connection: Connection) -> None:
        if not self.written or self.stopped.is_set():
            return
        if self.moment == "after the commit":
            connection.connection.dbapi_connection.commit()
            self._stop()
            connection.exec_driver_sql("SELECT 1")  # the driver sees no error of a commit that was done; the client must
        elif self.moment == "before the commit":
            self._stop()

    def _stop(self) -> None:
        if not self.stopped.is_set():
            self.server.stop()
            self.stopped.set()
