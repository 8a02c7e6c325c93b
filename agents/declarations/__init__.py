"""The YAML that users write, read with line and column of every mistake."""
