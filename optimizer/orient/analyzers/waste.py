"""Waste: money that buys nothing, by segment, each hour, reported as information.

    model     answers are short and good, while a declared model costs at most half
    prompts   thousands of tokens go in for each that comes out
    cache     less of the input is read from a cache than was usual
    retries   users ask again, or calls fail after their tokens were paid for

Each names what it takes to be one, so that it can be contradicted; nothing is acted upon by this alone.
"""

from collections.abc import Iterator
from typing import ClassVar

from msgspec import Struct, field

from optimizer.model.segments import WHOLE
from optimizer.model.wording import count, number, percent, place, score, size
from optimizer.orient.analyzers.baseline import Baseline
from optimizer.orient.analyzers.contract import Observation, Watched
from optimizer.orient.analyzers.readings import Reading, share

WASTE_CALLS_FEWEST = 50
"""Calls of an hour below which it is not judged."""
SHORT_TOKENS = 100.0
"""Output tokens of a short answer: a label, a number, a sentence or two."""
GOOD = 0.9
"""Mean score from which a cheaper model is worth trying."""
STEEP = 4
"""Exponent of a score's share of GOOD: a tenth less is no longer nearly as good."""
LONG_TOKENS = 4_000.0
"""Input tokens of a long prompt."""
LOPSIDED = 50.0
"""Input tokens for one output token that are many."""
RETRIED = 0.05
"""Share of answers asked for again, or of calls that failed, that is much."""
CACHE_MARGIN, CACHE_FLOOR, CACHE_YOUNG = 0.2, 0.02, 24
"""Fall of the cached share of the input that matters, its least deviation, and hours until its usual is known."""


class Waste(Struct, omit_defaults=True):
    """The past of the cached share; the other judgements need none."""

    cached: Baseline = field(default_factory=Baseline)


class WasteAnalyzer:
    """The analyzer of what could be had for less."""

    name: ClassVar[str] = "waste"
    lengths_ms: ClassVar[tuple[int, ...]] = (3_600_000,)
    per_segment: ClassVar[bool] = True
    bytes_max: ClassVar[int] = 300
    state_type: ClassVar[type[Waste]] = Waste

    def initial(self) -> Waste:
        """The state in which nothing is usual yet."""
        return Waste()

    def update(self, state: Waste, window: Watched) -> list[Observation]:
        """Observations on an hour of a segment; none on all segments together."""
        if window.segment == WHOLE or window.sums.calls < WASTE_CALLS_FEWEST:
            return []
        return list(_said(state, window))


def _said(state: Waste, window: Watched) -> Iterator[Observation]:
    sums, where = window.sums, place(window.segment)
    each_in, each_out = sums.input_tokens / sums.calls, sums.output_tokens / sums.calls
    if sums.scored >= WASTE_CALLS_FEWEST and each_out > 0:
        yield _powerful(window, each_out)
    if each_in > 0 and each_out > 0:
        excess = min(each_in / LONG_TOKENS, each_in / each_out / LOPSIDED)
        yield _saying(
            "waste.prompts", excess,
            told=(each_in, "tokens", sums.calls),
            reason=f"long prompts in {where}: {number(each_in, most=0)} tokens in "
            f"and {number(each_out, most=0)} out a call",
            counterfactual=f"raised over {number(LONG_TOKENS)} tokens in and {number(LOPSIDED)} for one out",
        )  # fmt: skip
    if sums.input_tokens > 0:
        cached = sums.cached_input_tokens / sums.input_tokens
        judged = state.cached.judge(
            Reading(cached, 0.0, sums.calls), floor=CACHE_FLOOR, margin=CACHE_MARGIN, side="down",
            young=CACHE_YOUNG,
        )  # fmt: skip
        yield _saying(
            "waste.cache", judged.score,
            told=(cached, "share", sums.calls),
            reason=f"cache misses in {where}: {percent(cached)} of the input came from a cache, usually "
            f"{'unknown' if judged.usual is None else percent(judged.usual)}",
            counterfactual=f"raised {size(CACHE_MARGIN, 'absolute')} below the usual",
        )._replace(warmup_left=judged.warmup_left)  # fmt: skip
    again = share(min(sums.retried + sums.errors, sums.calls), sums.calls)
    assert again is not None  # noqa: S101 - there are calls
    yield _saying(
        "waste.retries", max(0.0, again.value - 2 * again.error) / RETRIED,
        told=(again.value, "share", sums.calls),
        reason=f"paid twice in {where}: {count(sums.retried)} answers asked for again and "
        f"{count(sums.errors)} calls failed, of {count(sums.calls)}",
        counterfactual=f"raised where certainly more than {percent(RETRIED)} are",
    )  # fmt: skip


def _powerful(window: Watched, each_out: float) -> Observation:
    sums, cheaper = window.sums, window.margins.cheaper
    mean, error = sums.quality.mean or 0.0, sums.quality.standard_error or 0.0
    sure = max(0.0, mean - 2 * error) / GOOD
    excess = min(SHORT_TOKENS / each_out, sure**STEEP) if cheaper else 0.0
    return _saying(
        "waste.model", max(0.0, excess),
        told=(mean, "score", sums.scored),
        reason=f"more model than needed in {place(window.segment)}: {score(mean)} with "
        f"{number(each_out, most=0)} tokens out a call; {cheaper or 'no declared model'} costs at most half",
        counterfactual=f"raised under {number(SHORT_TOKENS)} tokens out, certainly over {score(GOOD)}, "
        f"with a cheaper model declared",
    )  # fmt: skip


def _saying(
    subject: str, score: float, *, told: tuple[float, str, int], reason: str, counterfactual: str
) -> Observation:  # fmt: skip
    estimate, unit, n = told
    return Observation(
        subject=subject, metric="quality" if unit == "score" else "cost", score=score, severity="info",
        estimate=estimate, low=None, high=None, unit=unit, n=n, reason=reason, counterfactual=counterfactual,
    )  # fmt: skip
