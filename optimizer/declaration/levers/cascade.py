"""A cheaper model first, and the variant's own where the first is not sure enough."""

from optimizer.declaration.levers.lever import OneField
from optimizer.model.variant import cascades_of

LEVER = OneField("cascade", lambda variant, declared: cascades_of(declared, variant.model))
