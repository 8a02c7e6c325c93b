"""The state of one trial: its sums, the split of its calls, and the units that met its arms."""

from msgspec import Struct, field

from optimizer.model.fixed_point import MILLIONTHS
from optimizer.model.metric import Metric
from optimizer.orient.windows.buffer import BufferedCell
from optimizer.orient.windows.offsets import Offsets
from optimizer.orient.windows.sums import Sums
from optimizer.stats.bottom_k import smallest
from optimizer.stats.sample_ratio import evidence

GENERATIONS = 4
"""Generations whose calls are counted apart, as many as there are steps; of older ones the evidence is kept."""


class ArmCounts(Struct, array_like=True):
    """Calls of both arms in one generation; weights are the sums of 1 / propensity, in millionths."""

    candidate: int = 0
    candidate_weights: int = 0
    control: int = 0
    control_weights: int = 0
    clipped: int = 0

    @property
    def promised(self) -> tuple[float, float] | None:
        """The shares promised to candidate and control; None where that is not known."""
        if self.clipped or not self.candidate_weights:
            return None
        candidate = self.candidate * MILLIONTHS / self.candidate_weights
        rest = min(candidate, 1 - candidate)
        control = self.control * MILLIONTHS / self.control_weights if self.control_weights else rest
        fits = control > 0 and candidate + control <= 1 + 1 / MILLIONTHS
        return (candidate, control) if fits else None

    @property
    def evidence(self) -> float:
        """The logarithm of the Bayes factor against the promised shares."""
        promised = self.promised
        return evidence((self.candidate, self.control), promised) if promised else 0.0


class SampleRatio(Struct, omit_defaults=True):
    """The calls of a trial by generation, and the evidence of generations that are no longer counted apart."""

    counted: dict[int, ArmCounts] = {}
    past: float = 0.0

    def add(self, part: BufferedCell) -> None:
        """Count a part of a pane, of the candidate or its control."""
        if not part.sums.weighted:
            return
        calls, clipped, weights = part.sums.weighted[:3]
        if part.generation not in self.counted:
            if len(self.counted) >= GENERATIONS and part.generation < min(self.counted):
                return  # a straggler; its generation has been judged
            self.counted[part.generation] = ArmCounts()
        counts = self.counted[part.generation]
        counts.clipped += clipped
        if part.arm == "candidate":
            counts.candidate += calls
            counts.candidate_weights += weights
        else:
            counts.control += calls
            counts.control_weights += weights
        while len(self.counted) > GENERATIONS:
            self.past += self.counted.pop(min(self.counted)).evidence


class Met(Struct, omit_defaults=True):
    """Samples of the units that met each arm, in the newest generation."""

    generation: int = -1
    candidate: list[int] = []
    control: list[int] = []

    def add(self, part: BufferedCell) -> None:
        """Add the units in a part of a pane, of the candidate or its control."""
        if part.generation > self.generation:
            self.generation, self.candidate, self.control = part.generation, [], []
        if part.generation < self.generation or not part.units:
            return  # a straggler, or nobody said which units
        if part.arm == "candidate":
            self.candidate = smallest(self.candidate, part.units)
        else:
            self.control = smallest(self.control, part.units)


class Stretch(Struct, kw_only=True, omit_defaults=True):
    """The sums of both arms since an instant after the trial's beginning."""

    number: int
    """Count of restarts so far, from 1 on."""
    since_at: int
    candidate: Sums = field(default_factory=Sums)
    control: Sums = field(default_factory=Sums)


class Pairing(Struct, kw_only=True, omit_defaults=True):
    """One candidate and its concurrent control in one segment, since it first appeared."""

    variant: str
    since_at: int
    """Start of the first pane with a call of the candidate."""
    seen_at: int
    """End of the last pane with a call of the candidate."""
    generations: tuple[int, int] = (2**53, 0)
    """First and last generation among the candidate's calls."""
    candidate: Sums = field(default_factory=Sums)
    control: Sums = field(default_factory=Sums)
    beside: int = 1
    """The most candidates that were ever called in one pane and generation, this one among them."""
    stretch: Stretch | None = None
    """The stretch watched for late harm beside the whole trial, once that is long enough."""
    sample_ratio: SampleRatio = field(default_factory=SampleRatio)
    met: Met = field(default_factory=Met)
    newest_control: tuple[int, str] = (-1, "")
    """Newest generation and variant among the control's calls."""
    offsets: Offsets = field(default_factory=Offsets)
    fresh: bool = True
    """True if calls came since all comparisons were last reported."""
    stirred: bool = True
    """True if calls came since the last check for harm."""
    recent: list[tuple[int, int, int]] = []
    """End (ms since the epoch), calls and errors of the candidate's panes of the last minute."""
    over: dict[Metric, list[tuple[int, int]]] = {}
    """Metric with a tail → end and calls of the latest consecutive panes with a p95 over its hard limit."""
