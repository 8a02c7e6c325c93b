"""What decide costs: decoding a finding and folding it, waking a row and encoding what it says, in this process.

Each target has 4 segments, in half of which a candidate is on trial. A minute brings each segment what orient
tells of it: its adoption, and either levels or the comparisons of its candidate. No broker: the host's own
cost is in the other parts. Time is processor time, so that neighbours do not count.
"""

import time
from random import Random

import msgspec
import numpy as np

from agents.wire.codec import Decoder, encode
from optimizer.decide.stage import Decide
from optimizer.model.event import FindingEvent, TargetEvent
from optimizer.model.finding import Evidence, Finding
from optimizer.model.target import Model, RolloutPlan, Segments, Target
from optimizer.stage import published
from tests.bench.orient import BEGIN_AT, MINUTE_MS, SEGMENTS, event

LEVELS = (("quality", "score"), ("cost", "usd"), ("latency", "ms"), ("errors", "share"))
PRICES = {"large": 10.0, "middle": 3.0, "small": 1.0}


def a_finding(segment, kind, metric, end, **more):
    fields = {
        "role": "guardrail",
        "verdict": "inconclusive",
        "estimate": 0.01,
        "low": -0.04,
        "high": 0.06,
        "level": 0.95,
        "n": 300,
        "evidence": (Evidence(partition=0, first_offset=0, last_offset=999),),
    }
    return Finding(
        finding_id=f"{segment}-{kind}-{metric}", segment=segment, kind=kind, metric=metric,
        window_start_at=end - MINUTE_MS, window_end_at=end, reason=f"{metric} of {segment}", **(fields | more),
    )  # fmt: skip


def told(row, end, dice):
    """What orient says of a target in a minute: of half of the segments levels are never news."""
    for i, segment in enumerate(SEGMENTS):
        kept = row.segments.get(segment)
        live = kept.trial if kept is not None else None
        generation = live.generation if live is not None else 1
        yield a_finding(
            segment, "adoption", "adoption", end, role="signal", verdict="pass", generation=generation
        )
        if live is None and i < len(SEGMENTS) // 2:
            for metric, unit in LEVELS:
                yield a_finding(segment, "level", metric, end, role="signal", verdict="pass", unit=unit,
                                estimate=dice.random())  # fmt: skip
        if live is not None:
            for metric, _ in LEVELS:
                role, unit = ("goal" if metric == "cost" else "guardrail"), "relative"
                yield a_finding(segment, "comparison", metric, end, role=role, unit=unit, variant_id=live.variant,
                                control_id=kept.incumbent, generation=generation, n_control=300,
                                estimate=dice.uniform(-0.01, 0.01))  # fmt: skip


def measure(*, targets, minutes):
    """Ms of processor time for each event and each wake, decisions, and bytes of the largest row."""
    dice, stage, decode = Random(1), Decide(), Decoder(["finding"]).decode
    models = tuple(Model(name=name, input_usd_per_million_tokens=usd) for name, usd in PRICES.items())
    segments = Segments(attribute="task", values=SEGMENTS[:-1])
    rows, folds, wakes, decisions = {}, [], [], 0
    for name in (f"target-{number:04}" for number in range(targets)):
        declared = Target(
            target=name,
            incumbent="large",
            models=models,
            segments=segments,
            autonomy="auto",
            rollout=RolloutPlan(shadow_s=0),
        )
        rows[name] = stage.fold(stage.initial(name), [event(TargetEvent, name, BEGIN_AT, declared, 0)]).state
    for end in range(BEGIN_AT + MINUTE_MS, BEGIN_AT + (minutes + 1) * MINUTE_MS, MINUTE_MS):
        for name, row in rows.items():
            state = row
            for number, finding in enumerate(told(row, end, dice)):
                record = encode(event(FindingEvent, name, end, finding, number))
                began = time.process_time()
                state = stage.fold(state, [decode(record)]).state
                folds.append(time.process_time() - began)
            began = time.process_time()
            step = stage.on_watermark(state, end)
            for sequence, emit in enumerate(step.emitted):
                encode(published(emit, "/bench", sequence))
                decisions += 1
            wakes.append(time.process_time() - began)
            rows[name] = step.state
    sizes = [len(msgspec.json.encode(row)) for row in rows.values()]
    return {
        "events": len(folds), "decisions": decisions, "bytes": max(sizes),
        "on_trial": sum(s.trial is not None for row in rows.values() for s in row.segments.values()),
        **{name: (np.quantile(some, (0.5, 0.99, 1)) * 1000).tolist() for name, some in
           (("fold", folds), ("wake", wakes))},
    }  # fmt: skip


def decide(bench):
    """The part `decide` of the bench."""
    targets, minutes = bench.options.decide_targets, bench.options.decide_minutes
    row = measure(targets=targets, minutes=minutes)
    bench.say(f"Decide, {targets:,} targets x 4 segments for {minutes} m of event time, on one core, without a broker: "
              f"{row['events']:,} findings, {row['decisions']:,} decisions, {row['on_trial']:,} candidates on trial at "
              f"the end; a row takes at most {row['bytes'] / 1000:.0f} kB.\n")  # fmt: skip
    bench.table(
        ("processor time of", "p50 ms", "p99 ms", "max ms"),
        ("a finding, decoded and folded", *(f"{ms:.2f}" for ms in row["fold"])),
        ("a target's minute, decided and encoded", *(f"{ms:.2f}" for ms in row["wake"])),
    )
