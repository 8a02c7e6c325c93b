"""Findings: their ids, their numbers and their windows."""
