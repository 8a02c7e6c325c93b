"""What users declare of a target, and what follows from it."""
