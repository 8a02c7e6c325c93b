"""Health: whether an experiment can be believed, by sample ratio, crossover, adoption and lag."""
