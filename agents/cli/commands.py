"""The verbs by which people tell the loop something (`freeze`, `rollback`, `approve` …), and ask it (`status`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, get_args

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from agents.cli.failure import BAD, USAGE, Failure, reachable
from agents.cli.output import Answer, Output
from agents.settings import settings as configuration
from agents.settings.settings import Settings
from agents.wire import publisher as publish
from agents.wire import reading
from optimizer.model.command import Command, CommandKind
from optimizer.model.configuration import Configuration, differs
from optimizer.model.decision import Decision, at_shares
from optimizer.model.wording import share

if TYPE_CHECKING:
    from collections.abc import Callable

SAYS = {
    "freeze": "Start, advance and promote nothing until `unfreeze`; rollbacks still happen.",
    "unfreeze": "Let the loop go on.",
    "approve": "Say yes to a decision that waits.",
    "reject": "Say no to a decision that waits.",
    "pause": "Hold a rollout where it stands.",
    "resume": "Let a paused rollout go on.",
    "promote": "Promote a candidate now; of several arms the one that is named.",
    "rollback": "Take back now, with a ban, what is on trial: all of it, or the arm that is named.",
    "unban": "Lift a ban before its time: the variant may be tried again.",
    "optimize": "Consider what might be tried with the next closed window, whatever the cycles.",
    "abort": "End what is on trial now, without a ban: it may be tried again.",
    "restore": "Let what served in one of the last five generations serve again; end what is on trial.",
}
NAMED = "One variant: its id, its label or, where that is enough, its model."
Target = Annotated[str, typer.Argument(help="The target's name.")]
Reason = Annotated[str, typer.Option(help="Why; it goes into the ledger.")]
Segment = Annotated[str | None, typer.Option(help="One segment; default all.")]
By = Annotated[str | None, typer.Option(help="Who says so; default the user name.")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    for kind in get_args(CommandKind):
        app.command(kind, help=SAYS[kind])(_verb(kind))
    app.command("status")(status)


def _verb(kind: CommandKind):  # type: ignore[no-untyped-def]  # noqa: ANN202 - typer reads the inner signature
    if kind in ("approve", "reject"):

        def answer(
            target: Target,
            decision: Annotated[
                str, typer.Argument(help="The decision's id, as `status` or `explain` shows it.")
            ],
            reason: Reason,
            by: By = None,
        ) -> None:
            command = Command(command=kind, actor=by or publish.person(), reason=reason, decision_id=decision)
            _say(target, command, _meant)

        return answer
    if kind == "restore":

        def go_back(
            target: Target,
            generation: Annotated[int, typer.Argument(help="The generation, as `status` showed it.", min=1)],
            reason: Reason,
            by: By = None,
        ) -> None:
            person = by or publish.person()
            _say(target, Command(command=kind, actor=person, reason=reason, generation=generation))

        return go_back

    if kind in ("freeze", "unfreeze"):

        def switch(
            reason: Reason,
            target: Annotated[str | None, typer.Argument(help="The target's name.")] = None,
            everything: Annotated[
                bool, typer.Option("--all", help="Every target that is declared now.")
            ] = False,
            segment: Segment = None,
            by: By = None,
        ) -> None:
            if (target is None) != everything:
                raise Failure(
                    "either a target or --all must be named",
                    f"`llmopt {kind} TARGET`, or `llmopt {kind} --all`",
                    USAGE,
                )
            _say(target, Command(command=kind, actor=by or publish.person(), reason=reason, segment=segment))

        return switch

    if kind in ("promote", "rollback", "unban"):
        return _about_an_arm(kind)

    def tell(target: Target, reason: Reason, segment: Segment = None, by: By = None) -> None:
        _say(target, Command(command=kind, actor=by or publish.person(), reason=reason, segment=segment))

    return tell


def _about_an_arm(kind: CommandKind):  # type: ignore[no-untyped-def]  # noqa: ANN202 - typer reads the inner signature
    def lift(
        target: Target,
        variant: Annotated[str, typer.Argument(help=NAMED)],
        reason: Reason,
        segment: Segment = None,
        by: By = None,
    ) -> None:
        person = by or publish.person()
        _say(target, Command(command=kind, actor=person, reason=reason, segment=segment, variant=variant))

    def tell(
        target: Target,
        reason: Reason,
        variant: Annotated[str | None, typer.Argument(help=NAMED)] = None,
        segment: Segment = None,
        by: By = None,
    ) -> None:
        person = by or publish.person()
        _say(target, Command(command=kind, actor=person, reason=reason, segment=segment, variant=variant))

    return lift if kind == "unban" else tell


def _meant(settings: Settings, target: str, command: Command) -> str:
    """The subject of an answer: `to start small instead of large at 5 %: `; empty where no such decision waits."""
    waiting = (
        decision
        for _, decision in _waiting(settings, {target})
        if decision.decision_id == command.decision_id
    )
    return next((f"to start {at_shares(decision)} in {decision.segment}: " for decision in waiting), "")


def _as_data(configured: Configuration) -> dict[str, Any]:
    """A configuration for programs; `differs` is what each arm changes of the incumbent, empty where nothing."""
    data: dict[str, Any] = msgspec.to_builtins(configured)
    for segment, arms in configured.segments.items():
        words = differs(arms)
        for arm in data["segments"][segment]:
            arm["differs"] = words.get(arm["variant_id"], "")
    return data


def _say(
    target: str | None,
    command: Command,
    meant: Callable[[Settings, str, Command], str] = lambda _settings, _target, _command: "",
) -> None:
    """Say it to a target; None: to each one that is declared, in one command each."""
    settings = reachable(configuration.load())
    events = reading.newest(settings, "targets")
    alive = [name for name, event in sorted(events.items()) if not event.data.withdrawn]  # type: ignore[attr-defined]
    if target not in events if target is not None else not alive:
        names = ", ".join(sorted(events)) or "none yet"
        raise Failure(
            f"no target {target!r} is declared" if target is not None else "no target is declared",
            f"declared: {names}; `llmopt apply -f target.yaml` declares one",
            BAD,
        )
    publisher = publish.Publisher(settings)
    whom = alive if target is None else [target]
    for name in whom:
        publisher.put("findings", publish.event_of(command, name))
    publisher.settle()
    what = "".join(meant(settings, name, command) for name in whom)
    Console(soft_wrap=True, highlight=False).print(
        f"{command.command} {', '.join(whom)}: {what}said; the answer is the next decision (`llmopt explain latest`)"
    )


def status(
    target: Annotated[str | None, typer.Argument(help="One target; default all.")] = None,
    output: Answer = Output.TEXT,
) -> None:
    """Show what is in force (generation, arms, weights) and which decisions wait for a yes."""
    settings = reachable(configuration.load())
    events = reading.newest(settings, "configurations")
    if target is not None and target not in events:
        names = ", ".join(sorted(events)) or "none yet"
        raise Failure(f"{target!r} has no configuration", f"there are: {names}", BAD)
    chosen = [event.data for name, event in sorted(events.items()) if target in (None, name)]  # type: ignore[attr-defined]
    waiting = _waiting(settings, {configured.target for configured in chosen})
    if output == "json":
        print(
            json.dumps(
                {
                    "configurations": [_as_data(one) for one in chosen],
                    "waiting": msgspec.to_builtins(waiting),
                },
                indent=2,
            )
        )
        return
    table = Table("target", "generation", "segment", "arms")
    for configured in chosen:
        for segment, arms in sorted(configured.segments.items()):
            words = differs(arms)
            text = "\n".join(
                f"{arm.arm} {share(arm.weight_bps)}: {words.get(arm.variant_id, arm.model)}" for arm in arms
            )
            table.add_row(configured.target, str(configured.generation), segment, text)
    Console().print(table)
    for name, decision in waiting:
        Console(soft_wrap=True, highlight=False).print(
            f"{name} {decision.segment}: to start {at_shares(decision)} waits for a yes: "
            f'llmopt approve {name} {decision.decision_id} --reason "…"'
        )


def _waiting(settings: Settings, targets: set[str]) -> list[tuple[str, Decision]]:
    """The newest decision of each segment, where it is one that a person has not answered yet."""
    last: dict[tuple[str, str], Decision] = {}
    for event in reading.events(settings, "decisions"):
        decision = getattr(event, "data", None)
        # A yes that is not enough, or cannot be followed, leaves open what it was said to.
        if (
            isinstance(decision, Decision)
            and event.subject in targets
            and decision.kind not in ("hold", "reject_command")
        ):
            last[event.subject, decision.segment] = decision
    return [
        (name, decision)
        for (name, _), decision in sorted(last.items())
        if decision.kind == "start" and not decision.takes_effect and decision.autonomy != "advise"
    ]
