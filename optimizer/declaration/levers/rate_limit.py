"""What one caller may ask for in a second or a minute."""

from optimizer.declaration.levers.lever import OneField

LEVER = OneField("rate_limit", lambda _, declared: declared.levers.rate_limit)
