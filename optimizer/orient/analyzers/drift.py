"""Drift: finds hours whose answers' lengths, first tokens or prompts differ from those of the days before.

The distribution of an hour's values is held against a reference that forgets within a day, by the population
stability index less what two samples of one distribution of these sizes have by chance. Large is what exceeds both
the rule of thumb and what the target's own hours differ by: a mix that changes with the time of day is usual.
Only what is certain counts: a hundred values that lie a little aside often look as if they lay far.

    moved     = max(0, index - expected)
    certain   = max(0, moved - Z * error)       of hours of these sizes (`stats.stability_index`)
    score  = certain / max(MUCH, MARGIN * record)
    reference = 23/24 reference + hour

Of prompts only the mean is known: it is held against its own past, as a logarithm.
"""

from math import exp, log
from typing import ClassVar

from msgspec import Struct, field

from optimizer.model.metric import Metric
from optimizer.model.wording import milliseconds, number, place
from optimizer.orient.analyzers.baseline import Baseline
from optimizer.orient.analyzers.contract import Observation, Watched
from optimizer.orient.analyzers.readings import Reading, first_tokens
from optimizer.orient.windows.sums import Sums
from optimizer.stats.dense import COARSE
from optimizer.stats.histogram import Histogram
from optimizer.stats.jensen_shannon import jensen_shannon
from optimizer.stats.stability_index import stability_index

MUCH = 0.25
"""Population stability index that is a large move by its rule of thumb."""
MARGIN = 1.2
Z = 3.72
"""Deviations of the index: by chance once in 10,000 hours, a year of one target, at the very bound."""
YOUNG = 24
"""Hours until a distribution is judged: one day."""
HOURS = 24
"""Hours that the reference remembers, about."""
HOUR_VALUES_FEWEST = 100
"""Values of an hour below which it is not judged."""
FADED = 2.0 ** (-1 / 336)
"""Factor on a record at each hour: half is left after two weeks."""
PROMPT_MUCH, PROMPT_FLOOR = 0.25, 0.05
COUNT_MOST = 10**9
"""Most calls counted in a bucket in an hour."""


class HourlyDistribution(Struct, array_like=True):
    """The distribution of an hour's values, by a reference."""

    hours: int = 0
    reference: dict[int, int] = {}
    """Bucket → about HOURS times its count in an hour."""
    record: float = 0.0
    """The greatest certain move, slowly forgotten."""


class DriftState(Struct, omit_defaults=True):
    """The laws of output lengths and first tokens, and the mean of the prompts."""

    output: HourlyDistribution = field(default_factory=HourlyDistribution)
    first_token: HourlyDistribution = field(default_factory=HourlyDistribution)
    prompt: Baseline = field(default_factory=Baseline)


class DriftAnalyzer:
    """The analyzer of what is asked and answered, as far as it can be counted."""

    name: ClassVar[str] = "drift"
    lengths_ms: ClassVar[tuple[int, ...]] = (3_600_000,)
    per_segment: ClassVar[bool] = False
    bytes_max: ClassVar[int] = 9_000
    state_type: ClassVar[type[DriftState]] = DriftState

    def initial(self) -> DriftState:
        """The state in which nothing is usual yet."""
        return DriftState()

    def update(self, state: DriftState, window: Watched) -> list[Observation]:
        """One observation for each distribution that has enough calls."""
        sayings = []
        for subject, distribution, hour in (
            ("output", state.output, output_lengths(window.sums)),
            ("first_token", state.first_token, first_tokens(window.sums)),
        ):
            if hour.count >= HOUR_VALUES_FEWEST:
                sayings.append(_moved(subject, distribution, hour, window))
        if window.sums.calls >= HOUR_VALUES_FEWEST and window.sums.input_tokens > 0:
            sayings.append(_prompt(state.prompt, window))
        return sayings


def output_lengths(sums: Sums) -> Histogram:
    """The histogram of the answers' output tokens, in buckets of 2 %, each standing for a COARSE one."""
    return Histogram.spread(sums.output, COARSE)


def drifted(reference: Histogram, hour: Histogram) -> float | None:
    """The certain move of the distribution of `hour` from the reference, in multiples of MUCH; None of nothing."""
    stability = stability_index(reference, hour)
    return None if stability is None else max(0.0, stability.moved - Z * stability.error) / MUCH


def _moved(subject: str, distribution: HourlyDistribution, hour: Histogram, window: Watched) -> Observation:
    reference = Histogram(distribution.reference)
    warmup_left = max(0, YOUNG - distribution.hours)
    certain = MUCH * (drifted(reference, hour) or 0.0)
    score = certain / max(MUCH, MARGIN * distribution.record)
    apart = jensen_shannon(reference, hour) or 0.0
    was, now = reference.quantile(0.5), hour.quantile(0.5)
    distribution.hours = min(distribution.hours + 1, YOUNG)
    distribution.record = max(distribution.record * FADED, 0.0 if score > 1 and not warmup_left else certain)
    # A young reference is not worth a whole day yet, and must not weigh an hour as one.
    distribution.reference = {
        bucket: n
        for bucket in {*distribution.reference, *hour.counts}
        if (
            n := distribution.reference.get(bucket, 0) * (HOURS - 1) // HOURS
            + min(hour.counts.get(bucket, 0), COUNT_MOST)
        )
    }
    metric: Metric = "latency" if subject == "first_token" else "cost"
    names = {"output": "length of answers", "first_token": "time to the first token"}
    where, learnt = place(window.segment), distribution.hours
    reason = f"{names[subject]} in {where}: {learnt} of {YOUNG} hours seen"
    if not warmup_left:
        reason = (
            f"{names[subject]} in {where}: median {_worded(subject, now)} after {_worded(subject, was)} in the "
            f"days before; its distribution certainly moved by {number(certain, most=2)} (PSI), "
            f"Jensen-Shannon {number(apart, most=2)}"
        )
    return Observation(
        subject=f"drift.{subject}", metric=metric, score=score,
        severity="warning", estimate=certain, low=0.0, high=max(MUCH, MARGIN * distribution.record), unit="psi",
        n=hour.count, reason=reason,
        counterfactual=f"up to {number(max(MUCH, MARGIN * distribution.record), most=2)} is usual",
        warmup_left=warmup_left,
    )  # fmt: skip


def _prompt(past: Baseline, window: Watched) -> Observation:
    mean = window.sums.input_tokens / window.sums.calls
    read = Reading(log(mean), 0.0, window.sums.calls)
    judged = past.judge(read, floor=PROMPT_FLOOR, margin=PROMPT_MUCH, side="both", young=YOUNG, is_log=True)
    usual, low, high = (
        None if x is None else exp(min(x, 300.0)) for x in (judged.usual, judged.low, judged.high)
    )
    where = place(window.segment)
    reason = f"length of prompts in {where}: {past.count} of {YOUNG} hours seen"
    if not judged.is_young:
        before = "unknown" if usual is None else number(usual, most=0)
        reason = f"length of prompts in {where}: {number(mean, most=0)} tokens on average, usually {before}"
    return Observation(
        subject="drift.prompt", metric="cost", score=judged.score, severity="warning",
        estimate=mean, low=low, high=high, unit="tokens", n=read.n, reason=reason,
        counterfactual="" if high is None else f"up to {number(high, most=0)} is usual", warmup_left=judged.warmup_left,
    )  # fmt: skip


def _worded(subject: str, value: float | None) -> str:
    if value is None:
        return "unknown"
    return milliseconds(value / 1000) if subject == "first_token" else f"{number(value, most=0)} tokens"
