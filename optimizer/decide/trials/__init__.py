"""What is tried in a segment: its parts, and how it moves."""
