"""Makes a finding: its id from its content, its numbers in as many digits as are sure."""

from functools import cached_property
from hashlib import sha256
from math import isfinite

from msgspec import Struct

from optimizer.model.finding import Evidence, Finding, Kind, Role, Verdict
from optimizer.model.metric import Metric
from optimizer.orient.windows.offsets import Offsets

DIGITS = 8
"""Significant digits of a reported number. Logarithms of two machines may differ in the sixteenth, and
equal findings must be equal bytes.
"""


class FindingWindow(Struct, frozen=True, dict=True):
    """The window of a finding: half-open, ms since the epoch, with its evidence."""

    start_at: int
    end_at: int
    offsets: Offsets
    """Evidence; not to be changed once a finding was made."""

    @property
    def minutes(self) -> int:
        """The window's length, in whole minutes."""
        return (self.end_at - self.start_at) // 60_000

    @cached_property
    def evidence(self) -> tuple[Evidence, ...]:
        """The records of the input log behind the finding, by source partition."""
        return tuple(
            Evidence(partition=partition, first_offset=first, last_offset=last)
            for partition, (first, last) in sorted(self.offsets.spans.items())
        )


class About(Struct, frozen=True, kw_only=True):
    """The subject of a finding."""

    target: str
    segment: str
    kind: Kind
    metric: Metric
    role: Role
    variant_id: str | None = None
    control_id: str | None = None
    generation: int = 0
    subject: str = ""
    """Kind `analysis` only: analyzer and subject."""


class Measured(Struct, frozen=True, kw_only=True):
    """A number with its interval at confidence `level`, in `unit`, and the number of calls behind it."""

    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    unit: str = ""
    n: int = 0
    n_control: int = 0
    control_estimate: float | None = None
    n_effective: float = 0.0
    n_needed: int | None = None
    margin: float | None = None


def finding(
    about: About,
    window: FindingWindow,
    verdict: Verdict,
    *,
    measured: Measured,
    reason: str,
    counterfactual: str = "",
) -> Finding:
    """The finding about a window; equal content has an equal id."""
    content = [about.target, about.segment, about.kind, about.metric, about.variant_id or ""]
    if about.subject:
        content.append(about.subject)
    key = "\x1f".join((*content, str(window.start_at), str(window.end_at)))
    return Finding(
        finding_id=sha256(key.encode()).hexdigest()[:16],
        segment=about.segment,
        kind=about.kind,
        metric=about.metric,
        role=about.role,
        verdict=verdict,
        window_start_at=window.start_at,
        window_end_at=window.end_at,
        reason=reason,
        variant_id=about.variant_id,
        control_id=about.control_id,
        generation=about.generation,
        estimate=rounded(measured.estimate),
        low=rounded(measured.low),
        high=rounded(measured.high),
        unit=measured.unit,
        level=rounded(measured.level),
        n=measured.n,
        n_control=measured.n_control,
        control_estimate=rounded(measured.control_estimate),
        n_effective=measured.n_effective,
        n_needed=measured.n_needed,
        margin=measured.margin,
        evidence=window.evidence,
        evidence_left_out=window.offsets.left_out,
        counterfactual=counterfactual,
    )


def rounded(number: float | None) -> float | None:
    """The number in DIGITS significant digits; None if it is not finite."""
    if number is None or not isfinite(number):
        return None
    return float(f"{number:.{DIGITS}g}")
