"""Windows: panes are admitted, buffered until time has passed them, and summed."""
