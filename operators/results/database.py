"""Opening, migrating and writing the results database."""

from __future__ import annotations

import fcntl
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Table, create_engine, event, inspect, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, OperationalError

from algorithms.contract.errors import DataError, TransientError
from operators import settings
from operators.results import roles
from operators.results.models import Base

log = logging.getLogger(__name__)

# It tells of every look at the database; what changes there we tell ourselves.
logging.getLogger("alembic").setLevel(logging.WARNING)

VERSION_TABLE = "heartwood_version"
"""Not Alembic's default name, so that the tables may lie in Airflow's own database."""

REGION_CHECK = "ck_cases_region"
"""The constraint that lets cases of one region in; its text is where the region of a database is written."""

LOCK_TIMEOUT_S = 30.0
"""How long a writer of SQLite waits for another one."""


@contextmanager
def transaction(url: str) -> Iterator[Connection]:
    """Give a connection in a transaction on tables of the newest revision; SQLite's are made or upgraded on the way.

    Raises
    ------
    DataError
        If a database other than SQLite is not at the newest revision, or a case is of another region than the database.
    TransientError
        If the database is out of reach or stays locked.
    """
    engine = open_engine(url)
    try:
        if engine.dialect.name == "sqlite":
            upgrade(url)
        elif (found := revision(engine)) != _scripts().get_current_head():
            raise DataError(f"the results database is at revision {found}; run `python -m operators.results upgrade` once")
        with engine.begin() as connection:
            yield connection
    except OperationalError as error:
        # The statement and its values stay out of the message.
        raise TransientError(f"the results database does not answer ({type(error.orig).__name__})") from None
    except IntegrityError as error:
        if REGION_CHECK not in str(error.orig):
            raise
        raise DataError("the results database is of another region than the case; answer it in its own region") from None
    finally:
        engine.dispose()


def open_engine(url: str) -> Engine:
    """Return an engine; SQLite gets its folder, its foreign keys, patience, and one writer at a time."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": LOCK_TIMEOUT_S})
    event.listen(engine, "connect", _prepare_sqlite)
    # Python's driver would begin at the first write: what was read before it, such as the audit's head, could be old by then.
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def upgrade(url: str) -> None:
    """Bring the tables to the newest revision; two callers at once take turns.

    A new database becomes one of the deployment's region.

    Raises
    ------
    DataError
        If the database is one of another region.
    """
    here = settings.load()
    engine = open_engine(url)
    try:
        with _one_at_a_time(engine), engine.connect() as connection:
            config = _config()
            config.attributes |= {"connection": connection, "region": here.region, "site": here.site}
            before = _revision(connection)
            if before != (newest := _scripts().get_current_head()):
                command.upgrade(config, "head")
                log.info("brought the results database from revision %s to %s", before, newest)
            require_region(connection, here.region)
            if connection.dialect.name == "postgresql":
                roles.grant_again(connection)
            connection.commit()
    finally:
        engine.dispose()


def require_region(connection: Connection, region: str) -> None:
    """Raise `DataError` if the database is not one of this region."""
    checks = {check["name"]: check["sqltext"] for check in inspect(connection).get_check_constraints("cases")}
    literal = re.search(r"'([a-z0-9-]+)'", checks.get(REGION_CHECK, ""))
    there = literal[1] if literal else "no region at all"
    if there != region:
        raise DataError(
            f"the results database is of region {there}, this deployment of region {region}; give it a database of its own"
        )


def revision(engine: Engine) -> str | None:
    """Return the revision that the database is at, ``None`` for one without our tables."""
    with engine.connect() as connection:
        return _revision(connection)


def upsert(connection: Connection, model: type[Base], rows: Iterable[dict[str, Any]]) -> None:
    """Write rows; one that is there already is updated, except for the time at which it was first recorded."""
    table = model.__table__
    assert isinstance(table, Table)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    keys = [column.name for column in table.primary_key]
    for row in rows:
        insert = dialect.insert(table).values(**row)
        changed = {name: insert.excluded[name] for name in row if name not in keys}
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=changed))


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")


@contextmanager
def _one_at_a_time(engine: Engine) -> Iterator[None]:
    # Of two first users of a SQLite file one makes the tables; the lock ends with the process, however that ends.
    if engine.dialect.name != "sqlite" or not engine.url.database:
        yield
        return
    with Path(f"{engine.url.database}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
