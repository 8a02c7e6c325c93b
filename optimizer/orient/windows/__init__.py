"""From panes to windows: admitted, buffered until time has passed them, and summed."""
