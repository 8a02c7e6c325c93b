"""Layout: how the arms of a segment are laid out over its units."""
