"""The words of people and other systems to the loop: commands, alerts and verdicts, on `findings`."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from optimizer.model.call import Name

CommandKind = Literal[
    "freeze",
    "unfreeze",
    "approve",
    "reject",
    "pause",
    "resume",
    "promote",
    "rollback",
    "abort",
    "restore",
    "unban",
    "optimize",
]
"""`rollback` bans what it takes back, `abort` does not; `unban` lifts a ban; `restore` goes back to an earlier
generation."""


class Command(Struct, frozen=True, kw_only=True):
    """A person's will concerning one target, or one segment of it."""

    command: CommandKind
    actor: Annotated[str, Meta(min_length=1, max_length=128)]
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]
    segment: Name | None = None
    """None: every segment."""
    variant: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    """What `promote`, `rollback` and `unban` are about: the id, the label or the model of one arm."""
    decision_id: Name | None = None
    """The decision that is approved or rejected."""
    generation: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    """The generation that `restore` goes back to: one of the last five."""


class Alert(Struct, frozen=True, kw_only=True):
    """Another system's alarm; a critical one counts as a broken hard limit."""

    severity: Literal["info", "warning", "critical"]
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]
    segment: Name | None = None


class PolicyVerdict(Struct, frozen=True, kw_only=True):
    """The verdict of a policy outside the loop on a decision that waits for approval."""

    decision_id: Name
    verdict: Literal["allow", "deny"]
    """An `allow` approves nothing: that stays with people. A `deny` ends the rollout."""
    actor: Annotated[str, Meta(min_length=1, max_length=128)]
    """The policy that speaks."""
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]
