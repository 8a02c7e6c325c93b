"""A finding: a belief of orient, with effect, interval, n and evidence."""

from typing import Literal

from msgspec import Struct

from optimizer.model.metric import Metric

Verdict = Literal["pass", "fail", "inconclusive", "error", "no_data"]
Role = Literal["goal", "guardrail", "signal", "health"]
Kind = Literal["level", "comparison", "hard_limit", "adoption", "health", "analysis", "spend"]
Severity = Literal["", "info", "warning", "critical"]
Status = Literal["", "learning", "opened", "updated", "closed"]

WORST_FIRST: tuple[Verdict, ...] = ("fail", "error", "no_data", "inconclusive", "pass")
"""The order in which verdicts outweigh one another. No data never passes."""


EVIDENCE_MOST = 64
"""Partitions that the evidence of one belief lists: those with the lowest numbers."""


class Evidence(Struct, frozen=True, kw_only=True):
    """The records of the input log that a belief rests on."""

    partition: int
    first_offset: int
    last_offset: int


class Finding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One belief about one segment of one target at the end of one window."""

    finding_id: str
    """Derived from target, segment, kind, metric, variant and window."""
    segment: str
    kind: Kind
    metric: Metric
    role: Role
    verdict: Verdict
    window_start_at: int
    window_end_at: int
    reason: str
    """What a person should understand from it."""
    variant_id: str | None = None
    """Whom it is about; the candidate of a comparison."""
    control_id: str | None = None
    """The variant compared with."""
    generation: int = 0
    """The newest generation among the calls behind it."""
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    """Interval of the estimate at confidence `level`; in the estimate's unit."""
    unit: str = ""
    """`relative`, `absolute`, `ms`, `usd`, `share`, `score`."""
    level: float | None = None
    n: int = 0
    """Units of the variant."""
    n_control: int = 0
    control_estimate: float | None = None
    """What the control of a comparison showed by itself: the metric in its own unit (score, USD, ms, share)."""
    n_effective: float = 0.0
    n_needed: int | None = None
    """Units per arm after which the present estimate would be conclusive."""
    margin: float | None = None
    """The declared bound that the verdict speaks of."""
    evidence: tuple[Evidence, ...] = ()
    evidence_left_out: int = 0
    """Source partitions with records behind it that `evidence` has no room to list."""
    analyzer: str = ""
    """Kind `analysis` only, as the next six fields: the file of `optimizer.orient.analyzers` that says so."""
    subject: str = ""
    """What the alarm is about, stable over time: `latency.p95`."""
    severity: Severity = ""
    status: Status = ""
    """The stage of the alarm's life; `learning` is told once, before there can be any."""
    alarm_id: str = ""
    """The same from opened to closed."""
    opened_at: int | None = None
    counterfactual: str = ""
    """What would have changed the verdict: the bound, or how many more calls."""


def worst(verdicts: "list[Verdict]") -> Verdict:
    """The verdict that outweighs the others; `no_data` for none at all."""
    return min(verdicts, key=WORST_FIRST.index, default="no_data")
