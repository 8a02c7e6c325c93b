"""The sums of what travelled on the topics: the only source of the demo's numbers.

Nothing here knows the world. Panes are exact integer sums, so adding them up in any order gives the
same; an event that was emitted twice (after a crash) has the same source and sequence and is dropped.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from optimizer.act.machine import ENDS, FINAL, Phase
from optimizer.model.decision import Decision, in_words
from optimizer.model.event import (
    DecisionEvent,
    Event,
    FindingEvent,
    PaneEvent,
    RolloutStatusEvent,
    WatermarkEvent,
)
from optimizer.model.finding import Finding
from optimizer.model.instants import MINUTE_MS
from optimizer.model.rollout import RolloutStatus

if TYPE_CHECKING:
    from optimizer.model.pane import Cell


class Who(NamedTuple):
    """The calls that are summed: of which variant, arm and minute."""

    minute: int
    """Minutes since the epoch."""
    segment: str
    arm: str
    variant: str


@dataclass
class CallTotals:
    """The sums of some calls; integers, so that addition is exact."""

    calls: int = 0
    errors: int = 0
    costed: int = 0
    cost_nano_usd: int = 0
    cost_squares: int = 0
    scored: int = 0
    quality_millionths: int = 0
    quality_squares: int = 0
    latency_us: dict[int, int] = field(default_factory=dict)
    """Bucket of `optimizer.stats.histogram` → count."""

    def add(self, cell: "Cell | CallTotals") -> None:
        """Add the calls of a cell, or of other sums."""
        self.calls += cell.calls
        self.errors += cell.errors if isinstance(cell, CallTotals) else sum(cell.errors.values())
        self.costed += cell.costed
        self.cost_nano_usd += cell.cost_nano_usd
        self.cost_squares += cell.cost_squares
        self.scored += cell.scored
        self.quality_millionths += cell.quality_millionths
        self.quality_squares += cell.quality_squares
        for bucket, count in cell.latency_us.items():
            self.latency_us[bucket] = self.latency_us.get(bucket, 0) + count


@dataclass
class Story:
    """One rollout, from its first word to its last."""

    rollout_id: str
    segment: str
    variant_id: str
    model: str
    started_at: int
    phase: str
    step: int
    weight_bps: int
    reason: str
    decision_id: str
    """The decision that brought it where it is."""
    differs: str = ""
    """What the candidate changes of the incumbent, in words."""
    promoted_at: int | None = None
    ended_at: int | None = None

    @property
    def live(self) -> bool:
        """True if users meet its candidate as a candidate."""
        return self.phase not in ENDS

    @property
    def outcome(self) -> str:
        """The outcome of the rollout; `running` while it has none."""
        return "running" if self.live else self.phase


@dataclass
class Books:
    """Everything read so far."""

    note: Callable[[Event], None] = lambda _event: None
    """Told of every event that is counted, in the order of reading."""
    sums: dict[Who, CallTotals] = field(default_factory=dict)
    stories: dict[str, Story] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)
    failures: list[Finding] = field(default_factory=list)
    """Findings of kind trip or comparison that failed."""
    newest: dict[tuple[str, str], Finding] = field(default_factory=dict)
    """The newest comparison by segment and metric."""
    panes: int = 0
    findings: int = 0
    passed_at: dict[tuple[str, int], int] = field(default_factory=dict)
    """Topic and source partition → the instant it has passed, ms since the epoch."""
    _sequences: dict[tuple[str, str, int], int] = field(default_factory=dict)

    def read(self, event: Event, topic: str = "", partition: int = 0) -> None:
        """Count an event, once."""
        if event.sequence is not None:
            sender = (event.source, topic, partition)
            if event.sequence <= self._sequences.get(sender, -1):
                return
            self._sequences[sender] = event.sequence
        count = _COUNT.get(type(event))
        if count is not None:
            count(self, event)
            self.note(event)
        elif isinstance(event, WatermarkEvent):
            source = (topic, event.data.partition)
            self.passed_at[source] = max(self.passed_at.get(source, 0), event.data.passed_at)

    def watermark(self, topic: str) -> int | None:
        """The instant (ms) that every partition of a topic has passed; None before the first word."""
        return min((at for (of, _), at in self.passed_at.items() if of == topic), default=None)

    def total(self, chosen: Callable[[Who], bool]) -> dict[str, CallTotals]:
        """The sums of the chosen cells, by segment."""
        by_segment: dict[str, CallTotals] = {}
        for who, sums in self.sums.items():
            if chosen(who):
                by_segment.setdefault(who.segment, CallTotals()).add(sums)
        return by_segment

    def calls(self) -> int:
        """All calls counted in panes."""
        return sum(sums.calls for sums in self.sums.values())

    def promoted(self) -> dict[str, Story]:
        """Segment → the last rollout that was promoted there and stands."""
        standing = [
            s for s in self.stories.values() if s.promoted_at is not None and s.phase == Phase.PROMOTED
        ]
        return {story.segment: story for story in sorted(standing, key=lambda s: s.promoted_at or 0)}

    def in_order(self) -> Iterable[Story]:
        """All rollouts by their start."""
        return sorted(self.stories.values(), key=lambda story: (story.started_at, story.segment))

    def _pane(self, event: PaneEvent) -> None:
        self.panes += 1
        minute = event.data.start_at // MINUTE_MS
        for cell in event.data.cells:
            who = Who(minute, cell.segment, cell.arm, cell.variant_id)
            self.sums.setdefault(who, CallTotals()).add(cell)

    def _finding(self, event: FindingEvent) -> None:
        self.findings += 1
        finding = event.data
        if finding.kind == "comparison":
            self.newest[finding.segment, finding.metric] = finding
        if finding.verdict == "fail" and finding.kind in ("hard_limit", "comparison"):
            self.failures.append(finding)

    def _decision(self, event: DecisionEvent) -> None:
        self.decisions[event.data.decision_id] = event.data

    def _differs(self, said: RolloutStatus) -> str:
        """The difference in words, as told by the rollout's decision; the model, where that was not read yet."""
        decision = self.decisions.get(said.decision_id)
        return in_words(decision) if decision else said.model

    def _status(self, event: RolloutStatusEvent) -> None:
        said: RolloutStatus = event.data
        story = self.stories.get(said.rollout_id)
        if story is None:
            story = self.stories[said.rollout_id] = Story(
                said.rollout_id, said.segment, said.variant_id, said.model, said.since_at, said.phase,
                said.step, said.weight_bps, said.reason, said.decision_id,
            )  # fmt: skip
        if story.phase == Phase.PROMOTED == said.phase:
            return  # the end of a holdback is no news of the rollout
        story.phase, story.step, story.weight_bps = said.phase, said.step, said.weight_bps
        story.reason, story.decision_id, story.differs = said.reason, said.decision_id, self._differs(said)
        if said.phase == Phase.PROMOTED:
            story.promoted_at = story.ended_at = said.since_at
        elif said.phase in FINAL:
            story.ended_at = said.since_at


_COUNT = cast(
    "dict[type[Event], Callable[[Books, Any], None]]",
    {
        PaneEvent: Books._pane,  # noqa: SLF001 - a table of this class's own methods
        FindingEvent: Books._finding,  # noqa: SLF001
        DecisionEvent: Books._decision,  # noqa: SLF001
        RolloutStatusEvent: Books._status,  # noqa: SLF001
    },
)
