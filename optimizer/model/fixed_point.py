"""Sums that must merge exactly are integers of small units: as many go into one of what people read."""

NANO_USD = 10**9
"""Into a US dollar."""
MILLIONTHS = 10**6
"""Into the best score, 1."""
