"""What the laws feed orient: panes of three source partitions that are not equally fast, and what hurts."""

from datetime import UTC, datetime
from random import Random

from optimizer.model.event import PaneEvent, TargetEvent, WatermarkEvent
from optimizer.model.pane import Cell, Covariates, Joint, Pane, Weighted
from optimizer.model.progress import Watermark
from optimizer.model.target import Guardrails, HardLimits, Model, Segments, Target
from optimizer.orient.stage import Orient

STAGE = Orient(bytes_max=880_000)
ROW_BYTES = 880_000
BEGIN = 1_772_323_200_000
PANE_MS, PARTITIONS = 10_000, 3
NAMES = ("summaries", "search", "nobody")
SEGMENTS = ("short", "long", "other", "unheard")
LIFE = (  # arm, variant, generation; in this order, as a rollout goes
    ("incumbent", "-", 0), ("incumbent", "a1", 3), ("candidate", "b2", 4), ("control", "a1", 4),
    ("candidate", "b2", 6), ("control", "a1", 6), ("candidate", "c3", 8), ("holdback", "a1", 9),
)  # fmt: skip


class Author:
    """Writes a log: each source partition goes on by itself, offsets have holes."""

    def __init__(self, seed):
        self.random = Random(seed)
        self.events = []
        self.offset = 0
        self.passed = [BEGIN] * PARTITIONS

    def write(self, event_type, subject, data, at):
        self.offset += self.random.choice((1, 1, 1, 3))
        self.events.append(
            event_type(
                specversion="1.0",
                id=f"{len(self.events)}",
                source="/test",
                time=datetime.fromtimestamp(at / 1000, UTC),
                subject=subject,
                data=data,
                offset=self.offset,
            )
        )

    def cell(self, arm, variant, generation):
        random = self.random
        calls = random.choice((0, 1, 5, 40))
        failed = random.choice((0, 0, calls // 3))
        buckets = [random.randrange(600, 760) for _ in range(calls - failed)]
        scores = [random.randrange(10**6) for _ in range(random.choice((0, calls)))]
        costs = [random.randrange(10 ** random.choice((3, 7, 14))) for _ in range(calls)]
        return Cell(
            generation=generation,
            variant_id=variant,
            arm=arm,
            segment=random.choice(SEGMENTS),
            calls=calls,
            errors={"timeout": failed} if failed else {},
            latency_us={bucket: buckets.count(bucket) for bucket in buckets},
            costed=len(costs),
            cost_nano_usd=sum(costs),
            cost_squares=sum(cost * cost for cost in costs),
            scored=len(scores),
            quality_millionths=sum(scores),
            quality_squares=sum(score * score for score in scores),
            first_token_us={bucket - 90: buckets.count(bucket) for bucket in buckets},
            output_lengths={random.randrange(300, 500): calls} if calls else {},
            joint=Joint(*[random.randrange(10**18) for _ in range(10)]) if scores else None,
            weighted=Weighted(*[random.randrange(10**18) for _ in range(14)]) if variant != "-" else None,
            covariates=Covariates(*[random.randrange(10**18) for _ in range(15)]) if scores else None,
        )

    def pane(self, partition, start, *, length=PANE_MS, **told):
        random, cells = self.random, told.get("cells")
        if cells is None:
            stage = (start - BEGIN) // 60_000 % len(LIFE)
            cells = [
                self.cell(*LIFE[i]) for i in {max(0, stage - k) for k in range(3)} if random.random() < 0.8
            ]
        pane = Pane(
            start_at=start,
            end_at=start + length,
            partition=partition,
            of=PARTITIONS,
            cells=cells,
            applied={f"pod-{i}": random.randrange(9) for i in range(told.get("pods", random.choice((0, 2))))},
            first_offset=start // 1000,
            last_offset=start // 1000 + 9,
        )
        self.write(PaneEvent, told.get("name") or random.choice(NAMES), pane, start + length)

    def advance(self, partition, panes=1):
        """A source partition closes some panes and says so."""
        for _ in range(panes):
            start = self.passed[partition]
            if self.random.random() < 0.8:
                self.pane(partition, start)
            self.passed[partition] = start + PANE_MS
        now = self.passed[partition]
        self.write(WatermarkEvent, None, Watermark(partition, PARTITIONS, now), now)

    def wrong(self, partition):
        """A pane whose window has closed, or one that is no pane."""
        start = self.passed[partition]
        if self.random.random() < 0.5:
            self.pane(partition, start - self.random.choice((1, 60)) * PANE_MS)
        else:
            self.pane(partition, start + self.random.choice((0, 3)), length=PANE_MS + 1)

    def declare(self, **differently):
        random = self.random
        declaration = {
            "target": random.choice(NAMES[:2]),
            "revision": len(self.events) + 1,
            "incumbent": "m",
            "models": (Model(name="m"), Model(name="n")),
            "segments": random.choice((None, Segments(attribute="task", values=SEGMENTS[:2]))),
            "guardrails": random.choice(
                (
                    Guardrails(),
                    Guardrails(quality_drop_relative=None),
                    Guardrails(first_token_p95_rise_relative=0.2, output_tokens_rise_relative=0.3),
                )
            ),
            "hard_limits": random.choice(
                (HardLimits(), HardLimits(latency_p95_ms=1.0), HardLimits(first_token_p95_ms=1.0))
            ),
            "withdrawn": random.random() < 0.1,
            **differently,
        }
        target = Target(**declaration)
        self.write(TargetEvent, target.target, target, max(self.passed))


def history(seed):
    author = Author(seed)
    random = author.random
    author.declare(target="search", withdrawn=False)
    author.declare(target="summaries", withdrawn=False)
    while len(author.events) < 160:
        partition = random.randrange(PARTITIONS)
        if min(author.passed) < author.passed[partition] - 60_000:
            continue
        chance = random.random()
        if chance < 0.03:
            author.declare()
        elif chance < 0.06:
            author.wrong(partition)
        else:
            author.advance(partition, random.choice((1, 1, 1, 4)))
    for partition in range(PARTITIONS):
        author.passed[partition] = max(author.passed) // 300_000 * 300_000 + 300_000
        author.advance(partition, 0)
    return author.events


def flood(seed):
    """Every bound at once: long names, all segments, a wealth of candidates, and then time stands still."""
    author = Author(seed)
    random, segments = author.random, tuple(f"{number:0128d}".replace("0", "字") for number in range(16))
    models = tuple(Model(name=f"{number:0128d}".replace("0", "字")) for number in range(64))
    author.declare(
        target="search",
        segments=Segments(attribute="task", values=segments),
        models=models,
        withdrawn=False,
    )
    for number in range(150):
        wide = dict.fromkeys(random.sample(range(1384), k=300), 10**6)
        cells = [
            Cell(
                generation=number,
                variant_id=f"{random.randrange(30):0128d}".replace("0", "字"),
                arm=arm,
                segment=random.choice(segments),
                calls=10**9,
                errors={"timeout": 10**6},
                latency_us=wide,
                costed=10**9,
                cost_nano_usd=10**20,
                cost_squares=10**33,
                scored=10**9,
                quality_millionths=10**14,
                quality_squares=10**20,
                listed=10**9,
                first_token_us=wide,
                output_lengths=wide,
                joint=Joint(*[10**28] * 10),
                weighted=Weighted(*[10**28] * 14),
                covariates=Covariates(*[10**28] * 15),
            )
            for arm in ("candidate", "candidate", "control", "incumbent") * 8
        ]
        author.pane(number % 100, BEGIN + number * PANE_MS, cells=cells, name="search", pods=256)
        for partition in range(PARTITIONS if number < 100 else 0):
            author.passed[partition] = BEGIN + (number + 1) * PANE_MS
            author.advance(partition, 0)
    return author.events
