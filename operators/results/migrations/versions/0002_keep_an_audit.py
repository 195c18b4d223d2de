"""Keep an audit that only grows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")

REFUSAL = "a line of the audit is never changed or deleted"

POSTGRESQL = (
    f"""
    CREATE OR REPLACE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$
    """,
    """
    CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_only_grows()
    """,
    """
    CREATE TRIGGER audit_stays BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows()
    """,
)

SQLITE = tuple(
    f"CREATE TRIGGER audit_refuses_{what.lower()} BEFORE {what} ON audit BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    for what in ("UPDATE", "DELETE")
)


def upgrade() -> None:
    """Make the audit, and let nobody change or remove a line of it."""
    op.create_table(
        "audit",
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("case_id", sa.String(length=16), nullable=True),
        sa.Column("site", sa.String(length=32), nullable=True),
        sa.Column("detail", DOCUMENT, nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.CheckConstraint("case_id IS NULL OR length(case_id) = 16", name=op.f("ck_audit_opaque_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit")),
        # Two lines after the same one would be a fork.
        sa.UniqueConstraint("previous", name=op.f("uq_audit_previous")),
    )
    op.create_index(op.f("ix_audit_case_id_action"), "audit", ["case_id", "action"])
    for statement in POSTGRESQL if op.get_bind().dialect.name == "postgresql" else SQLITE:
        op.execute(statement)
