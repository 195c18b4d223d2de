"""Keep which parameters somebody chose for a case, so that it can be answered again with them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    # Null of cases that were answered before: what was chosen for them is read from their reports.
    op.add_column("cases", sa.Column("chosen", DOCUMENT, nullable=True))
