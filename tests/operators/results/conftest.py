"""A results database of its own for each test, on each kind of server."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from operators.results.database import upgrade
from tests.services import Postgres, postgres


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgres]:
    """A PostgreSQL server for all tests of the results database."""
    with postgres() as server:
        yield server


@pytest.fixture
def empty_postgresql(postgresql: Postgres) -> str:
    """A database without tables: the audit is for ever, so no test can clear up after another."""
    engine = create_engine(postgresql.url(), isolation_level="AUTOCOMMIT")
    name = f"results_{secrets.token_hex(4)}"
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return postgresql.url(database=name)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/results.db"
    return str(request.getfixturevalue("empty_postgresql"))


@pytest.fixture
def url(empty: str) -> str:
    """A database of each kind with the newest tables and no rows."""
    upgrade(empty)
    return empty
