"""A candidate against its concurrent control: effects, verdicts, hard limits."""
