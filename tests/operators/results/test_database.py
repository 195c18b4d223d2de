"""The results database: the same on SQLite and PostgreSQL, made by migrations, written twice without a trace."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import func, inspect, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from algorithms.contract.errors import DataError, TransientError
from operators.results.__main__ import main
from operators.results.database import VERSION_TABLE, open_engine, revision, transaction, upsert
from operators.results.models import Base, Case, Measurement, StageRun

CASE = {"case_id": "0123456789abcdef", "pipeline": "coronary", "verdict": "answered", "report_key": "k" * 64}
RUN = {
    "case_id": CASE["case_id"],
    "stage": "ffr",
    "key": "f" * 64,
    "state": "done",
    "version": 1,
    "run": "algorithms.coronary.ffr:run",
    "heartwood": "0.1.0",
    "image": "",
    "parameters": {"viscosity_pa_s": 0.0035},
    "inputs": {"tree": "a" * 64},
    "outputs": {"ffr": "b" * 64},
    "seconds": 1.5,
}


def test_the_migrations_make_the_tables_that_the_models_describe(url: str) -> None:
    """Alembic compares the database with the models and finds nothing to do."""
    engine = open_engine(url)

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_writing_the_same_rows_twice_changes_nothing(url: str) -> None:
    """A publish task that is tried again writes everything again: same rows, same times of first recording."""

    def write_and_read() -> list[tuple[object, ...]]:
        with transaction(url) as connection:
            upsert(connection, Case, [CASE])
            upsert(connection, StageRun, [RUN])
            upsert(connection, Measurement, [{**_identity(), "subject": "LAD", "name": "ffr", "value": 0.74, "low": 0.68}])
        with transaction(url) as connection:
            return [
                tuple(row) for model in (Case, StageRun, Measurement) for row in connection.execute(select(model.__table__))
            ]

    first, second = write_and_read(), write_and_read()

    assert len(first) == 3
    assert first == second


def test_a_newer_verdict_replaces_the_older_in_place(url: str) -> None:
    """A case has one row; what was recorded first is still told by its time."""
    with transaction(url) as connection:
        upsert(connection, Case, [CASE])
        before = connection.execute(select(Case.recorded_at)).scalar_one()
        upsert(connection, Case, [CASE | {"verdict": "held"}])

        assert connection.execute(select(Case.verdict, Case.recorded_at)).all() == [("held", before)]


def test_what_is_recorded_comes_back_in_its_type(url: str) -> None:
    """Documents are documents on both databases, and a number keeps its digits."""
    with transaction(url) as connection:
        upsert(connection, Case, [CASE])
        upsert(connection, StageRun, [RUN])
        row = connection.execute(select(StageRun.__table__)).one()

    assert row.parameters == {"viscosity_pa_s": 0.0035}
    assert row.seconds == 1.5
    assert row.failure_message is None


@pytest.mark.parametrize("case_id", ["Jane Doe", "", "0123456789abcdef0"])
def test_only_an_opaque_id_enters_the_database(url: str, case_id: str) -> None:
    """The last door: whatever was wrong before it, a name has not sixteen characters often enough to go unseen."""
    with pytest.raises(DBAPIError, match=r"opaque_id|too long"), transaction(url) as connection:
        upsert(connection, Case, [CASE | {"case_id": case_id}])


def test_a_number_belongs_to_a_result(url: str) -> None:
    """Foreign keys hold on SQLite too, where they are off unless asked for."""
    with pytest.raises(IntegrityError), transaction(url) as connection:
        upsert(connection, Measurement, [{**_identity(), "subject": "", "name": "ffr", "value": 0.8}])


def test_a_failed_transaction_leaves_nothing(url: str) -> None:
    """A case without its numbers would look answered."""
    with pytest.raises(IntegrityError), transaction(url) as connection:
        upsert(connection, Case, [CASE, CASE | {"case_id": "short"}])
    with transaction(url) as connection:
        assert connection.execute(select(func.count()).select_from(Case)).scalar_one() == 0


def test_sqlite_makes_its_tables_at_first_use_even_by_two_at_once(tmp_path: Path) -> None:
    """Two cases that finish in the same moment on a new laptop."""
    url = f"sqlite:///{tmp_path}/new/folder/results.db"
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            with transaction(url) as connection:
                upsert(connection, Case, [CASE | {"case_id": f"{number:016x}"}])
        except BaseException as error:  # noqa: BLE001 - looked at below
            errors.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    with transaction(url) as connection:
        assert connection.execute(select(func.count()).select_from(Case)).scalar_one() == 4


def test_a_server_database_is_upgraded_by_a_person(empty_postgresql: str) -> None:
    """Workers of two versions must not change the tables under each other; the message says what to run."""
    engine = open_engine(empty_postgresql)
    assert revision(engine) is None

    with pytest.raises(DataError, match=r"python -m operators\.results upgrade"), transaction(empty_postgresql):
        pass
    assert main(["upgrade", "--url", empty_postgresql]) == 0
    with transaction(empty_postgresql):
        assert "cases" in inspect(engine).get_table_names()
    engine.dispose()


def test_a_database_out_of_reach_is_transient(tmp_path: Path) -> None:
    """The task is tried again; the message holds neither the URL with its password nor a statement with its values."""
    folder = tmp_path / "results.db"
    folder.mkdir()

    with pytest.raises(TransientError, match="does not answer") as caught, transaction(f"sqlite:///{folder}"):
        pass
    assert str(tmp_path) not in str(caught.value)


def _identity() -> dict[str, str]:
    return {"case_id": "0123456789abcdef", "stage": "ffr", "key": "f" * 64}
