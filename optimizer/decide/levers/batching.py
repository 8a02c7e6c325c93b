"""How many calls are sent together, and how long the first of them waits."""

from optimizer.decide.levers.lever import OneField

LEVER = OneField("batching", lambda _, declared: declared.levers.batching)
