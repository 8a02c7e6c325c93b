"""Whether answers are given again, and how alike a question must be."""

from optimizer.declaration.levers.lever import OneField

LEVER = OneField("caching", lambda _, declared: declared.levers.caching)
