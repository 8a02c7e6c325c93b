"""What a simulated life came to, beside the truth of its world, which the stages never see.

A candidate is *harmful* where a declared guardrail is truly broken: its mean quality, its p95 of latency
or its error rate against those of the incumbent it is tried beside, at the time of the decision. It is
*dearer* where its calls truly cost more on average.
"""

from typing import Literal

from msgspec import Struct

from optimizer.model.metric import margins
from optimizer.model.target import Guardrails
from optimizer.simulation.world import Truth

Outcome = Literal["promoted", "rolled_back", "concluded", "under_way"]
"""concluded: it did well in shadow, and no more was wanted."""


class Rollout(Struct, kw_only=True):
    """What became of one candidate in one segment."""

    segment: str
    model: str
    instead_of: str
    began_s: float
    ended_s: float | None = None
    outcome: Outcome = "under_way"
    cause: str = ""
    """Of the decision that ended it: `guardrail`, `trip`, `goal`, …"""
    answers: int = 0
    """Calls that the candidate had answered by then."""
    mirrored: int = 0
    """Calls that were mirrored to it by then: no user has met them."""
    is_harmful: bool = False
    """Whether a guardrail is truly broken; see the module."""
    is_dearer: bool = False
    """Whether its calls truly cost more than those of the model it was tried beside."""


class Served(Struct, kw_only=True):
    """What calls amount to on average, by the laws of the world rather than by what was drawn."""

    cost_usd: float
    quality: float


class Turn(Struct, frozen=True, kw_only=True):
    """What one turn of a segment came to, beside the model with the best answers at that time."""

    calls: int
    best: str
    by_best: int
    """Calls that this model has served."""
    quality: float
    """Summed over the calls, as are the next two."""
    quality_of_best: float
    """Had the best model served them."""
    quality_of_uniform: float
    """Had every model served as many of them."""


class Life(Struct, kw_only=True):
    """One simulated life; money and quality are the world's averages, not what happened to be drawn."""

    calls: int = 0
    """Of users; what was mirrored is not among them."""
    mirrored: int = 0
    """Calls that were made a second time, with a candidate in shadow."""
    cost_usd: float = 0.0
    """Of all calls, mirrored ones too."""
    cost_usd_of_first: float = 0.0
    """What the same calls would have cost with the first incumbent."""
    quality: float = 0.0
    """Mean over all calls."""
    quality_of_first: float = 0.0
    at_end: Served | None = None
    """Of a call under the last configuration."""
    first_at_end: Served | None = None
    """Of the same call under the first incumbent."""
    turns: int = 0
    """How often the four stages were gone through: once for each pane that the watermark passed."""
    decisions: int = 0
    levers: int = 0
    """That the target has, model and parameters among them."""
    course: dict[str, list[Turn]] = {}
    """Segment → turn after turn, where the world wants it told."""
    rollouts: list[Rollout] = []


def is_harmful(rails: Guardrails, candidate: Truth, control: Truth) -> bool:
    """Whether a candidate truly breaks a declared guardrail; what the world does not invent is not broken."""
    pairs = ((row, margin, candidate.of(row.name), control.of(row.name)) for row, margin in margins(rails))
    return any(
        row.is_broken(mine, other, margin)
        for row, margin, mine, other in pairs
        if mine is not None and other is not None
    )
