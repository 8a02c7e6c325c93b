"""The configuration that the optimizer publishes for callers, and its reading from a Kafka record.

A record is a CloudEvent, structured (the whole event is the value) or binary (attributes are
`ce_` headers, the value is the data). Whatever is not a configuration is passed over.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct, field

TYPE = "llmopt.configuration.v1"

Parameter = float | int | str | bool
Headers = Sequence[tuple[str, bytes | str | None]] | None


class Prompt(Struct, frozen=True, kw_only=True):
    """A version of a prompt whose text the caller keeps."""

    name: str
    version: str
    hash: str
    """The hash of the text, in hex: it tells whether the caller's copy is the one that is meant."""


class Caching(Struct, frozen=True, kw_only=True):
    """Caching of answers: `off`, `exact` or `semantic`."""

    mode: str
    ttl_s: int
    threshold: float
    """Semantic caches only: how similar a question must be to one that was answered, from 0 to 1."""


class Batching(Struct, frozen=True, kw_only=True):
    """Batching: so many calls are sent together, and the first of them waits so many milliseconds."""

    max_size: int
    wait_ms: int


class RateLimit(Struct, frozen=True, kw_only=True):
    """The limits of what one caller may ask for; None: no limit."""

    calls_per_s: float | None = None
    tokens_per_minute: int | None = None


class Cascade(Struct, frozen=True, kw_only=True):
    """A model that answers first; below a confidence, from 0 to 1, the arm's own model is asked."""

    model: str
    escalate_below: float
    provider: str = ""
    parameters: dict[str, Parameter] = field(default_factory=dict)


class Turned(Struct, frozen=True, kw_only=True):
    """The levers beside model and parameters; None: as the caller does it."""

    prompt: Prompt | None = None
    caching: Caching | None = None
    batching: Batching | None = None
    rate_limit: RateLimit | None = None
    cascade: Cascade | None = None


class Arm(Turned, frozen=True, kw_only=True):
    """One arm of a segment: what to call, and for which share of the units."""

    arm: str
    variant_id: str
    weight_bps: int
    model: str
    provider: str = ""
    parameters: dict[str, Parameter] = field(default_factory=dict)


class Configuration(Struct, frozen=True, kw_only=True):
    """The configuration of one target; arms are listed in the order in which they are laid out."""

    target: str
    generation: int
    salt: str
    segments: dict[str, tuple[Arm, ...]]
    decision_id: str = ""
    issued_at: int = 0
    """Milliseconds since the epoch, event time."""
    segmented_by: str | None = None
    """The attribute of a call whose value names its segment."""


class _Event(Struct):
    type: str
    data: msgspec.Raw = msgspec.Raw()


_event = msgspec.json.Decoder(_Event)
_configuration = msgspec.json.Decoder(Configuration)


def read(value: bytes, headers: Headers) -> Configuration | None:
    """The configuration in a record; None when the record holds an event of another type.

    Raises:
        msgspec.MsgspecError: the record is not what it says it is; the message names the field.
    """
    kind = _header(headers, "ce_type")
    if not kind or _header(headers, "content-type").startswith("application/cloudevents"):
        event = _event.decode(value)
        return _configuration.decode(event.data) if event.type == TYPE else None
    return _configuration.decode(value) if kind == TYPE else None


def _header(headers: Headers, name: str) -> str:
    """The value of a header, empty when it is missing."""
    for key, value in headers or ():
        if key.lower() == name and value is not None:
            return value if isinstance(value, str) else value.decode("utf-8", "replace")
    return ""
