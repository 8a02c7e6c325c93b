"""Levels: the metrics of what is served, and the target's spend."""
