"""Comparison: a candidate against its concurrent control: effects, verdicts, hard limits."""
