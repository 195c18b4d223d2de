"""Make the first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Make the tables of cases, results, measurements and reports."""
    op.create_table(
        "cases",
        sa.Column("case_id", sa.String(length=16), nullable=False),
        sa.Column("pipeline", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=True),
        sa.Column("report_key", sa.String(length=64), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(case_id) = 16", name=op.f("ck_cases_opaque_id")),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_cases")),
    )
    op.create_table(
        "reports",
        sa.Column("case_id", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("reasons", DOCUMENT, nullable=False),
        sa.Column("uris", DOCUMENT, nullable=False),
        sa.Column("hashes", DOCUMENT, nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.case_id"], name=op.f("fk_reports_cases")),
        sa.PrimaryKeyConstraint("case_id", "key", name=op.f("pk_reports")),
    )
    op.create_table(
        "stage_runs",
        sa.Column("case_id", sa.String(length=16), nullable=False),
        sa.Column("stage", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("run", sa.String(length=200), nullable=False),
        sa.Column("heartwood", sa.String(length=32), nullable=False),
        sa.Column("image", sa.String(length=200), nullable=False),
        sa.Column("parameters", DOCUMENT, nullable=False),
        sa.Column("inputs", DOCUMENT, nullable=False),
        sa.Column("outputs", DOCUMENT, nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("cpu_seconds", sa.Double(), nullable=True),
        sa.Column("peak_memory_mib", sa.Double(), nullable=True),
        sa.Column("failure_kind", sa.String(length=16), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("manifest_uri", sa.Text(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.case_id"], name=op.f("fk_stage_runs_cases")),
        sa.PrimaryKeyConstraint("case_id", "stage", "key", name=op.f("pk_stage_runs")),
    )
    op.create_index(op.f("ix_stage_runs_stage_version"), "stage_runs", ["stage", "version"])

    op.create_table(
        "measurements",
        sa.Column("case_id", sa.String(length=16), nullable=False),
        sa.Column("stage", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("word", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["case_id", "stage", "key"],
            ["stage_runs.case_id", "stage_runs.stage", "stage_runs.key"],
            name=op.f("fk_measurements_stage_runs"),
        ),
        sa.PrimaryKeyConstraint("case_id", "stage", "key", "subject", "name", name=op.f("pk_measurements")),
    )
    op.create_index(op.f("ix_measurements_name_subject"), "measurements", ["name", "subject"])


def downgrade() -> None:
    op.drop_table("measurements")
    op.drop_table("stage_runs")
    op.drop_table("reports")
    op.drop_table("cases")
