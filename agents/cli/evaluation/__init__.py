"""Verbs that measure: `evaluate` over labelled data, `simulate` in invented worlds."""
