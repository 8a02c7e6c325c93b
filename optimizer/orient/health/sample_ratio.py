"""Sample ratio: checks that the calls of a trial are split between its arms as promised.

Every call says with which probability its unit met its arm, so the calls of an arm and the sum of their
1 / propensity tell what the arm was promised in a generation. A control of which no call tells it was
promised what its candidate was, as far as that leaves room: min(w, 1 - w). Propensities that cannot both be
true, as of callers that leave them out, are not judged.

    error  where the split is wrong beyond doubt (sample_ratio, at every look, risk ALPHA)
           and by more than DEVIATION: one unit makes several calls, which come in lumps

A mismatch makes every comparison of the trial worthless: what is missing is rarely the average call.
"""

from math import inf

from msgspec import Struct

from optimizer.model.finding import Finding
from optimizer.model.wording import change, count, percent
from optimizer.orient.findings.finding import About, FindingWindow, Measured, finding
from optimizer.orient.trial import SampleRatio
from optimizer.stats.sample_ratio import p_value

ALPHA = 0.001
DEVIATION = 0.05
"""Least relative deviation of the arms' ratio from the promised one that counts."""


class JudgedRatio(Struct, frozen=True):
    """The split over all generations that are counted, with its p-value."""

    candidate: int
    control: int
    expected: float
    """Expected share of the candidate in both arms' calls."""
    p_value: float

    @property
    def deviation(self) -> float:
        """The relative deviation of the arms' ratio from the promised one: -0.1 is a tenth less candidate."""
        promised = self.expected / (1 - self.expected)
        return self.candidate / self.control / promised - 1 if self.control else inf

    @property
    def is_wrong(self) -> bool:
        """True if the split is wrong beyond doubt, and by enough to matter."""
        return self.p_value <= ALPHA and abs(self.deviation) > DEVIATION


def judged(split: SampleRatio) -> JudgedRatio | None:
    """The judgement on a split so far; None where nothing was promised."""
    known = [(counts, counts.promised) for counts in split.counted.values()]
    told = [(counts, promised) for counts, promised in known if promised is not None]
    if not told:
        return None
    candidate, control = (
        sum(counts.candidate for counts, _ in told),
        sum(counts.control for counts, _ in told),
    )
    expected = sum(
        (counts.candidate + counts.control) * first / (first + second) for counts, (first, second) in told
    )
    against = split.past + sum(counts.evidence for counts, _ in told)
    return JudgedRatio(candidate, control, expected / (candidate + control), p_value(against))


def findings(about: About, name: str, split: SampleRatio, window: FindingWindow) -> list[Finding]:
    """The finding of a wrong split, if it is wrong; `about` names the trial, `name` its model."""
    ratio = judged(split)
    if ratio is None or not ratio.is_wrong:
        return []
    seen = ratio.candidate / (ratio.candidate + ratio.control)
    reason = (
        f"sample ratio of {name} in {about.segment}: {percent(seen)} of {count(ratio.candidate + ratio.control)} calls "
        f"of candidate and control are the candidate's, promised {percent(ratio.expected)}: its comparisons "
        f"cannot be trusted; check whether callers lose or repeat the calls of one arm, and whether both arms "
        f"are assigned by unit"
    )
    low, high = ((1 + side * DEVIATION) * ratio.expected for side in (-1, 1))
    odds = change(ratio.deviation) if ratio.control else "no control at all"
    measured = Measured(
        estimate=seen,
        level=1 - ALPHA,
        unit="share",
        n=ratio.candidate,
        n_control=ratio.control,
        n_effective=float(ratio.candidate + ratio.control),
        margin=ratio.expected,
    )
    counterfactual = (
        f"between about {percent(low)} and {percent(high)} nothing is said; seen {odds} of the promised ratio"
    )
    return [finding(about, window, "error", measured=measured, reason=reason, counterfactual=counterfactual)]
