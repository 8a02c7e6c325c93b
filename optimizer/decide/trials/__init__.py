"""What is on trial in a segment: its arms, its gate, and how it moves."""
