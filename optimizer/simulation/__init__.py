"""Invented worlds, and lives of the whole loop in them."""
