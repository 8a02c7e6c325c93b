"""Verbs that read what has been: the ledger, explanations, the quarantine."""
