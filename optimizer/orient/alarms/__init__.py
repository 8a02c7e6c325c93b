"""From what analyzers observe to findings that open, go on and close."""
