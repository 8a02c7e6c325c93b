"""Observe turns calls into panes: duplicates dropped, sums in integers, panes closed by the clock's ticks."""
