"""Alembic's entry: env.py and one revision for each file of schemas/ledger/."""
