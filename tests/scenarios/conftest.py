"""The world of the scenarios: callers that follow the configuration, models that answer with seeded dice.

A scenario is a text. `#` tells the story, words move the world, lines behind `|` are what the loop said, and are
checked. `make accept` writes them anew. What the loop says stands there whole: a long text goes on in the next line,
four spaces further in.

    model NAME price=… quality=… latency_ms=… errors=…      a model, or how it behaves from now on; first_ms=… and
                                                             tokens=… where its calls tell first token and length
    lever NAME min=… max=… step=…                            a parameter that may be turned, in later declarations
    effect NAME VALUE price=… quality=…                      what a parameter at a value does to every model
    policy ID ACTION [share_bps=…]: CONDITION                a rule, from the next declaration on
    declare KEY=VALUE …                                      the target `chat`, with all models known so far
    traffic N                                                calls per second
    callers follow | callers stay                            whether new configurations are picked up
    callers roll | callers hash                              whether each call is assigned by dice, or by its unit
    users N                                                  how many there are; a thousand million, if nothing is said
    lose ARM SHARE                                           this share of an arm's calls is not reported
    run 10m                                                  time passes
    say COMMAND [segment=…] [variant=…] [actor=…]: REASON    a person
    alert SEVERITY: SENTENCE                                 another system
    show                                                     the configuration in force
"""

import re
from itertools import count
from random import Random

import pytest

from optimizer.act.assign import arm_of
from optimizer.act.stage import Act
from optimizer.decide.stage import Decide
from optimizer.loop import Loop, time_of
from optimizer.model.budget import Approvals, Budget, Limits
from optimizer.model.call import Assignment, Call, Quality
from optimizer.model.command import Alert, Command
from optimizer.model.cycles import Schedule
from optimizer.model.decision import at_shares
from optimizer.model.event import AlertEvent, CallEvent, CommandEvent, TargetEvent, TickEvent
from optimizer.model.lever import Levers, Parameter
from optimizer.model.policy import Policy, Rule
from optimizer.model.progress import Tick
from optimizer.model.target import (
    ChangeRisks,
    Failover,
    FixedArms,
    Guardrails,
    HardLimits,
    Holdback,
    Model,
    RolloutPlan,
    Segments,
    Target,
)
from optimizer.observe.stage import Observe
from optimizer.orient.stage import Orient

BEGIN_AT = 1_772_323_200_000
TICK_MS = 5_000
PARTITIONS = 2
PARTS = {
    "rollout": RolloutPlan, "guardrails": Guardrails, "hard_limits": HardLimits,
    "holdback": Holdback, "risks": ChangeRisks, "schedule": Schedule,
    "budget": Budget, "limits": Limits, "approvals": Approvals,
}  # fmt: skip


class World:
    """One target, its callers, and a loop of all four stages beside them."""

    def __init__(self, seed, partitions=PARTITIONS):
        self.random = Random(seed)
        self.partitions = partitions
        self.loop = Loop([Observe(partitions), Orient(), Decide(), Act()], partitions)
        self.now_at = BEGIN_AT
        self.models, self.declared, self.revision = {}, None, 0
        self.parameters, self.effects = {}, {}
        self.regions, self.policies = {}, ()
        self.followed, self.following, self.per_s, self.calls = None, True, 20.0, 0
        self.rolling, self.users = False, 10**9
        self.lost = {}
        self.said, self.asked, self.ids = [], None, count()

    def do(self, line):
        """Follow one line of the script; what the loop said meanwhile."""
        self.said = []
        word, _, rest = line.partition(" ")
        getattr(self, f"do_{word}")(rest)
        return self.said

    # -- the words of the script -------------------------------------------------------------------

    def do_model(self, rest):
        name, *settings = rest.split()
        known = self.models.setdefault(
            name, {"price": 1.0, "quality": 0.8, "latency_ms": 500.0, "errors": 0.0}
        )
        given = dict(one.split("=") for one in settings)
        if "region" in given:
            self.regions[name] = given.pop("region")
        known |= {key: float(value) for key, value in given.items()}

    def do_policy(self, rest):
        words, _, condition = rest.partition(": ")
        name, action, *share = words.split()
        rule = Rule(
            condition=condition,
            action=action,
            share_bps=int(share[0].removeprefix("share_bps=")) if share else None,
        )
        self.policies = (*self.policies, Policy(id=name, type="compliance", rules=(rule,)))

    def do_lever(self, rest):
        name, *settings = rest.split()
        given = {key: _value(value) for key, value in (one.split("=") for one in settings)}
        self.parameters[name] = Parameter(**given)

    def do_effect(self, rest):
        name, value, *settings = rest.split()
        self.effects[name, _value(value)] = {
            key: float(number) for key, number in (one.split("=") for one in settings)
        }

    def do_declare(self, rest):
        given = {key: _value(value) for key, value in (one.split("=", 1) for one in rest.split())}
        self.revision += 1
        parts = {
            part: struct(**{key: given.pop(key) for key in struct.__struct_fields__ if key in given})
            for part, struct in PARTS.items()
            if part != "budget" or not given.keys().isdisjoint(struct.__struct_fields__)
        }
        if "segments" in given:
            given["segments"] = Segments(
                attribute=given.pop("told_by", "task"), values=tuple(str(given["segments"]).split(","))
            )
        test = {key: given.pop(key) for key in ("arms", "arm_bps", "max_s") if key in given}
        if "arms" in test:
            test["models"] = tuple(test.pop("arms").split(","))
        if test:
            given["ab_test"] = FixedArms(**test)
        if "failover" in given:
            given["failover"] = Failover(to=given["failover"])
        if self.parameters:
            given["levers"] = Levers(parameters=dict(self.parameters))
        names = str(given.pop("models", ",".join(self.models))).split(",")
        models = tuple(
            Model(
                name=n,
                input_usd_per_million_tokens=self.models[n].get("listed", self.models[n]["price"]),
                attributes={"region": self.regions[n]} if n in self.regions else {},
            )
            for n in names
        )
        self.declared = Target(
            target="chat", revision=self.revision, models=models, policies=self.policies, **parts, **given
        )
        self._feed(TargetEvent, self.declared)

    def do_traffic(self, rest):
        self.per_s = float(rest)

    def do_callers(self, rest):
        if rest in ("roll", "hash"):
            self.rolling = rest == "roll"
        else:
            self.following = rest == "follow"

    def do_users(self, rest):
        self.users = int(rest)

    def do_lose(self, rest):
        arm, share = rest.split()
        self.lost[arm] = float(share)

    def do_run(self, rest):
        number, unit = re.fullmatch(r"(\d+)([smhd])", rest).groups()
        end_at = self.now_at + int(number) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[unit] * 1000
        while self.now_at < end_at:
            self._calls(min(TICK_MS, end_at - self.now_at))
            self._feed(TickEvent, Tick(), subject=None)

    def do_say(self, rest):
        words, _, reason = rest.partition(": ")
        kind, *settings = words.split()
        given = {key: _value(value) for key, value in (one.split("=") for one in settings)}
        decision = self.asked if kind in ("approve", "reject") else None
        self._feed(
            CommandEvent,
            Command(
                command=kind, actor=given.pop("actor", "ann"), reason=reason, decision_id=decision, **given
            ),
        )

    def do_alert(self, rest):
        severity, _, sentence = rest.partition(": ")
        self._feed(AlertEvent, Alert(severity=severity, reason=sentence))

    def do_show(self, _rest):
        for segment, arms in sorted(self._newest().segments.items()):
            shares = ", ".join(
                " ".join([arm.arm, arm.model, *_turned(arm.parameters), f"{arm.weight_bps / 100:g} %"])
                for arm in arms
            )
            self.said.append(f"{segment}: {shares}")

    # -- how the world answers ---------------------------------------------------------------------

    def _calls(self, span_ms):
        begin_at, expected = self.now_at, self.per_s * span_ms / 1000
        self.now_at += span_ms
        if self.following:
            self.followed = self._newest()
        n = int(expected) + (self.random.random() < expected % 1)
        events = [e for i in range(n) for e in self._calls_at(begin_at + (i + 1) * span_ms // (n + 1))]
        events = [event for event in events if not self._is_lost(event.data.assignment)]
        for number in range(self.partitions):
            self._publish(self.loop.feed(events[number :: self.partitions], partition=number))

    def _is_lost(self, assignment):
        share = self.lost.get(assignment.arm) if assignment else None
        return share is not None and self.random.random() < share

    def _calls_at(self, at):
        """A call; where it is mirrored, also the one that no user meets."""
        dice = self.random
        values = self.declared.segment_names() if self.declared else ("other",)
        segment, unit = dice.choice(values), f"user-{dice.randrange(self.users)}"
        if self.followed is None:
            yield self._call(at, segment, self.declared.incumbent if self.declared else "large", None)
            return
        met = arm_of(self.followed, segment, f"{unit} {dice.random()}" if self.rolling else unit)
        shadows = [arm for arm in self.followed.segments[met.segment] if arm.arm == "shadow"]
        for arm in [met.arm, *(shadows if met.arm.arm == "control" else [])]:
            assignment = Assignment(
                generation=self.followed.generation, variant_id=arm.variant_id, arm=arm.arm,
                segment=met.segment, propensity=met.propensity, unit_id=unit,
            )  # fmt: skip
            effect = {}
            for turn in arm.parameters.items():
                effect |= self.effects.get(turn, {})
            yield self._call(at, segment, arm.model, assignment, effect)

    def _call(self, at, segment, model, assignment, effect=None):
        dice = self.random
        self.calls += 1
        nature = self.models[model] | (effect or {})
        fails = dice.random() < nature["errors"]
        weak = nature.get(f"quality_{segment}", nature["quality"])
        data = Call(
            call_id=f"c{self.calls}", model=model, assignment=assignment,
            latency_ms=nature["latency_ms"] * dice.lognormvariate(0, 0.3),
            cost_usd=None if fails else nature["price"] * 1e-3 * dice.uniform(0.5, 1.5),
            error_type="timeout" if fails else None,
            quality=None if fails else Quality(score=min(1.0, max(0.0, dice.gauss(weak, 0.1)))),
            attributes={self._told_by(): segment},
            first_token_ms=nature["first_ms"] * dice.lognormvariate(0, 0.3) if "first_ms" in nature else None,
            output_tokens=round(nature["tokens"] * dice.lognormvariate(0, 0.5)) if "tokens" in nature else None,
        )  # fmt: skip
        return CallEvent(
            specversion="1.0", id=data.call_id, source="/callers", time=time_of(at), subject="chat", data=data
        )

    def _told_by(self):
        return self.declared.segments.attribute if self.declared and self.declared.segments else "task"

    def _newest(self):
        log = self.loop.topics["configurations"][self.loop.partition_of("chat")]
        return log[-1].data if log else None

    def _feed(self, kind, data, subject="chat"):
        event = kind(
            specversion="1.0", id=f"w{next(self.ids)}", source="/world", time=time_of(self.now_at),
            subject=subject, data=data,
        )  # fmt: skip
        self._publish(self.loop.feed([event]))

    def _publish(self, fresh):
        for event in fresh["decisions"]:
            self._tell(event.data)
        assert self.loop.quarantined == []

    def _tell(self, decision):
        if decision.kind == "start" and not decision.takes_effect:
            self.asked = decision.decision_id
        at = (decision.decided_at - BEGIN_AT) // 1000
        words = [f"{at // 3600}:{at // 60 % 60:02}:{at % 60:02}", decision.segment, decision.kind]
        words += self._subject(decision)
        words += [f"generation {decision.generation}"] if decision.generation else []
        words += [] if decision.takes_effect else ["(not applied)"]
        self.said.append(f"{' '.join(words)}: {decision.reason}")

    @staticmethod
    def _subject(decision):
        """What a decision is about, as `status` and `explain` word it: what differs on trial, and its share."""
        return [at_shares(decision)] if at_shares(decision) else []


def _turned(parameters):
    return [f"({name} {value})" for name, value in parameters.items()]


def _value(text):
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    if text.startswith("["):
        return tuple(int(one) for one in text.strip("[]").split(","))
    return {"true": True, "false": False, "none": None}.get(text, text)


@pytest.fixture
def world():
    return World(seed=7)


@pytest.fixture
def a_world():
    return World
