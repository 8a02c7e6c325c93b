"""How many calls are sent together, and how long the first of them waits."""

from optimizer.declaration.levers.lever import OneField

LEVER = OneField("batching", lambda _, declared: declared.levers.batching)
