"""The envelope: CloudEvents 1.0, one class per event type, told apart by `type`.

A decoded record *is* one of these structs, so that the hot path makes one object per event.
`offset` is set by the shell; a producer cannot choose it.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from optimizer.model.call import Applied, Call, Feedback, Metric
from optimizer.model.command import Alert, Command, PolicyVerdict
from optimizer.model.configuration import Configuration
from optimizer.model.decision import Decision
from optimizer.model.finding import Finding
from optimizer.model.pane import Pane
from optimizer.model.progress import Tick, Watermark
from optimizer.model.rollout import RolloutCommand, RolloutStatus
from optimizer.model.target import Target

Text = Annotated[str, Meta(min_length=1, max_length=1024)]
Subject = Annotated[str, Meta(min_length=1, max_length=256)]
Instant = Annotated[datetime, Meta(tz=True)]


class Event(Struct, kw_only=True, gc=False, tag_field="type"):
    """The attributes every event has."""

    specversion: Literal["1.0"]
    id: Text
    source: Text
    time: Instant
    subject: Subject | None = None
    sequence: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    """Position among its sender's emissions; only our own stages set it."""
    datacontenttype: str | None = None
    data_base64: None = None
    """Never there: data is JSON. Declared so that a record with base64 beside its data is refused."""
    offset: int = -1
    """Position in the input partition; set by the shell."""
    appended_at: int = -1
    """The instant at which the broker appended the record, ms since the epoch, by its own clock; set by the shell
    where the topic is stamped so, else -1."""


class CallEvent(Event, tag="llmopt.call.v1"):
    """A call to a model has ended."""

    subject: Subject
    data: Call


class FeedbackEvent(Event, tag="llmopt.feedback.v1"):
    """Later news of a call."""

    subject: Subject
    data: Feedback


class MetricEvent(Event, tag="llmopt.metric.v1"):
    """A number was measured."""

    subject: Subject
    data: Metric


class AppliedEvent(Event, tag="llmopt.configuration.applied.v1"):
    """A consumer uses a generation."""

    subject: Subject
    data: Applied


class TickEvent(Event, tag="llmopt.tick.v1"):
    """Time has come this far."""

    data: Tick


class TargetEvent(Event, tag="llmopt.target.declared.v1"):
    """A target was declared, changed or withdrawn."""

    subject: Subject
    data: Target


class PaneEvent(Event, tag="llmopt.pane.v1"):
    """A partial aggregate was closed."""

    subject: Subject
    data: Pane


class WatermarkEvent(Event, tag="llmopt.watermark.v1"):
    """A source partition has passed an instant."""

    data: Watermark


class FindingEvent(Event, tag="llmopt.finding.v1"):
    """Orient believes something."""

    subject: Subject
    data: Finding


class CommandEvent(Event, tag="llmopt.command.v1"):
    """A person wants something."""

    subject: Subject
    data: Command


class AlertEvent(Event, tag="llmopt.alert.v1"):
    """Another system warns."""

    subject: Subject
    data: Alert


class PolicyVerdictEvent(Event, tag="llmopt.policy.verdict.v1"):
    """A policy outside the loop has spoken."""

    subject: Subject
    data: PolicyVerdict


class DecisionEvent(Event, tag="llmopt.decision.v1"):
    """Something was decided."""

    subject: Subject
    data: Decision


class RolloutStatusEvent(Event, tag="llmopt.rollout.status.v1"):
    """A rollout moved."""

    subject: Subject
    data: RolloutStatus


class RolloutCommandEvent(Event, tag="llmopt.rollout.command.v1"):
    """An actuator has something to do."""

    subject: Subject
    data: RolloutCommand


class ConfigurationEvent(Event, tag="llmopt.configuration.v1"):
    """A configuration is in force."""

    subject: Subject
    data: Configuration


EVENTS: tuple[type[Event], ...] = (
    CallEvent, FeedbackEvent, MetricEvent, AppliedEvent, TickEvent, TargetEvent, PaneEvent, WatermarkEvent,
    FindingEvent, CommandEvent, AlertEvent, PolicyVerdictEvent, DecisionEvent, RolloutStatusEvent,
    RolloutCommandEvent, ConfigurationEvent,
)  # fmt: skip
"""Every event type, in the order an event meets them."""


def name_of(event: type[Event]) -> str:
    """`llmopt.pane.v1` → `pane`: the name used in the catalogue and in schemas/."""
    tag = str(event.__struct_config__.tag)
    return tag.removeprefix("llmopt.").removesuffix(".v1")


BY_NAME: dict[str, type[Event]] = {name_of(event): event for event in EVENTS}
BY_DATA: dict[type, type[Event]] = {event.__annotations__["data"]: event for event in EVENTS}
"""The payload's class names the event type: `Emit(data=Pane(…))` is a `pane`."""
