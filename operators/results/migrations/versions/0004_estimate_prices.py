"""Estimate what the machine of each result costs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("stage_runs", sa.Column("price", sa.Double(), nullable=True))
    op.add_column("stage_runs", sa.Column("currency", sa.String(length=3), nullable=True))
    op.add_column("stage_runs", sa.Column("price_list", sa.String(length=64), nullable=True))
