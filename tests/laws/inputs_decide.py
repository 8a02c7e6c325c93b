"""What the laws feed decide: findings that fit what is live, findings that do not, and impatient people."""

from random import Random

from optimizer.act.stage import Act
from optimizer.decide.stage import Decide
from optimizer.loop import Loop, time_of
from optimizer.model.budget import Approvals, Budget, Limits
from optimizer.model.command import Alert, Command, PolicyVerdict
from optimizer.model.cycles import Schedule
from optimizer.model.event import (
    AlertEvent,
    CommandEvent,
    FindingEvent,
    PolicyVerdictEvent,
    TargetEvent,
    WatermarkEvent,
)  # fmt: skip
from optimizer.model.finding import Evidence, Finding
from optimizer.model.lever import Levers, Parameter
from optimizer.model.policy import MOST_POLICIES, MOST_RULES, Policy, Rule
from optimizer.model.progress import Watermark
from optimizer.model.target import Failover, FixedArms, Holdback, Model, RolloutPlan, Segments, Target
from optimizer.model.variant import variant_of

STAGE = Decide()
ROW_BYTES = 200_000
BEGIN_AT = 1_772_323_200_000
NAMES = ("summaries", "search", "nobody")
SEGMENTS = ("short", "long", "code")
VERDICTS = ("pass", "fail", "inconclusive", "error", "no_data")
COMMANDS = (
    "freeze", "unfreeze", "approve", "reject", "pause", "resume", "promote", "rollback", "optimize", "abort",
    "restore", "unban",
)  # fmt: skip
STRATEGIES = ("bandit", "hierarchical_bandit", "ab_test", "alarm_rules", "contextual_bandit", "tuning")
TURNED = Levers(parameters={"max_tokens": Parameter(min=200, max=800, step=200)})
METRICS = ("quality", "latency", "errors", "cost")
GOVERNED = {
    "policies": (
        Policy(
            id="p",
            type="cost",
            rules=(
                Rule(condition="daily_cost > 40.0", action="deny"),
                Rule(condition="model.name == 'm3' && quality_score < 0.5", action="require_approval"),
                Rule(condition="weight_bps > 2500", action="limit", share_bps=5000),
            ),
        ),
    ),
    "budget": Budget(usd_per_day=50.0, usd_per_month=400.0),
    "limits": Limits(starts_per_day=9, max_exposure_bps=9000),
    "approvals": Approvals(needed=2, expires_s=300),
}


class Author:
    """Writes the log of one partition of `findings`, looking over the shoulder of a running loop."""

    def __init__(self, seed):
        self.random = Random(seed)
        self.at = BEGIN_AT
        self.loop = Loop([Decide(), Act()])
        self.declared = {}

    @property
    def events(self):
        return self.loop.topics["findings"][0]

    def write(self, event_type, subject, data):
        time = time_of(self.at + self.random.randrange(999))
        event = event_type(
            specversion="1.0",
            id=f"{len(self.events)}",
            source="/author",
            time=time,
            subject=subject,
            data=data,
        )
        self.loop.feed([event], topic="findings")

    def declare(self, name=None):
        random = self.random
        name = name or random.choice(NAMES[:2])
        values = tuple(random.sample(SEGMENTS, 2))
        models = [
            Model(name=f"m{i}", input_usd_per_million_tokens=float(i)) for i in random.sample(range(9), k=5)
        ]
        incumbent = random.choice((*models, *models, Model(name="unlisted"))).name
        others = [model.name for model in models if model.name != incumbent]
        strategy = random.choice((*STRATEGIES, "pareto", "pareto", "pareto"))
        self.declared[name] = Target(
            target=name,
            ab_test=FixedArms(models=tuple(others[:3]), min_s=60, max_s=900) if strategy == "ab_test" else FixedArms(),
            failover=random.choice((None, Failover(to=others[-1]))),
            revision=len(self.events) + 1,
            autonomy=random.choice(("auto", "auto", "auto", "approve", "advise", "observe")),
            incumbent=incumbent,
            models=tuple(models),
            segments=random.choice((None, Segments(attribute="task", values=values))),
            rollout=RolloutPlan(
                step_min_s=60, step_min_units=50, step_max_s=600, bake_s=60, cooldown_s=60, ban_s=900,
                on_inconclusive=random.choice(("pause", "roll_back")),
                kind=random.choice(("canary", "canary", "blue_green", "shadow", "immediate")),
                shadow_s=random.choice((0, 0, 120)),
            ),
            holdback=Holdback(share_bps=random.choice((0, 200)), for_s=300),
            levers=random.choice((Levers(), TURNED)),
            withdrawn=random.random() < 0.15,
            strategy=strategy,
            schedule=Schedule(main_s=random.choice((0, 120)), slow_s=600),
            **random.choice(({}, {}, GOVERNED)),
        )  # fmt: skip
        self.write(TargetEvent, name, self.declared[name])

    def find(self, subject, kind, metric, **fields):
        number = len(self.events)
        found = {
            "finding_id": f"f{number}", "segment": "other", "role": "guardrail", "verdict": "pass",
            "window_start_at": self.at - 60_000, "window_end_at": self.at, "reason": "so it is",
            "n": self.random.randrange(2000), "n_control": 9, "estimate": self.random.random(),
            "evidence": (Evidence(partition=number % 3, first_offset=number, last_offset=number + 9),),
        }  # fmt: skip
        self.write(FindingEvent, subject, Finding(kind=kind, metric=metric, **(found | fields)))

    def stray(self):
        """A finding about anything, of any time."""
        random = self.random
        self.find(
            random.choice(NAMES), random.choice(("comparison", "hard_limit", "level", "adoption")),
            random.choice(METRICS), verdict=random.choice(VERDICTS),
            segment=random.choice((*SEGMENTS, "other")),
            window_end_at=self.at + random.choice((-600_000, -10_000, 0, 10_000, 60_000)),
            variant_id=variant_of(Model(name=f"m{random.randrange(9)}")).variant_id,
            generation=random.randrange(5),
        )  # fmt: skip

    def command(self):
        random = self.random
        name = random.choice(NAMES)
        waiting = [
            e.data.decision_id for e in self.loop.topics["decisions"][0][-9:] if e.subject == name and e.data
        ]
        kind = random.choice(COMMANDS)
        segment = random.choice((None, None, "other", *SEGMENTS))
        wish = Command(
            command=kind, actor=random.choice(("ann", "bob")), reason="because",
            segment=None if kind == "restore" else segment,
            decision_id=random.choice((None, *waiting)),
            variant=random.choice((None, *self._variants(name, kind))),
            generation=random.choice((None, random.randrange(1, 200), *self._generations(name) * 3)),
        )  # fmt: skip
        self.write(CommandEvent, name, wish)

    def _variants(self, name, kind):
        """What a person may name: by its id, or by its model."""
        if name not in self.declared or kind not in ("promote", "rollback", "unban"):
            return ()
        segments = self.loop.state_of("decide", name).segments.values()
        return sorted({v for one in segments for v in (*one.candidates(), *one.bans)} | {"m1", "nobody"})

    def _generations(self, name):
        return tuple(self.loop.state_of("decide", name).past) if name in self.declared else ()

    def alert(self):
        severity = self.random.choice(("info", "critical"))
        self.write(AlertEvent, self.random.choice(NAMES), Alert(severity=severity, reason="a leak"))

    def policy(self):
        random = self.random
        name = random.choice(NAMES)
        waiting = [
            "d-none",
            *(
                e.data.decision_id
                for e in self.loop.topics["decisions"][0][-9:]
                if e.subject == name and e.data
            ),
        ]
        told = PolicyVerdict(
            decision_id=random.choice(waiting),
            verdict=random.choice(("allow", "deny")),
            actor="rule",
            reason="so",
        )
        self.write(PolicyVerdictEvent, name, told)

    def minute(self):
        """A minute passes in which orient speaks of everything that is there."""
        random = self.random
        self.at += random.choice((10_000, 60_000, 60_000, 60_000, 300_000))
        for name in self.declared:
            state = self.loop.state_of("decide", name)
            for segment, known in list(state.segments.items()):
                self.find(name, "adoption", "adoption", segment=segment, generation=state.generation)
                if random.random() < 0.1:
                    status, severity = (
                        random.choice(("opened", "closed")),
                        random.choice(("warning", "critical")),
                    )
                    told = {"segment": segment, "alarm_id": segment, "status": status, "severity": severity}
                    self.find(name, "analysis", random.choice(METRICS), **told)
                for variant in (None, *(known.candidates() or ("gone",))):
                    told = {"segment": segment, "variant_id": variant, "role": "signal", "n_effective": 9.0}
                    self.find(name, "spend", "cost", **told)
                if known.trial is not None and known.trial.allocation == "adaptive":
                    self.compare_arms(name, segment, known)
                    continue
                for metric in METRICS:
                    verdict = random.choices(VERDICTS, (40, 1, 3, 1, 1))[0]
                    if known.trial is None:
                        calm = {"estimate": random.choices((0.02, 0.9), (30, 1))[0]}
                        self.find(name, "level", metric, segment=segment, verdict=verdict, **calm)
                        continue
                    role = "goal" if metric == "cost" else "guardrail"
                    more = {
                        "segment": segment,
                        "role": role,
                        "generation": known.trial.generation,
                    }
                    for variant in known.trial.arms:
                        verdict = random.choices(VERDICTS, (40, 1, 3, 1, 1))[0]
                        self.find(name, "comparison", metric, variant_id=variant, verdict=verdict, **more)
        self.write(WatermarkEvent, None, Watermark(partition=0, of=1, passed_at=self.at))

    def compare_arms(self, name, segment, known):
        """What orient says of an experiment: each arm against the incumbent."""
        for variant in list(known.trial.weights):
            for metric in METRICS if variant != known.incumbent else ():
                estimate = self.random.uniform(-0.5, 0.2)
                self.find(
                    name, "comparison", metric, segment=segment, variant_id=variant, control_id=known.incumbent,
                    role="goal" if metric == "cost" else "guardrail", unit="relative",
                    verdict=self.random.choices(VERDICTS, (40, 1, 3, 1, 1))[0],
                    estimate=estimate, low=estimate - 0.1, high=estimate + 0.1, level=0.95,
                )  # fmt: skip


def history(seed, length=450):
    return _lived(seed, length).events


def lived(seed, length):
    """The loop that has lived through the history."""
    return _lived(seed, length).loop


def _lived(seed, length):
    author = Author(seed)
    author.declare("search")
    author.declare("summaries")
    while len(author.events) < length:
        kinds = (author.minute, author.stray, author.command, author.alert, author.policy, author.declare)
        author.random.choices(kinds, (60, 20, 18, 1, 2, 2))[0]()
    return author


def flood(seed):
    """The largest declaration there can be, long reasons, and bans wherever there can be one."""
    author = Author(seed)
    author.find("search", "level", "cost")
    models = tuple(Model(name=f"{i:0128d}", input_usd_per_million_tokens=float(i)) for i in range(64))
    author.declared["search"] = Target(
        target="search",
        autonomy="auto",
        incumbent=models[-1].name,
        models=models,
        segments=Segments(attribute="a" * 128, values=tuple(f"{i:0128d}" for i in range(16))),
        rollout=RolloutPlan(cooldown_s=0),
        policies=tuple(
            Policy(
                id=f"{i:0128d}",
                name="n" * 128,
                type="compliance",
                rules=tuple(
                    Rule(condition="false".ljust(400), action="deny", message="m" * 160)
                    for _ in range(MOST_RULES)
                ),
            )
            for i in range(MOST_POLICIES)
        ),
        budget=Budget(usd_per_day=1e9),
    )
    author.write(TargetEvent, "search", author.declared["search"])
    for _ in range(8):
        author.minute()
        for segment in list(author.loop.state_of("decide", "search").segments):
            for word in ("rollback", "freeze", "unfreeze"):
                wish = Command(command=word, actor="b" * 128, reason="r" * 1000, segment=segment)
                author.write(CommandEvent, "search", wish)
    return author.events
