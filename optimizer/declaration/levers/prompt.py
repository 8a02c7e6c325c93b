"""Another version of the prompt; its text stays with the caller."""

from optimizer.declaration.levers.lever import OneField

LEVER = OneField("prompt", lambda _, declared: declared.levers.prompt)
