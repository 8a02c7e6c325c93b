"""Simulation: invented worlds, and the whole loop run in them."""
