"""What decide remembers of a target, and how a decision is recorded."""
