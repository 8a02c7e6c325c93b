"""The state of a target in decide, and the record of a decision."""
