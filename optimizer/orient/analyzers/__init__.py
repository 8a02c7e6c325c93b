"""The analyzers, one file each, in the order in which a window is shown to them."""

from optimizer.orient.analysis import Analyzer

ANALYZERS: tuple[Analyzer, ...] = ()
"""All there are; the laws in tests/laws/test_analyzers.py hold for each."""
