"""Row-level security with real roles of a real PostgreSQL: who sees what, and who may write it."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from sqlalchemy import func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError

from algorithms.contract.errors import DataError
from operators.results.__main__ import main
from operators.results.audit import Action, append, head
from operators.results.database import open_engine, transaction, upgrade, upsert
from operators.results.models import Audit, Base, Case, Measurement, Report, StageRun
from operators.results.roles import let_read, let_write
from tests.operators.results.test_database import RUN

SITES = {"north": "0123456789abcdef", "south": "fedcba9876543210"}
REPORT = {"key": "f" * 64, "verdict": "answered", "reasons": [], "uris": {}, "hashes": {}}
TABLES = (Case, StageRun, Measurement, Report, Audit)


@pytest.fixture
def owner(empty_postgresql: str) -> str:
    """A database with a writer, a reader of each site, and a case of each site that the writer has recorded."""
    upgrade(empty_postgresql)
    engine = open_engine(empty_postgresql)
    with engine.begin() as connection:
        for role in ("writer", "north_reader", "south_reader", "nobody"):
            if connection.exec_driver_sql("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).first() is None:
                connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
    engine.dispose()
    assert main(["writer", "writer", "--url", empty_postgresql]) == 0
    for site in SITES:
        assert main(["reader", f"{site}_reader", site, "--url", empty_postgresql]) == 0
    for site in SITES:
        record(as_role(empty_postgresql, "writer"), site)
    return empty_postgresql


def as_role(url: str, role: str) -> str:
    return make_url(url).set(username=role).render_as_string(hide_password=False)


def record(url: str, site: str) -> None:
    """Record a case as `Publish` does."""
    of_case = {"case_id": SITES[site]}
    number = of_case | {"stage": RUN["stage"], "key": RUN["key"], "subject": "LAD", "name": "ffr", "value": 0.74}
    with transaction(url) as connection:
        upsert(connection, Case, [of_case | {"pipeline": "coronary", "region": "local", "site": site}])
        upsert(connection, StageRun, [RUN | of_case])
        upsert(connection, Measurement, [number])
        upsert(connection, Report, [REPORT | of_case])
        append(connection, action=Action.PUBLISHED, **of_case, site=site, detail={"artefacts": 1})


def seen(url: str) -> dict[str, list[str]]:
    """Return the cases of which somebody sees rows, by table."""
    with transaction(url) as connection:
        return {
            model.__tablename__: list(connection.execute(select(model.case_id).order_by(model.case_id)).scalars())
            for model in TABLES
        }


@pytest.mark.parametrize("site", SITES)
def test_a_site_sees_its_own_rows_only(owner: str, site: str) -> None:
    """In every table, also in those that have no column for the site."""
    assert seen(as_role(owner, f"{site}_reader")) == {model.__tablename__: [SITES[site]] for model in TABLES}


def test_the_platform_sees_every_site(owner: str) -> None:
    """The writer continues one chain of audit over all sites, and records a case again without a trace."""
    record(as_role(owner, "writer"), "north")

    rows = seen(as_role(owner, "writer"))

    assert rows["cases"] == rows["measurements"] == sorted(SITES.values())
    assert len(rows["audit"]) == 3
    with transaction(as_role(owner, "writer")) as connection:
        assert head(connection).count == 3


def test_a_role_may_read_several_sites(owner: str) -> None:
    """A group practice with two codes."""
    with transaction(owner) as connection:
        let_read(connection, "north_reader", "south")

    assert seen(as_role(owner, "north_reader"))["reports"] == sorted(SITES.values())


def test_a_site_writes_nothing(owner: str) -> None:
    """It was granted reading; its attempt is refused before any policy is asked."""
    with pytest.raises(ProgrammingError, match="permission denied"), transaction(as_role(owner, "north_reader")) as connection:
        connection.exec_driver_sql("UPDATE cases SET verdict = 'answered'")


@pytest.mark.parametrize(("site", "written"), [("north", True), ("south", False)], ids=["its own site", "another one"])
def test_even_with_the_right_to_insert_a_site_stays_its_own(owner: str, site: str, written: bool) -> None:
    """Somebody granted too much by hand: the policy of the table still holds."""
    with transaction(owner) as connection:
        connection.exec_driver_sql("GRANT INSERT ON cases, measurements TO north_reader")
    insert_case = "INSERT INTO cases (case_id, pipeline, region, site, recorded_at)"
    insert_number = "INSERT INTO measurements (case_id, stage, key, subject, name)"

    for statement in (
        f"{insert_case} VALUES ('{'a' * 16}', 'coronary', 'local', '{site}', now())",
        f"{insert_number} VALUES ('{SITES[site]}', 'ffr', '{RUN['key']}', '', 'ffr_min')",
    ):
        refusal = nullcontext() if written else pytest.raises(ProgrammingError, match="row-level security")
        with refusal, transaction(as_role(owner, "north_reader")) as connection:
            connection.exec_driver_sql(statement)


@pytest.mark.parametrize("statement", ["UPDATE audit SET site = 'x'", "DELETE FROM audit", "TRUNCATE audit"])
def test_the_platform_has_no_right_to_change_the_audit(owner: str, statement: str) -> None:
    """Beside the triggers, which the owner of the table could take away: the writer is not the owner."""
    for text in (statement, "ALTER TABLE audit DISABLE TRIGGER ALL", "INSERT INTO site_roles VALUES ('nobody', '*')"):
        refusal = pytest.raises(ProgrammingError, match=r"permission denied|must be owner")
        with refusal, transaction(as_role(owner, "writer")) as connection:
            connection.exec_driver_sql(text)


def test_a_setting_of_the_session_opens_nothing(owner: str) -> None:
    """Any role may set a custom setting; neither the region's check nor a policy asks for one."""
    row = {"case_id": "a" * 16, "pipeline": "p", "region": "us-east-1", "site": "north"}
    refusal = pytest.raises(DataError, match="another region")
    with refusal, transaction(as_role(owner, "writer")) as connection:
        connection.exec_driver_sql("SET heartwood.region = 'us-east-1'")
        upsert(connection, Case, [row])
    with transaction(as_role(owner, "north_reader")) as connection:
        connection.exec_driver_sql("SET heartwood.site = 'south'")
        assert connection.execute(select(func.count()).select_from(Case)).scalar_one() == 1


def test_a_stranger_sees_nothing(owner: str) -> None:
    """A role that nobody let in."""
    with pytest.raises(ProgrammingError, match="permission denied"):
        seen(as_role(owner, "nobody"))


def test_an_upgrade_grants_anew(owner: str) -> None:
    """A later revision may bring a table; who could read and write before can after it."""
    with transaction(owner) as connection:
        connection.exec_driver_sql(f"REVOKE ALL ON {', '.join(Base.metadata.tables)} FROM writer, north_reader")

    upgrade(owner)

    assert len(seen(as_role(owner, "writer"))["cases"]) == 2
    assert len(seen(as_role(owner, "north_reader"))["cases"]) == 1


@pytest.mark.parametrize(("role", "site"), [("no_such_role", "north"), ("nobody", "Sankt Anna"), ("nobody", "*")])
def test_only_a_role_that_exists_reads_a_site_that_has_a_code(owner: str, role: str, site: str) -> None:
    """Every site is the platform's own right, and nobody gets it by a slip of the keyboard."""
    assert main(["reader", role, site, "--url", owner]) == 65


def test_sqlite_has_no_roles(tmp_path) -> None:
    """There the check of the region is all; said rather than pretended."""
    with pytest.raises(DataError, match="SQLite has no roles"), transaction(f"sqlite:///{tmp_path}/r.db") as connection:
        let_write(connection, "writer")
