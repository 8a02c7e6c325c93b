"""The events that a caller publishes, as CloudEvents 1.0 in structured JSON."""

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from llm_auto_optimizer_client.assignment import Assigned, Token

HEADERS = [("content-type", b"application/cloudevents+json")]
FeedbackKind = Literal["thumbs", "rating", "edit", "retry", "abandon", "judge", "task"]

_encoder = msgspec.json.Encoder()


class Assignment(Struct, frozen=True):
    """The arm and the configuration that served a call."""

    generation: int
    variant_id: str
    arm: str
    segment: str
    propensity: float
    unit_id: str | None = None


class Quality(Struct, frozen=True):
    """The quality of an answer, from 0 to 1, and who says so."""

    score: float
    source: str = "judge"


class Call(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call to a model; what is None is unknown, never zero."""

    call_id: str
    latency_ms: float
    model: str
    provider: str | None = None
    assignment: Assignment | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    reasoning_tokens: int | None = None
    first_token_ms: float | None = None
    cost_usd: float | None = None
    error_type: str | None = None
    quality: Quality | None = None
    covariate: float | None = None
    attributes: dict[str, str] | None = None


class Feedback(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Later news of a call."""

    call_id: str
    kind: str
    score: float
    assignment: Assignment | None = None


class Applied(Struct, frozen=True):
    """The generation that this instance uses from now on."""

    generation: int
    instance: str


TYPES: dict[type, str] = {
    Call: "llmopt.call.v1",
    Feedback: "llmopt.feedback.v1",
    Applied: "llmopt.configuration.applied.v1",
}


def encode(data: Call | Feedback | Applied, *, subject: str, source: str, id_: str, at: datetime) -> bytes:
    """The event as the value of a record, to be sent with HEADERS.

    Raises:
        TypeError: something in `data` has no place in JSON.
    """
    return _encoder.encode(
        {
            "type": TYPES[type(data)],
            "specversion": "1.0",
            "source": source,
            "id": id_,
            "time": at.isoformat(timespec="milliseconds"),
            "subject": subject,
            "data": data,
        }
    )


def assignment_of(assigned: Assigned | Token) -> Assignment | None:
    """The assignment as it travels; None for the default, which belongs to no experiment."""
    if assigned.generation == 0:
        return None
    return Assignment(
        assigned.generation,
        assigned.variant_id,
        assigned.arm,
        assigned.segment,
        assigned.propensity,
        assigned.unit_id or None,
    )
