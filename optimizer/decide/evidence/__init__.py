"""What is known of the variants of a segment, and what their calls have earned."""
