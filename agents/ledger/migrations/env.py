"""Runs the revisions on the connection that `agents.ledger.connection` hands over, in its transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
