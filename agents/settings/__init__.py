"""Every setting of the shell, by who needs it."""
