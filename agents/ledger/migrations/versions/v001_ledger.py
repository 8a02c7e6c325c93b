"""The first tables: events, the chain, and how far it has come."""

from alembic import op

from agents.ledger.connection import sql

revision = "001"
down_revision = None


def upgrade() -> None:
    """Run the SQL as it stands."""
    op.get_bind().exec_driver_sql(sql("V001__ledger.sql"))
