"""Scores for analyzers and comparisons over labelled data."""
