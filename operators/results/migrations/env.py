"""Alembic's entry: runs the migrations on the connection that `operators.results.database.upgrade` hands over."""

from alembic import context

from operators.results.database import VERSION_TABLE
from operators.results.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
