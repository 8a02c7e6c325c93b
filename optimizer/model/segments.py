"""Names of segments that no declaration gives."""

OTHER = "other"
"""The segment of what is not listed."""
WHOLE = "*"
"""All segments together."""
