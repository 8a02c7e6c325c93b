"""What the laws feed observe: everything that can arrive on `metrics`, in every wrong order."""

from datetime import UTC, datetime, timedelta
from random import Random

from optimizer.model.call import Applied, Assignment, Call, Feedback, Quality
from optimizer.model.event import AppliedEvent, CallEvent, FeedbackEvent, TargetEvent, TickEvent
from optimizer.model.progress import Tick
from optimizer.model.target import Model, Segments, Target
from optimizer.observe.stage import Observe

STAGE = Observe(4, dedupe_records=50)
ROW_BYTES = 510_000
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
            variant=self.random.choice(("a1", "b2")),
            arm=self.random.choice(ARMS),
            segment=self.random.choice((*SEGMENTS, "other", "unheard")),
        )

    def call(self, **attributes):
        random = self.random
        maybe = lambda value: value if random.random() < 0.8 else None  # noqa: E731 - one line, used below
        data = Call(
            call_id=f"c{len(self.events)}",
            latency_ms=random.lognormvariate(6, 1),
            model="m",
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
        data = Feedback(call_id="c1", kind="thumbs", score=self.random.random(), assignment=self.assignment())
        self.write(FeedbackEvent, self.random.choice(NAMES), data, time=self.around())

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
        if isinstance(before, CallEvent | FeedbackEvent):
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
        kinds = (author.call, author.feedback, author.applied, author.declare, author.repeat, author.tick)
        ticks = 12 if len(author.events) > untimed else 0
        random.choices(kinds, (60, 10, 6, 3, 10, ticks))[0]()
    author.at += timedelta(minutes=2)
    author.tick()
    return author.events


def flood(seed):
    """As many and as large declarations as can be, and calls to as many targets and cells."""
    author = Author(seed)
    author.tick()
    for number in range(3_000):
        author.at += timedelta(milliseconds=3)
        segments = Segments(attribute="a" * 128, values=tuple(f"{i:0128d}" for i in range(16)))
        author.declare(f"{number:0128d}", revision=1, segments=segments, withdrawn=False)
        author.call(id=f"{number:01000d}")
    return author.events
