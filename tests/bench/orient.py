"""What orient costs: decoding panes, folding them, waking rows and encoding what they say, in this process.

Each target has 4 segments and 3 arms and a pane of 12 cells every 10 s, from one source partition. No broker:
the host's own cost is in the other parts. Time is processor time, so that neighbours do not count. Garbage is
collected as seldom as in a worker.
"""

import time
from random import Random

import msgspec
import numpy as np

from agents.host.garbage import collect_seldom
from agents.wire.codec import Decoder, encode
from optimizer.model.event import PaneEvent, TargetEvent
from optimizer.model.pane import Cell, Joint, Pane, Weighted
from optimizer.model.target import Model, Segments, Target
from optimizer.orient.stage import Orient
from optimizer.stage import published, time_of
from optimizer.stats.histogram import Histogram

BEGIN_AT = 1_772_323_200_000
PANE_MS, MINUTE_MS = 10_000, 60_000
WINDOWS_M = (15, 5, 1)
SEGMENTS = ("mail", "search", "summary", "other")
ARMS = (("incumbent", "aaaa"), ("control", "aaaa"), ("candidate", "bbbb"))
CALLS = 30
"""Of a cell: 36 a second of a target, 36,000 of a thousand."""
VARIETY = 40
"""Panes that are made once and sent by all."""


def a_cell(dice, arm, segment):
    arm, variant = arm
    ms = [dice.lognormvariate(6.2, 0.5) for _ in range(CALLS)]
    usd = [dice.randrange(10**5, 10**7) for _ in range(CALLS)]
    scores = [dice.randrange(10**6) for _ in range(CALLS // 3)]
    return Cell(
        generation=3, variant_id=variant, arm=arm, segment=segment, calls=CALLS + 1, errors={"timeout": 1},
        latency_us=Histogram.of(np.array([round(x * 1000) for x in ms])).counts,
        first_token_us=Histogram.of(np.array([round(x * 300) for x in ms])).counts,
        output_lengths=Histogram.of(np.array([round(x) for x in ms])).counts,
        costed=CALLS, cost_nano_usd=sum(usd), cost_squares=sum(x * x for x in usd),
        input_tokens=CALLS * 500, output_tokens=CALLS * 150, scored=len(scores),
        quality_millionths=sum(scores), quality_squares=sum(x * x for x in scores),
        joint=Joint(*[dice.randrange(10**9) for _ in range(10)]),
        weighted=Weighted(*[dice.randrange(10**9) for _ in range(14)]),
    )  # fmt: skip


def event(kind, target, at, data, number):
    return kind(
        specversion="1.0",
        id=f"{target}-{number}",
        source="/bench",
        time=time_of(at),
        subject=target,
        data=data,
    )


def measure(*, targets, minutes):
    """CPU seconds per event second, bytes of a row, and by the longest window that ends ms until findings are out.

    `own` are those of each row by itself; `waits` begin for all rows with the watermark.
    """
    dice, stage, decode = Random(1), Orient(), Decoder(["pane"]).decode
    names = [f"target-{number:04}" for number in range(targets)]
    rows = {name: stage.initial(name) for name in names}
    segments = Segments(attribute="task", values=SEGMENTS[:-1])
    models = (Model(name="large"), Model(name="small"))
    for name in names:
        declared = Target(target=name, incumbent="large", models=models, segments=segments)
        rows[name] = stage.fold(rows[name], [event(TargetEvent, name, BEGIN_AT, declared, 0)]).state
    cells = [[a_cell(dice, arm, segment) for segment in SEGMENTS for arm in ARMS] for _ in range(VARIETY)]
    collect_seldom()
    busy, findings, waits, own = 0.0, 0, {}, {}
    for number in range(minutes * MINUTE_MS // PANE_MS):
        start = BEGIN_AT + number * PANE_MS
        end = start + PANE_MS
        records = {}
        for name in names:
            pane = Pane(
                start_at=start, end_at=end, partition=0, of=1, cells=cells[dice.randrange(VARIETY)],
                first_offset=number * 100, last_offset=number * 100 + 99,
            )  # fmt: skip
            records[name] = encode(event(PaneEvent, name, end, pane, number))
        began = time.process_time()
        for name, record in records.items():
            rows[name] = stage.fold(rows[name], [decode(record)]).state
        woken = time.process_time()
        ends = next((m for m in WINDOWS_M if end % (m * MINUTE_MS) == 0), None)
        done = woken
        for name in names:
            step = stage.on_watermark(rows[name], end)
            rows[name] = step.state
            for sequence, emit in enumerate(step.emitted):
                encode(published(emit, "/bench", sequence))
                findings += 1
            if ends is not None:
                before, done = done, time.process_time()
                own.setdefault(ends, []).append((done - before) * 1000)
                waits.setdefault(ends, []).append((done - woken) * 1000)
        busy += time.process_time() - began
    sizes = [len(msgspec.json.encode(row)) for row in rows.values()]
    return {
        "share": busy / (minutes * 60), "bytes": max(sizes), "findings": findings,
        **{what: {ends: np.quantile(some, (0.5, 0.95, 1)).tolist() for ends, some in sorted(spans.items())}
           for what, spans in (("own", own), ("waits", waits))},
    }  # fmt: skip


def orient(bench):
    """The part `orient` of the bench."""
    targets, minutes = bench.options.orient_targets, bench.options.orient_minutes
    row = measure(targets=targets, minutes=minutes)
    bench.say(f"Orient, {targets:,} targets x 3 arms x 4 segments, a pane of each every 10 s for {minutes} m of event "
              f"time, on one core, without a broker: {row['share']:.3f} core-seconds a second, "
              f"{1 / row['share']:.1f} x head-room; {row['findings']:,} findings; a row takes at most "
              f"{row['bytes'] / 1000:.0f} kB.\n")  # fmt: skip
    bench.table(
        ("until a target's findings are out", "p50 ms", "p95 ms", "max ms"),
        *(
            (f"at the end of {length} m{of}", *(f"{ms:.1f}" for ms in spans))
            for what, of in (("own", ", by itself"), ("waits", ", all targets at once"))
            for length, spans in row[what].items()
        ),
    )
