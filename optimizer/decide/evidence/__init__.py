"""The evidence about a segment: what is known of its variants, and what their calls have earned."""
