"""Guard regions and sites: a check of the one region, and on PostgreSQL row-level security by site.

The region is written into the check as a literal, since any role may set a setting of PostgreSQL for itself.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SITES = "SELECT r.site FROM site_roles r WHERE r.role = current_user"
EVERY_SITE = f"'*' IN ({SITES})"

POLICIES = {
    "cases": f"{EVERY_SITE} OR site IN ({SITES})",
    "audit": f"{EVERY_SITE} OR site IN ({SITES})",
    # The case is looked up with the rights of who asks, so it is there for whom it may be.
    "stage_runs": "EXISTS (SELECT 1 FROM cases c WHERE c.case_id = stage_runs.case_id)",
    "measurements": "EXISTS (SELECT 1 FROM cases c WHERE c.case_id = measurements.case_id)",
    "reports": "EXISTS (SELECT 1 FROM cases c WHERE c.case_id = reports.case_id)",
    "site_roles": "role = current_user",
}


def upgrade() -> None:
    """Give rows a region and a site, and guard both in the database."""
    # Codes of [a-z0-9-] only (`settings.load`), so they can stand in a statement.
    region, site = context.config.attributes["region"], context.config.attributes["site"]
    postgresql = op.get_bind().dialect.name == "postgresql"
    for column, text in (("region", region), ("site", site)):
        check = f" CONSTRAINT ck_cases_region CHECK (region = '{region}')" if column == "region" else ""
        op.execute(f"ALTER TABLE cases ADD COLUMN {column} VARCHAR(32) DEFAULT '{text}' NOT NULL{check}")
        if postgresql:  # cases that were there have it now; SQLite cannot take a default back
            op.execute(f"ALTER TABLE cases ALTER COLUMN {column} DROP DEFAULT")
    op.create_index(op.f("ix_cases_site"), "cases", ["site"])
    op.create_table(
        "site_roles",
        sa.Column("role", sa.String(length=63), nullable=False),
        sa.Column("site", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("role", "site", name=op.f("pk_site_roles")),
    )
    for table, rows in POLICIES.items() if postgresql else ():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY of_ones_sites ON {table} USING ({rows}) WITH CHECK ({rows})")
