"""A log of one input partition, written and folded at once."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from optimizer.model.call import Applied, Assignment, Call, Feedback, Metric
from optimizer.model.event import (
    AppliedEvent,
    CallEvent,
    FeedbackEvent,
    MetricEvent,
    TargetEvent,
    TickEvent,
)
from optimizer.model.pane import Pane
from optimizer.model.progress import Tick, Watermark
from optimizer.model.target import Model, Segments, Target
from optimizer.observe.stage import Observe

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
BEGIN_MS = 1_767_225_600_000


class Log:
    """Times are seconds after BEGIN, which is a pane boundary."""

    def __init__(self, stage=None):
        self.stage = stage or Observe(3)
        self.state = self.stage.initial("1")
        self.events, self.emitted, self.rejected = [], [], []
        self.appended_at = -1
        """The broker's time of what is written from now on (ms); -1: the broker does not tell."""

    def fold(self, events):
        step = self.stage.fold(self.state, events)
        self.state = step.state
        self.emitted += step.emitted
        self.rejected += step.rejected

    def write(self, event_type, subject, data, at):
        offset = len(self.events)
        time = at if isinstance(at, datetime) else BEGIN + timedelta(seconds=at)
        event = event_type(
            specversion="1.0",
            id=f"{offset}",
            source="/test",
            time=time,
            subject=subject,
            data=data,
            offset=offset,
            appended_at=self.appended_at,
        )
        self.events.append(event)
        self.fold([event])
        return event

    def again(self, event):
        """The same record once more, at the next offset."""
        event = msgspec.structs.replace(event, offset=len(self.events))
        self.events.append(event)
        self.fold([event])

    def tick(self, at):
        return self.write(TickEvent, None, Tick(), at)

    def declare(self, name="search", values=("short", "long"), at=0, subject=None, **differently):
        segments = Segments(attribute="task", values=values) if values else None
        target = Target(
            target=name, incumbent="m", models=(Model(name="m"),), segments=segments, **differently
        )
        return self.write(TargetEvent, subject or name, target, at)

    def call(self, at, target="search", **data):
        return self.write(
            CallEvent, target, Call(**{"call_id": "c", "latency_ms": 100.0, "model": "m", **data}), at
        )

    def feedback(self, at, score=1.0, assignment=None, target="search", **data):
        """Of a call that nobody has heard of, unless `call_id` says which."""
        told = {"call_id": f"f{len(self.events)}", "kind": "thumbs", "score": score, "assignment": assignment}
        return self.write(FeedbackEvent, target, Feedback(**{**told, **data}), at)

    def metric(self, at, name="depth", target="search", **data):
        return self.write(MetricEvent, target, Metric(name=name, **data), at)

    def applied(self, at, generation, instance="pod", target="search"):
        return self.write(AppliedEvent, target, Applied(generation=generation, instance=instance), at)

    def assigned(self, segment="short", arm="candidate", generation=3, variant="v"):
        return Assignment(generation=generation, variant_id=variant, arm=arm, segment=segment)

    def panes(self, target="search"):
        return [e.data for e in self.emitted if isinstance(e.data, Pane) and e.subject == target]

    def cells(self, target="search"):
        """All emitted cells of a target, by key."""
        return {
            (cell.generation, cell.variant_id, cell.arm, cell.segment): cell
            for pane in self.panes(target)
            for cell in pane.cells
        }

    def measures(self, target="search"):
        """All emitted measures of a target, in order."""
        return [measure for pane in self.panes(target) for measure in pane.metrics]

    def watermarks(self):
        return [e.data for e in self.emitted if isinstance(e.data, Watermark)]

    def counts(self):
        """What was left out, over all watermarks."""
        total = {}
        for watermark in self.watermarks():
            for reason, n in watermark.counts.items():
                total[reason] = total.get(reason, 0) + n
        return total

    def written(self):
        return msgspec.json.encode(self.stage.snapshot(self.state))

    def begun_again(self, written, *, replay_window=None):
        """A log folded from a written row on, with whatever followed; and what it emitted."""
        other = Log(self.stage)
        other.state = msgspec.json.decode(written, type=self.stage.state_type)
        begin = self.stage.replay_from(other.state, other.state.folded)
        begin -= self.stage.replay_window if replay_window is None else replay_window
        other.fold([event for event in self.events if event.offset >= begin])
        return other


@pytest.fixture
def log():
    log = Log()
    log.tick(0)
    log.declare()
    return log


@pytest.fixture
def new_log():
    """Makes logs nobody has written to, of other settings."""
    return Log


@pytest.fixture
def begin_ms():
    return BEGIN_MS
