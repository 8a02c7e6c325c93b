"""Shares of the units are whole basis points."""

WHOLE_BPS = 10_000
"""All of them: the weights of a segment's arms add up to this."""
