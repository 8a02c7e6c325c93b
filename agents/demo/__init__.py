"""The demo: the assembled product in front of a gateway whose models answer with recorded outcomes."""
