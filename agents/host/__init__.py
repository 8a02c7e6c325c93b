"""Runs any stage on Faust: the only room that speaks it."""
