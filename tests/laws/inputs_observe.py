"""What the laws feed observe: everything that can arrive on `metrics`, in every wrong order."""

from datetime import UTC, datetime, timedelta
from random import Random

from optimizer.model.call import Applied, Assignment, Call, Distribution, Feedback, Metric, Quality
from optimizer.model.event import (
    AppliedEvent,
    CallEvent,
    FeedbackEvent,
    MetricEvent,
    TargetEvent,
    TickEvent,
)
from optimizer.model.progress import Tick
from optimizer.model.target import Model, Scores, Segments, Target
from optimizer.observe.stage import Observe
from optimizer.prices import Match, Override, Price, PriceList, Rates

PRICE = Price(rates=Rates(input=3 * 10**18, output=10**19))
PRICES = PriceList("law", overrides=(Override(Match("equals", "listed"), PRICE),))
STAGE = Observe(4, dedupe_records=50, prices=PRICES)
ROW_BYTES = 800_000
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = ("summaries", "search", "chat", "nobody")
ARMS = ("incumbent", "candidate", "control", "holdback")
SEGMENTS = ("short", "long", "code")


class Author:
    """Writes a log: event time goes on, offsets too, with holes where poison was."""

    def __init__(self, seed):
        self.random = Random(seed)
        self.at = BEGIN + timedelta(milliseconds=self.random.randrange(10_000))
        self.events = []
        self.offset = self.random.choice((0, 0, 4711))
        self.repeated = None
        self.growth = {}

    def write(self, event_type, subject, data, **attributes):
        self.offset += self.random.choice((1, 1, 1, 1, 1, 3))
        number = len(self.events)
        attributes = {"id": f"{number}", "source": f"/gateway/{number % 3}", "time": self.at, **attributes}
        self.events.append(
            event_type(specversion="1.0", subject=subject, data=data, offset=self.offset, **attributes)
        )

    def around(self):
        """A time of its own for an event: mostly now, sometimes late, early, or absurd."""
        where = self.random.random()
        if where < 0.03:
            return self.random.choice((datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)))
        if where < 0.25:
            return self.at + timedelta(milliseconds=self.random.randrange(-60_000, 75_000))
        return self.at - timedelta(microseconds=self.random.randrange(4_000_000))

    def assignment(self):
        if self.random.random() < 0.2:
            return None
        return Assignment(
            generation=self.random.choice((0, 3, 4, 2**53)),
            variant_id=self.random.choice(("a1", "b2")),
            arm=self.random.choice(ARMS),
            segment=self.random.choice((*SEGMENTS, "other", "unheard")),
            propensity=self.random.choice((1.0, 0.05, 0.3, 1e-6)),
        )

    def call(self, **attributes):
        random = self.random
        maybe = lambda value: value if random.random() < 0.8 else None  # noqa: E731 - one line, used below
        data = Call(
            call_id=f"c{random.choice((len(self.events), random.randrange(200)))}",
            latency_ms=random.lognormvariate(6, 1),
            first_token_ms=maybe(random.random() * 500),
            model=random.choice(("m", "listed")),
            cached_input_tokens=maybe(0),
            covariate=maybe(random.uniform(-1e9, 1e9)),
            assignment=self.assignment(),
            input_tokens=maybe(random.randrange(4000)),
            output_tokens=maybe(random.randrange(4000)),
            cost_usd=maybe(random.random() * random.choice((1e-4, 1, 1e5))),
            error_type=None if random.random() < 0.9 else random.choice(("timeout", "rate_limit")),
            quality=maybe(Quality(score=random.random())),
            attributes=maybe({"task": random.choice((*SEGMENTS, "unheard"))}),
        )
        self.write(CallEvent, random.choice(NAMES), data, **{"time": self.around(), **attributes})

    def feedback(self):
        """By token, by the id of some call before, or by none; sometimes of no worth at all."""
        random = self.random
        kind = random.choice(("thumbs", "rating", "edit", "retry", "abandon", "judge", "task"))
        data = Feedback(
            call_id=f"c{max(0, len(self.events) - random.randrange(80))}",
            kind=kind,
            score=random.choice((None, random.random())),
            value=random.choice((None, "up", "down", random.uniform(-1, 6), "sideways")),
            assignment=random.choice((None, self.assignment())),
        )
        source = f"/judge/{random.randrange(2)}"
        before = next(
            (e for e in reversed(self.events) if getattr(e.data, "call_id", "") == data.call_id), None
        )
        subject = before.subject if before and random.random() < 0.9 else random.choice(NAMES)
        self.write(FeedbackEvent, subject, data, time=self.around(), source=source)

    def metric(self):
        """Gauges, sums and distributions; cumulative series grow, begin anew and come out of order."""
        random = self.random
        temporality = random.choice(("gauge", "delta", "cumulative", "cumulative"))
        name, series = f"m{random.randrange(40)}", f"s{random.randrange(6)}"
        told = {"value": random.choice((random.uniform(-5, 100), 7.0))}
        started_at = None
        if temporality == "cumulative":
            name = random.choice(("a", "b"))
            value, started_at = self.growth.get((name, series), (0.0, None))
            if random.random() < 0.15:
                value, started_at = 0.0, random.choice((None, int(self.at.timestamp() * 1000)))
            value += random.choice((0, 1, 2.5))
            self.growth[name, series] = value, started_at
            told = {"value": value}
        if random.random() < 0.4 and temporality != "gauge":
            n, name = int(abs(told["value"])), "d" + name
            bounds = random.choice(((1.0, 2.0), (1.0, 2.0, 4.0), (2.0, 1.0)))
            told = {"distribution": Distribution(bounds=bounds, counts=(n, n // 2, 0), sum=n / 3)}
        if random.random() < 0.05:
            told = random.choice(({}, {"value": float("nan")}))
        variant = random.choice((None, "a1"))
        data = Metric(
            name=name,
            temporality=temporality,
            series=series,
            started_at=started_at,
            variant_id=variant,
            **told,
        )
        self.write(MetricEvent, random.choice(NAMES), data, time=self.around(), source="/exporter")

    def applied(self):
        data = Applied(generation=self.random.randrange(5), instance=f"pod-{self.random.randrange(4)}")
        self.write(AppliedEvent, self.random.choice(NAMES), data, time=self.around())

    def declare(self, name=None, **differently):
        values = self.random.sample(SEGMENTS, k=self.random.randrange(4))
        declaration = {
            "target": name or self.random.choice(NAMES[:3]),
            "revision": len(self.events) + 1 - self.random.choice((0, 0, 30)) * (len(self.events) > 30),
            "incumbent": "m",
            "models": (Model(name="m"),),
            "segments": self.random.choice((None, Segments(attribute="task", values=tuple(values)))),
            "withdrawn": self.random.random() < 0.2,
            "scores": self.random.choice((Scores(), Scores(retry=0.4))),
            **differently,
        }
        self.write(TargetEvent, declaration["target"], Target(**declaration))

    def tick(self):
        back = timedelta(seconds=self.random.choice((0, 0, 0, 0, 3)))
        self.write(TickEvent, None, Tick(), time=self.at - back)

    def repeat(self):
        """Something that was written before, again."""
        if self.repeated is None or self.random.random() < 0.4:
            self.repeated = self.events[-self.random.randrange(1, min(90, len(self.events)) + 1)]
        before = self.repeated
        if isinstance(before, CallEvent | FeedbackEvent | MetricEvent):
            same = {"id": before.id, "source": before.source, "time": before.time}
            self.write(type(before), before.subject, before.data, **same)


def history(seed):
    author = Author(seed)
    random = author.random
    untimed = random.choice((0, 0, 20, 150))
    author.declare("search")
    while len(author.events) < 330:
        author.at += timedelta(milliseconds=random.choice((0, 100, 400, 900)))
        if random.random() < 0.005:
            author.at += timedelta(minutes=random.choice((1, 5)))
        if random.random() < 0.02 and len(author.events) > untimed:
            for _ in range(random.randrange(20)):
                author.at += timedelta(seconds=1)
                author.tick()
        kinds = (
            author.call, author.feedback, author.metric, author.applied, author.declare, author.repeat, author.tick,
        )  # fmt: skip
        ticks = 12 if len(author.events) > untimed else 0
        random.choices(kinds, (45, 15, 15, 6, 2, 10, ticks))[0]()
    author.at += timedelta(minutes=2)
    author.tick()
    return author.events


def flood(seed):
    """As many and as large declarations and series as can be, and calls to as many targets and cells."""
    author = Author(seed)
    author.tick()
    for number in range(3_000):
        author.at += timedelta(milliseconds=3)
        segments = Segments(attribute="a" * 128, values=tuple(f"{i:0128d}" for i in range(16)))
        author.declare(f"{number:0128d}", revision=1, segments=segments, withdrawn=False)
        author.call(id=f"{number:01000d}")
        for series in range(3):
            told = Distribution(
                bounds=tuple(map(float, range(15 * series))), counts=(10**9,) * (15 * series + 1)
            )
            data = Metric(
                name="m",
                series=f"{number}/{series}",
                temporality="cumulative",
                distribution=told,
                started_at=2**53,
            )
            author.write(MetricEvent, "nobody", data)
    return author.events
