"""Findings → decisions: what to try, when to go on, when to go back."""
