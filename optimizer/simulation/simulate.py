"""Simulates lives of a target in memory: callers of a world, and the four stages beside them.

Event time runs as fast as the stages fold. Calls reach the stages pane by pane, each followed by the one
tick that closes it: a tick between two of these closes nothing, and would only cost time. What comes out is
compared with the truth of the world (`life`).

Lives are lived side by side, each by a target of its own in one loop, as targets are on Kafka: what a turn
of the stages costs is shared among them. No life hears of another, so it is the same in any company.
"""

from collections.abc import Mapping
from itertools import count

from msgspec.structs import replace

from optimizer.act.stage import Act
from optimizer.decide.stage import Decide
from optimizer.loop import Loop
from optimizer.model.event import Event, TargetEvent, TickEvent
from optimizer.model.progress import WATERMARK_DELAY_S, Tick
from optimizer.observe.stage import Observe
from optimizer.orient.stage import Orient
from optimizer.simulation.book import BEGIN_AT
from optimizer.simulation.callers import Callers
from optimizer.simulation.life import Life
from optimizer.simulation.world import Dice, Outcomes, World
from optimizer.stage import time_of

PANE_S = 10
SOURCE = "/simulation"


def live(world: World, outcomes: Outcomes, dice: Dice) -> Life:
    """One life, from the target's declaration to the world's last hour."""
    name = world.target.target
    return live_together({name: (world, outcomes, dice)})[name]


def live_together(
    lives: Mapping[str, tuple[World, Outcomes, Dice]], *, on_a_wire: bool = False
) -> dict[str, Life]:
    """One life for each name, which is its target's; the same as if each were lived alone.

    On a wire every emission is encoded and decoded on its way, which takes longer and changes nothing.
    """
    loop = Loop(
        [Observe(1, pane_ms=PANE_S * 1000), Orient(PANE_S * 1000), Decide(), Act()],
        on_a_wire=on_a_wire,
    )  # fmt: skip
    living = {name: Callers(*of, name) for name, of in lives.items()}
    ended: dict[str, Life] = {}
    _follow(living, loop.feed([_declared(callers, withdrawn=False) for callers in living.values()]))
    for turn in count():
        end_s = turn * PANE_S + WATERMARK_DELAY_S
        start_s = max(0, end_s - PANE_S)
        for name in [name for name, callers in living.items() if start_s >= callers.world.lasts_s]:
            ended[name] = living.pop(name).ended()
        if not living:
            break
        events = [event for callers in living.values() for event in callers.between(start_s, end_s)]
        _follow(living, loop.feed([*events, _tick(end_s)]))
        for topic in ("metrics", "aggregates"):  # folded; nobody reads them again
            loop.forget(topic)
        over = [name for name, callers in living.items() if callers.has_ended()]
        for callers in living.values():
            callers.life.turns += 1
        if over:
            loop.feed([_declared(living[name], withdrawn=True) for name in over])
        ended |= {name: living.pop(name).ended() for name in over}
    return {name: ended[name] for name in lives}


def _declared(callers: Callers, *, withdrawn: bool) -> TargetEvent:
    target = replace(callers.world.target, target=callers.target, withdrawn=withdrawn)
    target = replace(target, revision=target.revision + withdrawn)
    return TargetEvent(
        specversion="1.0", id=f"declared-{target.revision}", source=SOURCE, time=time_of(BEGIN_AT),
        subject=callers.target, data=target,
    )  # fmt: skip


def _tick(end_s: int) -> TickEvent:
    at = time_of(BEGIN_AT + end_s * 1000)
    return TickEvent(specversion="1.0", id=f"tick-{end_s}", source=SOURCE, time=at, data=Tick())


def _follow(living: Mapping[str, Callers], fresh: Mapping[str, list[Event]]) -> None:
    """Let callers follow the newest configuration, and record the decisions."""
    for event in fresh["decisions"]:
        living[str(event.subject)].write_down(event.data)  # type: ignore[attr-defined]  # a decision event
    for event in fresh["configurations"]:
        living[str(event.subject)].follow(event.data)  # type: ignore[attr-defined]  # a configuration event
