"""Whether the calls of a trial are split between its arms as was promised.

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
from optimizer.orient.findings.finding import About, Measured, Span, finding
from optimizer.orient.findings.wording import count, percent, share
from optimizer.orient.windows.buffer import Part
from optimizer.stats.sample_ratio import evidence, p_value

ALPHA = 0.001
DEVIATION = 0.05
"""Of the ratio of both arms' calls to the promised ratio."""
GENERATIONS = 4
"""Whose calls are counted apart: as many as there are steps; of older ones their evidence is kept."""
MILLIONTHS = 10**6


class Counted(Struct, array_like=True):
    """Calls of both arms in one generation; weights are the sums of 1 / propensity, in millionths."""

    candidate: int = 0
    candidate_weights: int = 0
    control: int = 0
    control_weights: int = 0
    clipped: int = 0

    @property
    def promised(self) -> tuple[float, float] | None:
        """What candidate and control were promised; None where that is not known."""
        if self.clipped or not self.candidate_weights:
            return None
        candidate = self.candidate * MILLIONTHS / self.candidate_weights
        rest = min(candidate, 1 - candidate)
        control = self.control * MILLIONTHS / self.control_weights if self.control_weights else rest
        fits = control > 0 and candidate + control <= 1 + 1 / MILLIONTHS
        return (candidate, control) if fits else None

    @property
    def evidence(self) -> float:
        """Logarithm of the Bayes factor against the promise."""
        promised = self.promised
        return evidence((self.candidate, self.control), promised) if promised else 0.0


class Split(Struct, omit_defaults=True):
    """The calls of a trial, by generation, and the evidence of those that are no longer counted apart."""

    counted: dict[int, Counted] = {}
    past: float = 0.0

    def add(self, part: Part) -> None:
        """Counts a part of a pane of the candidate or its control."""
        if not part.sums.weighted:
            return
        calls, clipped, weights = part.sums.weighted[:3]
        if part.generation not in self.counted:
            if len(self.counted) >= GENERATIONS and part.generation < min(self.counted):
                return  # a straggler; its generation has been judged
            self.counted[part.generation] = Counted()
        told = self.counted[part.generation]
        told.clipped += clipped
        if part.arm == "candidate":
            told.candidate += calls
            told.candidate_weights += weights
        else:
            told.control += calls
            told.control_weights += weights
        while len(self.counted) > GENERATIONS:
            self.past += self.counted.pop(min(self.counted)).evidence


class Judged(Struct, frozen=True):
    """The split over all generations that are counted."""

    candidate: int
    control: int
    expected: float
    """Of the candidate's share of both arms' calls."""
    p_value: float

    @property
    def deviation(self) -> float:
        """By how much the ratio of the arms differs from the promised one: -0.1 is a tenth less candidate."""
        promised = self.expected / (1 - self.expected)
        return self.candidate / self.control / promised - 1 if self.control else inf

    @property
    def is_wrong(self) -> bool:
        """Whether the split is wrong beyond doubt, and by enough to matter."""
        return self.p_value <= ALPHA and abs(self.deviation) > DEVIATION


def judged(split: Split) -> Judged | None:
    """The split so far; None where nothing was promised."""
    known = [(told, told.promised) for told in split.counted.values()]
    told = [(one, promised) for one, promised in known if promised is not None]
    if not told:
        return None
    candidate, control = sum(one.candidate for one, _ in told), sum(one.control for one, _ in told)
    expected = sum((one.candidate + one.control) * first / (first + second) for one, (first, second) in told)
    against = split.past + sum(one.evidence for one, _ in told)
    return Judged(candidate, control, expected / (candidate + control), p_value(against))


def findings(about: About, name: str, split: Split, window: Span) -> list[Finding]:
    """That the split of a trial is wrong, if it is; `about` names the trial, `name` its model."""
    found = judged(split)
    if found is None or not found.is_wrong:
        return []
    seen = found.candidate / (found.candidate + found.control)
    sentence = (
        f"split of {name} in {about.segment}: {percent(seen)} of {count(found.candidate + found.control)} calls "
        f"of candidate and control are the candidate's, promised {percent(found.expected)}: its comparisons "
        f"cannot be trusted; check whether callers lose or repeat the calls of one arm, and whether both arms "
        f"are assigned by unit"
    )
    low, high = ((1 + side * DEVIATION) * found.expected for side in (-1, 1))
    odds = share(found.deviation) if found.control else "no control at all"
    measured = Measured(
        estimate=seen,
        level=1 - ALPHA,
        unit="share",
        n=found.candidate,
        n_control=found.control,
        n_effective=float(found.candidate + found.control),
        margin=found.expected,
    )
    otherwise = (
        f"between about {percent(low)} and {percent(high)} nothing is said; seen {odds} of the promised ratio"
    )
    return [finding(about, window, "error", measured=measured, sentence=sentence, otherwise=otherwise)]
