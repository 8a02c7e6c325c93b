"""What the laws feed act: everything decide says in its own laws, and decisions that do not follow."""

import importlib.util
from pathlib import Path
from random import Random

from msgspec import structs

from optimizer.act.stage import Act
from optimizer.decide.stage import Decide
from optimizer.loop import Loop

STAGE = Act()
ROW_BYTES = 100_000

_spec = importlib.util.spec_from_file_location(
    "laws_of_decide_for_act", Path(__file__).with_name("inputs_decide.py")
)
_decide = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_decide)


def _decided(events):
    loop = Loop([Decide()])
    for event in events:
        loop.feed([event], topic="findings")
    return loop.topics["decisions"][0]


def history(seed):
    """Decisions, some of them forged: a generation too high, a rollout that is not there, one twice."""
    random, events = Random(seed), []
    for event in _decided(_decide.history(seed, length=2500)):
        event.sequence = None
        events.append(structs.replace(event, offset=len(events)))
        if hasattr(event.data, "rollout") and random.random() < 0.3:
            forged = structs.replace(
                event.data,
                generation=event.data.generation + random.choice((0, 0, 1, 7)),
                rollout=random.choice((event.data.rollout_id, "r-forged")),
                weight_bps=random.choice((0, 400, 10_000)),
            )
            events.append(structs.replace(event, offset=len(events), data=forged))
    return events


def flood(seed):
    """Decisions about the largest target there can be."""
    return [structs.replace(event, sequence=None) for event in _decided(_decide.flood(seed))]
