"""A desk at which decide (and act behind it) is told findings by hand, minute by minute."""

import itertools

import pytest

from optimizer.act.stage import Act
from optimizer.decide.stage import Decide
from optimizer.decide.trials.editor import SegmentEditor
from optimizer.declaration.declared import derive
from optimizer.loop import Loop, time_of
from optimizer.model.command import Alert, Command, PolicyVerdict
from optimizer.model.event import (
    AlertEvent,
    CommandEvent,
    FindingEvent,
    PolicyVerdictEvent,
    TargetEvent,
    WatermarkEvent,
)  # fmt: skip
from optimizer.model.finding import Evidence, Finding
from optimizer.model.progress import Watermark
from optimizer.model.target import ChangeRisks, Guardrails, Holdback, Model, RolloutPlan, Segments, Target
from optimizer.model.variant import variant_of

START_AT = 1_700_000_040_000
"""A full minute."""

MODELS = tuple(
    Model(name=name, input_usd_per_million_tokens=dollars, output_usd_per_million_tokens=dollars * 2)
    for name, dollars in (("tiny", 0.1), ("small", 1.0), ("middle", 3.0), ("large", 10.0), ("huge", 40.0))
)
PLAN = RolloutPlan(step_min_s=60, step_min_units=50, step_max_s=1800, bake_s=120, cooldown_s=60)


def a_target(**changes):
    declared = {
        "target": "chat", "autonomy": "auto", "incumbent": "large", "models": MODELS, "rollout": PLAN,
        "guardrails": Guardrails(), "holdback": Holdback(share_bps=200, for_s=3600), "risks": ChangeRisks(),
    }  # fmt: skip
    return Target(**(declared | changes))


def variant_id(name):
    return variant_of(next(model for model in MODELS if model.name == name)).variant_id


class Desk:
    """Feeds one target of decide and act; collects what they say."""

    def __init__(self):
        self.loop = Loop([Decide(), Act()], partitions=1)
        self.now_at = START_AT
        self.emitted = {name: [] for name in self.loop.topics}
        self.ids = itertools.count()

    def _feed(self, kind, data, **more):
        event = kind(
            specversion="1.0", id=f"e{next(self.ids)}", source="/test", time=time_of(self.now_at),
            subject=more.pop("subject", "chat"), data=data,
        )  # fmt: skip
        fresh = self.loop.feed([event], topic="findings", **more)
        for name, events in fresh.items():
            self.emitted[name] += events
        return [event.data for event in fresh["decisions"]]

    # -- what is told --------------------------------------------------------------------------

    def declare(self, target=None, **changes):
        self.declared = target or a_target(**changes)
        return self._feed(TargetEvent, self.declared, subject=self.declared.target)

    def command(self, command, **more):
        told = Command(
            command=command, actor=more.pop("actor", "ann"), reason=more.pop("reason", "because"), **more
        )
        return self._feed(CommandEvent, told)

    def alert(self, severity="critical", segment=None):
        return self._feed(AlertEvent, Alert(severity=severity, reason="secrets leak", segment=segment))

    def policy(self, verdict, decision):
        told = PolicyVerdict(
            decision_id=decision, verdict=verdict, actor="no-small-models", reason="not for billing"
        )
        return self._feed(PolicyVerdictEvent, told)

    def find(self, kind, metric, verdict, **more):
        end_at = more.pop("end_at", self.now_at)
        found = {
            "finding_id": f"f{next(self.ids)}", "segment": "other", "kind": kind, "metric": metric,
            "role": {"comparison": "goal" if metric == "cost" else "guardrail", "hard_limit": "guardrail",
                     "level": "signal", "adoption": "health", "health": "health", "analysis": "signal",
                     "spend": "signal"}[kind],
            "verdict": verdict, "window_start_at": end_at - 60_000, "window_end_at": end_at,
            "reason": f"{metric} is {verdict}", "n": 100, "n_control": 100,
            "evidence": (Evidence(partition=0, first_offset=3, last_offset=9),),
        }  # fmt: skip
        self._feed(FindingEvent, Finding(**(found | more)))

    def levels(self, segment="other", n=500):
        for metric in ("cost", "errors", "latency", "quality"):
            self.find(
                "level", metric, "pass" if n else "no_data", segment=segment, n=n, n_control=0, estimate=0.05
            )

    def covered(self, segment="other", generation=None):
        generation = self.act.generation if generation is None else generation
        self.find("adoption", "adoption", "pass", segment=segment, generation=generation, estimate=1.0)

    def compared(self, segment="other", n=None, variant=None, generation=None, **verdicts):
        generation = self.act.generation if generation is None else generation
        live = self.state.segments[segment].trial
        n = n if n is not None else (live.units if live else 0) + 100
        for metric in ("quality", "latency", "errors", "cost"):
            verdict = verdicts.get(metric, "pass")
            if verdict is not None:
                self.find(
                    "comparison", metric, verdict, segment=segment, n=n, n_control=n,
                    variant_id=variant or (live.variant if live else "gone"), generation=generation, unit="relative",
                    estimate=-0.382, low=-0.44, high=-0.301, margin=0.05, level=0.98,
                )  # fmt: skip

    def passes(self, seconds=0):
        """Time goes on; the watermark follows."""
        self.now_at += seconds * 1000
        return self._feed_watermark()

    def _feed_watermark(self):
        event = WatermarkEvent(
            specversion="1.0", id=f"w{next(self.ids)}", source="/llmopt/orient", time=time_of(self.now_at),
            data=Watermark(partition=0, of=1, passed_at=self.now_at),
        )  # fmt: skip
        fresh = self.loop.feed([event], topic="findings")
        for name, events in fresh.items():
            self.emitted[name] += events
        return [event.data for event in fresh["decisions"]]

    def minute(self, segment="other", **verdicts):
        """A minute in which everything follows, with these verdicts; its decisions."""
        self.now_at += 60_000
        self.covered(segment)
        live = self.state.segments[segment].trial
        if live is not None and live.phase != "awaiting":
            self.compared(segment, **verdicts)
        else:
            self.levels(segment)
        return self._feed_watermark()

    def started(self, **changes):
        """A target whose first candidate is live at its first step."""
        self.declare(**changes)
        segments = changes.get("segments")
        names = (*(segments.values if segments else ()), "other")
        self.now_at += 60_000
        for name in names:
            self.covered(name)
            self.levels(name)
        return self._feed_watermark()

    # -- what came of it -------------------------------------------------------------------------

    @property
    def state(self):
        return self.loop.state_of("decide", "chat")

    def editor(self, segment="other"):
        """A segment, taken up as for a decision."""
        return SegmentEditor(self.state, segment, derive(self.state.declaration))

    @property
    def act(self):
        return self.loop.state_of("act", "chat")

    @property
    def live(self):
        return self.state.segments["other"].trial

    @property
    def configuration(self):
        return self.emitted["configurations"][-1].data

    def arms(self, segment="other"):
        return {(arm.arm, arm.model): arm.weight_bps for arm in self.configuration.segments[segment]}

    @property
    def statuses(self):
        return [e.data.phase for e in self.emitted["rollouts"] if hasattr(e.data, "phase")]


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def desk_of_two():
    """Two segments, `code` and `other`, each with its candidate live."""
    desk = Desk()
    desk.started(segments=Segments(attribute="task", values=("code",)))
    return desk


@pytest.fixture(name="variant_id")
def _variant_id():
    return variant_id
