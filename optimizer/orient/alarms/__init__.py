"""Alarms: analyzers' observations become findings that open, go on and close."""
