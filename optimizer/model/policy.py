"""The policies of an organisation: rules whose conditions are written in CEL, and the result of each."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from optimizer.model.call import Name

Category = Literal["cost", "compliance", "quality", "security"]
Effect = Literal["deny", "require_approval", "limit", "warn"]
Outcome = Literal["deny", "undecidable", "require_approval", "limit", "warn", "allow"]
"""`undecidable`: a `deny` rule that could not be answered, which denies what is to be decided."""

MOST_POLICIES = 16
MOST_RULES = 4


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule: what happens to a change while a condition holds."""

    condition: Annotated[str, Meta(min_length=1, max_length=400)]
    """CEL without loops; docs/policies.md lists what it may speak of."""
    action: Effect
    message: Annotated[str, Meta(max_length=160)] = ""
    """What people are told; empty: the condition itself."""
    share_bps: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    """Only with `limit`: the largest share of a segment that a candidate may have, in basis points."""


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some rules under one name."""

    id: Name
    name: Annotated[str, Meta(max_length=128)] = ""
    type: Category
    rules: Annotated[tuple[Rule, ...], Meta(min_length=1, max_length=MOST_RULES)]


class PolicyResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of a policy for a decision: that of its gravest rule."""

    policy_id: str
    outcome: Outcome
    reason: str = ""
    """The rule's message or condition; for what could not be answered the reason."""
    share_bps: int | None = None
    """With `limit`: the share it allows."""
