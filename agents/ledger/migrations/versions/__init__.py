"""One revision for each file of schemas/ledger/."""
