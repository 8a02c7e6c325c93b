"""The ledger in Postgres: what was believed, wanted and done, and a hash chain that proves it.

`entries` says what a record becomes, `append` writes it, `verify` doubts it, `reading` answers
questions; only `agents.ledger.sink` writes. The tables are in schemas/ledger/.
"""
