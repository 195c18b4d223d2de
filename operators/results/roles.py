"""Who may do what in the results database on PostgreSQL: readers see one site or several, writers are the platform.

The roles themselves are made by whoever runs the server, with a password or without; nothing here makes or drops one.
The owner of the tables is held by no policy: it upgrades and grants, and the platform works as a writer.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, text

from algorithms.contract.case import CODE
from algorithms.contract.errors import DataError
from operators.results.models import SiteRole

EVERY_SITE = "*"

ROWS = "cases, stage_runs, measurements, reports"
"""The tables that a writer changes and takes rows out of; the audit only grows."""

READ = f"{ROWS}, audit, site_roles, heartwood_version"


def let_read(connection: Connection, role: str, site: str) -> None:
    """Let a role read the rows of a site, besides those of other sites that it may read already.

    Raises
    ------
    DataError
        If there is no such role or the site is no code, or the database has no roles.
    """
    if not CODE.fullmatch(site):
        raise DataError("a site is a code of 1 to 32 lower-case letters, digits and hyphens; name an assigned one")
    _grant(connection, role, site)


def let_write(connection: Connection, role: str) -> None:
    """Let a role do the platform's work: write the rows of every site, and add to the audit.

    Raises
    ------
    DataError
        If there is no such role, or the database has no roles.
    """
    _grant(connection, role, EVERY_SITE)


def grant_again(connection: Connection) -> None:
    """Grant all known roles what they may do with the tables of this revision."""
    for role, site in connection.execute(select(SiteRole.role, SiteRole.site)).all():
        if _exists(connection, role):
            _grant(connection, role, site)


def _grant(connection: Connection, role: str, site: str) -> None:
    if connection.dialect.name != "postgresql":
        raise DataError("SQLite has no roles: whoever can open the file sees every site; use PostgreSQL for several sites")
    if not _exists(connection, role):
        raise DataError("the database server has no such role; make it first, with CREATE ROLE")
    connection.execute(delete(SiteRole).where(SiteRole.role == role, SiteRole.site == site))
    connection.execute(insert(SiteRole).values(role=role, site=site))
    name = connection.dialect.identifier_preparer.quote_identifier(role)
    schema = connection.dialect.identifier_preparer.quote_identifier(connection.scalar(text("SELECT current_schema()")) or "")
    statements = [f"GRANT USAGE ON SCHEMA {schema} TO {name}", f"GRANT SELECT ON {READ} TO {name}"]
    if site == EVERY_SITE:
        statements += [
            f"GRANT INSERT, UPDATE, DELETE ON {ROWS} TO {name}",
            f"REVOKE ALL ON audit, site_roles FROM {name}",
            f"GRANT SELECT, INSERT ON audit TO {name}",
            f"GRANT SELECT ON site_roles TO {name}",
        ]
    for statement in statements:
        connection.exec_driver_sql(statement)


def _exists(connection: Connection, role: str) -> bool:
    return connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}) is not None
