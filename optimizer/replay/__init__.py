"""Worlds that never were and logs that have been: the same four stages fold them in memory."""
