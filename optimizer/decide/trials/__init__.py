"""The trial of a segment: its arms, its gate, and its moves."""
