"""Verbs around a declaration: `check`, `apply`, `targets`, `models`, `prices`."""
