"""The levers beside the model, and the bounds within which they are turned.

A lever that is not declared is never touched. Each lists its settings; a parameter may give them as a range:

    min, min + step, min + 2 step, …  <= max

What a model is declared with, or the lack of it, is always one more setting: the first one.
"""

from math import floor
from typing import Annotated, Literal

from msgspec import Meta, Struct

from optimizer.model.call import Name, Score
from optimizer.model.units import PERCENT
from optimizer.model.wording import count, duration, setting

MOST_VARIANTS = 64
"""The most variants of a target, as many as it may have models: what stages remember of variants is bounded by it."""
PLACES = 9
"""Decimal places of a range's values: 0.1 + 0.2 is 0.3 here, on every machine and in every hash."""

Setting = float | int | str | bool
Bound = Annotated[int, Meta(ge=-1_000_000_000, le=1_000_000_000)] | Annotated[
    float, Meta(ge=-1e9, le=1e9)
]  # fmt: skip


class Parameter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The values of one parameter: from `min` to `max` by `step`, or those that are listed."""

    min: Bound | None = None
    max: Bound | None = None
    step: Bound | None = None
    values: Annotated[tuple[Setting, ...], Meta(max_length=MOST_VARIANTS)] = ()

    def grid(self) -> tuple[Setting, ...]:
        """The declared values, ascending where they are a range; at most one more than MOST_VARIANTS.

        Whole numbers stay whole where `min` and `step` are.
        """
        if self.values:
            return self.values
        if self.min is None or self.max is None or not self.step or self.step < 0:
            return ()
        steps = min(MOST_VARIANTS, floor(round((self.max - self.min) / self.step, PLACES)))
        found = (self.min + i * self.step for i in range(steps + 1))
        return tuple(round(value, PLACES) if isinstance(value, float) else value for value in found)


class PromptVersion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of a prompt; its text is the caller's, and never enters an event."""

    name: Name
    version: Name
    hash: Annotated[str, Meta(pattern="^[0-9a-f]{8,64}$")]
    """The hash of the text, in lower-case hex, so that a changed text is another variant."""

    def __str__(self) -> str:
        """As in `large-2 with prompt reply 2`."""
        return f"prompt {self.name} {self.version}"


class Caching(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Caching: answers are given again."""

    mode: Literal["off", "exact", "semantic"]
    ttl_s: Annotated[int, Meta(ge=1, le=31_536_000)] = 3600
    threshold: Score = 0.95
    """Semantic caches only: how similar a question must be to one that was answered."""

    def __str__(self) -> str:
        """As in `large-2 with exact caching for 1 h`."""
        if self.mode == "off":
            return "caching off"
        over = f" over {setting(self.threshold)}" if self.mode == "semantic" else ""
        return f"{self.mode} caching{over} for {duration(self.ttl_s)}"


class Batching(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Batching: so many calls are sent together, and the first of them waits so long."""

    max_size: Annotated[int, Meta(ge=1, le=1024)]
    wait_ms: Annotated[int, Meta(ge=0, le=600_000)] = 0

    def __str__(self) -> str:
        """As in `large-2 with batches of 8 within 50 ms`."""
        return f"batches of {self.max_size} within {self.wait_ms} ms"


class RateLimit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits of what one caller may ask for; None: no limit."""

    calls_per_s: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    tokens_per_minute: Annotated[int, Meta(ge=1, le=1_000_000_000_000)] | None = None

    def __str__(self) -> str:
        """As in `large-2 with at most 5 calls/s`."""
        calls = [] if self.calls_per_s is None else [f"{setting(self.calls_per_s)} calls/s"]
        tokens = [] if self.tokens_per_minute is None else [f"{count(self.tokens_per_minute)} tokens/min"]
        return f"at most {' and '.join(calls + tokens)}" if calls or tokens else "no rate limit"


class Escalation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that is asked before the variant's own one, which is asked where confidence is low."""

    first: Name
    """One of the declared models."""
    escalate_below: Score
    """The confidence under which the answer of the first is not good enough."""
    expected_share: Annotated[Score, PERCENT] = 0.3
    """The share of calls that are escalated, as far as the price is estimated before it is measured."""


class Levers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The levers that may be turned, each with its settings."""

    model: bool = True
    """True if another of the declared models may be tried."""
    parameters: Annotated[dict[Name, Parameter], Meta(max_length=8)] = {}
    prompt: Annotated[tuple[PromptVersion, ...], Meta(max_length=16)] = ()
    caching: Annotated[tuple[Caching, ...], Meta(max_length=8)] = ()
    batching: Annotated[tuple[Batching, ...], Meta(max_length=8)] = ()
    rate_limit: Annotated[tuple[RateLimit, ...], Meta(max_length=8)] = ()
    cascade: Annotated[tuple[Escalation, ...], Meta(max_length=8)] = ()
