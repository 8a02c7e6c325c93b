"""The forecast of a declaration's rollouts: the table of `llmopt check`, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from agents.cli.failure import BAD, Failure
from optimizer.declaration.forecast import Forecast, assumed, forecast, least_gain
from optimizer.model.objective import goal_of
from optimizer.model.traffic import Traffic
from optimizer.model.wording import about, duration, percent, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from optimizer.model.target import Target

Steps = list[Forecast]


def forecasts(target: Target, calls_per_hour: float | None) -> Steps | None:
    """Every step of every segment; None where nobody says how many calls there are.

    A number given by hand (calls an hour) replaces the declared one, not how it is shared among segments.
    """
    traffic = target.traffic
    if calls_per_hour is not None:
        segments = traffic.segments if traffic else {}
        scored = traffic.scored_share if traffic else 1.0
        traffic = Traffic(calls_per_hour=calls_per_hour, segments=segments, scored_share=scored)
    return None if traffic is None else list(forecast(target, traffic))


def show(console: Console, target: Target, steps: Steps | None) -> None:
    """Print the table, or why there is none."""
    if steps is None:
        console.print(
            f"{target.target}: how long a decision takes is unknown without traffic; declare `traffic`, "
            "or give --calls-per-hour"
        )
        return
    table = Table("segment", "step", "share", "calls per arm", "time to decision", "at most", "decided by")
    for one in steps:
        table.add_row(
            one.segment, str(one.step), share(one.weight_bps), "unknown" if one.units is None else str(one.units),
            "never" if one.seconds is None else about(one.seconds), duration(one.most_s), one.slowest,
        )  # fmt: skip
    console.print(table)
    console.print(f"{target.target}: {assumed(target)}")
    if (goal := goal_of(target.objective)) in ("quality", "latency"):
        for segment in dict.fromkeys(step.segment for step in steps):
            gain = least_gain(target, steps, segment)
            least = "no gain up to 50 %" if gain is None else f"a gain of {percent(gain)} or more"
            console.print(
                f"{target.target}: {segment}: the steps up to 50 % prove {least} in {goal}, the objective"
            )
    elif goal == "utility":
        console.print(f"{target.target}: how large a gain in utility is proven is not forecast")


def refuse_the_hopeless(found: Sequence[tuple[Target, Steps | None]]) -> None:
    """Fail where a step cannot pass before its plan gives it up.

    Raises:
        Failure: some cannot; each is named once per segment, by its first such step.
    """
    said = []
    for target, steps in found:
        told: set[str] = set()
        for one in steps or ():
            if one.concludes or one.segment in told:
                continue
            told.add(one.segment)
            lasts = "never" if one.seconds is None else f"after {about(one.seconds)}"
            said.append(
                f"{target.target}: {one.segment}: step {one.step} at {share(one.weight_bps)} decides {lasts}, "
                f"its plan allows {duration(one.most_s)} ({one.slowest} takes longest)"
            )
    if said:
        raise Failure(
            "this plan cannot conclude\n  " + "\n  ".join(said),
            "allow more time (rollout.step_max), begin with a larger step, widen the guardrail, or merge segments",
            BAD,
        )
