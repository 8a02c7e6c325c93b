"""How each arm does by itself: levels of its metrics, and what the target spends."""
