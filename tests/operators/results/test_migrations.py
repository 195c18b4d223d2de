"""Upgrades: a database with rows in it keeps them, and becomes one of its deployment's region for ever."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import select

from algorithms.contract.errors import DataError
from operators.results.__main__ import main
from operators.results.database import open_engine, transaction, upgrade, upsert
from operators.results.models import Case, Measurement, Report, StageRun
from tests.operators.airflow_home import PROJECT

CASE_ID = "0123456789abcdef"
KEY = "f" * 64
ROWS_OF_0001 = (
    f"INSERT INTO cases VALUES ('{CASE_ID}', 'coronary', 'answered', '{KEY}', '2026-11-01 12:00:00.000000')",
    f"INSERT INTO reports VALUES ('{CASE_ID}', '{KEY}', 'answered', '[]', '{{}}', '{{}}', '2026-11-01 12:00:00.000000')",
    f"""INSERT INTO stage_runs VALUES ('{CASE_ID}', 'ffr', '{KEY}', 'done', 1, 'a.b:run', '0.1.0', '', '{{}}', '{{}}', '{{}}',
        1.5, 1.5, 100, NULL, NULL, NULL, '2026-11-01 12:00:00.000000')""",
    f"INSERT INTO measurements VALUES ('{CASE_ID}', 'ffr', '{KEY}', 'LAD', 'ffr', 0.74, 0.68, 0.79, NULL)",
)


def make_0001(url: str) -> None:
    """Make a database as the first revision made it, with a case in it."""
    config = Config()
    config.set_main_option("script_location", str(PROJECT / "operators/results/migrations"))
    engine = open_engine(url)
    with engine.connect() as connection:
        config.attributes |= {"connection": connection}
        command.upgrade(config, "0001")
        for statement in ROWS_OF_0001:
            connection.exec_driver_sql(statement)
        connection.commit()
    engine.dispose()


def test_rows_of_the_first_revision_stay(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They get the region and the site of the deployment that they were recorded in; nothing else about them changes."""
    make_0001(empty)
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__REGION", "eu-central-1")
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__SITE", "s-017")

    upgrade(empty)

    with transaction(empty) as connection:
        assert connection.execute(select(Case.case_id, Case.region, Case.site, Case.verdict)).all() == [
            (CASE_ID, "eu-central-1", "s-017", "answered")
        ]
        assert connection.execute(select(Measurement.value, Measurement.low, Measurement.high)).all() == [(0.74, 0.68, 0.79)]
        assert connection.execute(select(StageRun.key)).all() == connection.execute(select(Report.key)).all() == [(KEY,)]


def test_a_row_of_another_region_does_not_get_in(url: str) -> None:
    """The last door, whatever program writes: the region is a literal in the database, and no setting of a session."""
    row = {"case_id": CASE_ID, "pipeline": "coronary", "region": "us-east-1", "site": "s-017"}

    with pytest.raises(DataError, match="another region than the case"), transaction(url) as connection:
        upsert(connection, Case, [row])
    with transaction(url) as connection:
        upsert(connection, Case, [row | {"region": "local"}])
    with pytest.raises(DataError, match="another region"), transaction(url) as connection:
        connection.exec_driver_sql("UPDATE cases SET region = 'us-east-1'")


def test_a_database_never_changes_its_region(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A deployment that was moved needs a database of its own; 65 says that a person must act."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__REGION", "eu-central-1")

    with caplog.at_level(logging.ERROR):
        code = main(["upgrade", "--url", url])

    assert code == 65
    assert "is of region local, this deployment of region eu-central-1" in caplog.text
    if url.startswith("sqlite"):  # which every transaction upgrades
        with pytest.raises(DataError, match="a database of its own"), transaction(url):
            pass


def test_a_database_whose_region_was_taken_out_is_refused(empty_postgresql: str) -> None:
    """Somebody dropped the check: rows of any region might be in there."""
    upgrade(empty_postgresql)
    with transaction(empty_postgresql) as connection:
        connection.exec_driver_sql("ALTER TABLE cases DROP CONSTRAINT ck_cases_region")

    with pytest.raises(DataError, match="no region at all"):
        upgrade(empty_postgresql)


def test_an_upgrade_that_was_cut_off_leaves_the_old_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite too: the whole upgrade is one transaction, so the next one starts from what was there."""
    url = f"sqlite:///{tmp_path}/results.db"
    make_0001(url)
    with monkeypatch.context() as patch:
        patch.setattr("operators.results.database.require_region", _cut_off)
        with pytest.raises(KeyboardInterrupt):
            upgrade(url)

    upgrade(url)

    with transaction(url) as connection:
        assert connection.execute(select(Case.region)).scalar_one() == "local"


def _cut_off(*_: object) -> None:
    raise KeyboardInterrupt
