"""Decisions → configurations: what is served to whom, and where each rollout stands."""
