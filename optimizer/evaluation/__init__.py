"""Evaluation: scores of analyzers and comparisons over labelled data."""
