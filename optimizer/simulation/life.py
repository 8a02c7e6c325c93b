"""The record of a simulated life, beside the truth of its world, which the stages never see.

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
"""How a rollout ended; concluded: it did well in shadow, and no more was wanted."""


class CandidateHistory(Struct, kw_only=True):
    """The history of one candidate in one segment."""

    segment: str
    model: str
    instead_of: str
    began_s: float
    ended_s: float | None = None
    outcome: Outcome = "under_way"
    cause: str = ""
    """Cause of the decision that ended it: `guardrail`, `trip`, `goal`, …"""
    answers: int = 0
    """Calls that the candidate had answered by its end."""
    mirrored: int = 0
    """Calls that had been mirrored to it by its end: no user has met them."""
    is_harmful: bool = False
    """True if a guardrail is truly broken, in the sense of the module's docstring."""
    is_dearer: bool = False
    """True if its calls truly cost more than those of the model it was tried beside."""


class ServedAverages(Struct, kw_only=True):
    """Average cost and quality of calls, by the laws of the world rather than by what was drawn."""

    cost_usd: float
    quality: float


class SegmentTurn(Struct, frozen=True, kw_only=True):
    """One turn of a segment, beside the model with the best answers at that time."""

    calls: int
    best: str
    by_best: int
    """Calls that the best model has served."""
    quality: float
    """Quality summed over the calls."""
    quality_of_best: float
    """Summed quality, had the best model served all calls."""
    quality_of_uniform: float
    """Summed quality, had every model served as many of them."""


class Life(Struct, kw_only=True):
    """One simulated life; money and quality are the world's averages, not what happened to be drawn."""

    calls: int = 0
    """Calls of users, without mirrored ones."""
    mirrored: int = 0
    """Calls that were made a second time, with a candidate in shadow."""
    cost_usd: float = 0.0
    """Cost of all calls, mirrored ones too."""
    cost_usd_of_first: float = 0.0
    """Cost of the same calls with the first incumbent."""
    quality: float = 0.0
    """Mean quality over all calls."""
    quality_of_first: float = 0.0
    at_end: ServedAverages | None = None
    """Averages of a call under the last configuration."""
    first_at_end: ServedAverages | None = None
    """Averages of the same call under the first incumbent."""
    turns: int = 0
    """Passes through the four stages: one for each pane that the watermark passed."""
    decisions: int = 0
    levers: int = 0
    """Number of levers of the target, model and parameters among them."""
    course: dict[str, list[SegmentTurn]] = {}
    """Segment → its turns in order, where the world records them."""
    rollouts: list[CandidateHistory] = []


def is_harmful(rails: Guardrails, candidate: Truth, control: Truth) -> bool:
    """True if a candidate truly breaks a declared guardrail; a metric that the world does not invent is not broken."""
    pairs = ((row, margin, candidate.of(row.name), control.of(row.name)) for row, margin in margins(rails))
    return any(
        row.is_broken(mine, other, margin)
        for row, margin, mine, other in pairs
        if mine is not None and other is not None
    )
