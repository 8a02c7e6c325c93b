"""A decision, with everything that a reader needs to doubt it."""

from typing import Literal

from msgspec import Struct

from optimizer.model.finding import Evidence, Verdict
from optimizer.model.metric import Metric
from optimizer.model.policy import PolicyResult
from optimizer.model.target import Autonomy, Target
from optimizer.model.wording import share

DecisionKind = Literal[
    "start", "advance", "hold", "pause", "resume", "promote", "rollback", "end_holdback", "reject_command", "declare",
    "set_weights", "conclude", "restore", "unban",
]  # fmt: skip
"""`end_holdback` gives what was held back to the incumbent; `reject_command` answers a command that cannot be
followed; `declare` puts the first configuration of a target in force; `set_weights` moves the shares of several arms;
`conclude` ends what was only meant to find something out; `restore` brings back what an earlier generation was served
by; `unban` lets a variant be tried again."""

Cause = Literal[
    "", "alert", "approval", "budget", "choice", "command", "declaration", "error", "frozen", "goal", "guardrail",
    "inconclusive", "limit", "no_data", "not_adopted", "passed", "policy", "hard_limit",
]  # fmt: skip
"""What kind of reason a decision has; `reason` has the numbers."""

WHOLE_TARGET = "*"
"""The segment of a decision that concerns all of them."""


class Estimate(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finding as the decision saw it."""

    metric: Metric
    verdict: Verdict
    finding_id: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    unit: str = ""
    margin: float | None = None
    n: int = 0
    n_control: int = 0
    n_needed: int | None = None


class Alternative(Struct, frozen=True, kw_only=True):
    """An alternative that was not chosen, with the reason against it."""

    variant_id: str
    model: str
    reason: str


class Decision(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One decision about one segment of one target."""

    decision_id: str
    """Content-derived."""
    segment: str
    kind: DecisionKind
    autonomy: Autonomy
    decided_at: int
    """The watermark (ms since the epoch) at which it was taken."""
    reason: str
    """One sentence."""
    cause: Cause = ""
    takes_effect: bool = True
    """False: advice only, or waiting for a human's yes."""
    generation: int = 0
    """The configuration generation this decision brings into force; 0: none."""
    rollout_id: str | None = None
    variant_id: str | None = None
    """The candidate."""
    model: str | None = None
    incumbent_id: str | None = None
    """The variant that is served otherwise."""
    step: int = 0
    weight_bps: int = 0
    """The candidate's share after this decision."""
    actor: str = "decide"
    """`decide`, or the person whose command is followed."""
    estimates: tuple[Estimate, ...] = ()
    rejected: tuple[Alternative, ...] = ()
    policies: tuple[PolicyResult, ...] = ()
    """What each of the target's policies said of it."""
    evidence: tuple[Evidence, ...] = ()
    evidence_left_out: int = 0
    """Source partitions, at least, with records behind it that `evidence` has no room to list."""
    findings_hash: str = ""
    """SHA-256 over the findings behind it, in order."""
    alpha_promotion: float = 0.0
    """The risk that this proposal of the change spends."""
    alpha_rollback: float = 0.0
    target_revision: int = 0
    declaration: Target | None = None
    """Only on `declare`: what is declared from now on, withdrawn or not."""
    serves: dict[str, str] = {}
    """Only on `declare` and `restore`: segment → the variant that is its incumbent."""
    weights: dict[str, int] = {}
    """Several arms: variant → its share after this decision, the incumbent's too; they add up to 10,000."""
    mirror_bps: int = 0
    """The share of the units whose calls are mirrored to the candidate, which serves nobody."""
    restored_generation: int = 0
    """Only on `restore`: the generation whose incumbents serve again."""
    differs: dict[str, str] = {}
    """Variant → what it changes of the incumbent, in words: of everything that is or was on trial here."""


def on_trial(decision: Decision) -> dict[str, str]:
    """Variant → what it changes of the incumbent: of the one that a decision is about, else of all that are tried."""
    about = decision.variant_id or ""
    return {about: decision.differs[about]} if about in decision.differs else decision.differs


def in_words(decision: Decision) -> str:
    """The subject of a decision in words: `large with temperature 0.7 instead of 0.2`; several beside each other."""
    return " | ".join(on_trial(decision).values()) or decision.model or ""


def at_shares(decision: Decision) -> str:
    """The same with the share of each: `small instead of large at 5 %`."""
    shares = {decision.variant_id or "": decision.weight_bps, **decision.weights}
    shadow = f"in shadow of {share(decision.mirror_bps)}" if decision.mirror_bps else ""
    tried = on_trial(decision) or {decision.variant_id or "": decision.model or ""}
    return " | ".join(
        " ".join(filter(None, (words, f"at {share(shares[one])}" if shares.get(one) else shadow)))
        for one, words in tried.items()
    )
