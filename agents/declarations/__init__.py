"""What users write in YAML, read with line and column of every mistake."""
