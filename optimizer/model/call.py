"""The events that callers publish: calls to models, later news of them, other numbers, configurations in use.

Units are in the names. Unknown is None and never zero: a call without `cost_usd` has an unknown
cost, not a free one. Prompt and answer text never enter an event.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from optimizer.model.segments import OTHER

Arm = Literal["incumbent", "candidate", "control", "holdback", "shadow"]
"""The part a call plays in an experiment; a plain string, as it is hashed for every event."""

SPANS: Final = "/otlp/spans"
"""The CloudEvents source of every call read from a span, whichever way the span came: twice is a duplicate."""

Name = Annotated[str, Meta(min_length=1, max_length=128)]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Milliseconds = Annotated[float, Meta(ge=0, le=86_400_000)]
Score = Annotated[float, Meta(ge=0, le=1)]
Usd = Annotated[float, Meta(ge=0, le=100_000)]


class Assignment(Struct, frozen=True, gc=False):
    """The arm and the configuration that served a call: made by `optimizer.act.assign`."""

    generation: Annotated[int, Meta(ge=0, le=2**53)]
    variant_id: Name
    arm: Arm
    segment: Name = OTHER
    propensity: Annotated[float, Meta(gt=0, le=1)] = 1.0
    """The probability with which this unit met this arm."""
    unit_id: Annotated[str, Meta(max_length=128)] | None = None
    """A hash of whatever is kept together: a user, a conversation."""


class Quality(Struct, frozen=True, gc=False):
    """The quality of an answer."""

    score: Score
    source: Literal["judge", "user", "test", "rule"] = "judge"
    judge: Annotated[str, Meta(max_length=128)] | None = None


class Prompt(Struct, frozen=True, gc=False):
    """The prompt that was used; its text never enters an event."""

    name: Name
    version: Annotated[str, Meta(max_length=128)] = ""


class Call(Struct, frozen=True, gc=False):
    """One call to a model, published when it has ended.

    The target is the event's `subject`, the instant at which the call ended its `time`.
    """

    call_id: Name
    latency_ms: Milliseconds | None
    """None: whoever tells of the call does not know when it ended, such as one that hands a stream over."""
    model: Name
    provider: Annotated[str, Meta(max_length=128)] | None = None
    assignment: Assignment | None = None
    """None: the incumbent of generation 0, observable but attributable to nothing."""
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cached_input_tokens: Count | None = None
    """A part of `input_tokens`, never added to them."""
    cache_write_input_tokens: Count | None = None
    """A part of `input_tokens` that was written to the provider's cache; some charge more for it."""
    reasoning_tokens: Count | None = None
    """A part of `output_tokens`, never added to them."""
    first_token_ms: Milliseconds | None = None
    cost_usd: Usd | None = None
    error_type: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    quality: Quality | None = None
    covariate: Annotated[float, Meta(ge=-1e9, le=1e9)] | None = None
    """One number known before the call, such as the length of the prompt."""
    parameters: Annotated[dict[str, float | int | str | bool], Meta(max_length=32)] | None = None
    """What the model was asked with: temperature, top_p, max_tokens, …"""
    prompt: Prompt | None = None
    attributes: Annotated[dict[str, str], Meta(max_length=32)] | None = None
    """Read: the attribute by which the target is segmented. Everything else is dropped."""


class Feedback(Struct, frozen=True, gc=False):
    """Later news of a call; without a score, the target's declaration says what it is worth."""

    call_id: Name
    kind: Literal["thumbs", "rating", "edit", "retry", "abandon", "judge", "task"]
    score: Score | None = None
    value: float | Annotated[str, Meta(max_length=64)] | None = None
    """What was said: `up` or `down` for thumbs, the rating, the share of an answer that was edited."""
    assignment: Assignment | None = None
    """The call's token; without it the call is looked up by its id."""


class Distribution(Struct, frozen=True, kw_only=True):
    """Values that somebody else has counted: `counts[i]` of them lie above `bounds[i-1]`, up to `bounds[i]`."""

    bounds: Annotated[tuple[float, ...], Meta(max_length=512)]
    """Ascending; nothing is known of the values but between which two of these they lie."""
    counts: Annotated[tuple[Count, ...], Meta(min_length=1, max_length=513)]
    """One more than `bounds`: the last counts what lies above all of them."""
    sum: float | None = None


class Metric(Struct, frozen=True, kw_only=True):
    """A named number of a target, or many in one distribution, for whatever is no call."""

    name: Name
    unit: Annotated[str, Meta(max_length=32)] = ""
    """The unit in UCUM's spelling, as OpenTelemetry has it: `s`, `ms`, `By`, `{token}`."""
    value: float | None = None
    distribution: Distribution | None = None
    temporality: Literal["gauge", "delta", "cumulative"] = "gauge"
    """A cumulative series is counted once: by how much it has grown since its last point."""
    series: Annotated[str, Meta(max_length=128)] = ""
    """Tells apart the series of one name that one source sends."""
    started_at: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    """When a cumulative series began (ms since the epoch): another instant means that it began anew."""
    variant_id: Name | None = None


class Applied(Struct, frozen=True, gc=False):
    """A consumer says which generation it uses from now on."""

    generation: Annotated[int, Meta(ge=0, le=2**53)]
    instance: Name
