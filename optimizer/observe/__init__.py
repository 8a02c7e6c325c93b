"""Calls become panes: told apart, counted once, summed in integers, closed by the clock's ticks."""
