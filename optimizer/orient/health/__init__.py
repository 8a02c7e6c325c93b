"""Whether an experiment can be believed: sample ratio, crossover, adoption, lag."""
