"""Another version of the prompt; its text stays with the caller."""

from optimizer.decide.levers.lever import OneField

LEVER = OneField("prompt", lambda _, declared: declared.levers.prompt)
