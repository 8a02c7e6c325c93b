"""What people and other systems want, followed at once: a rollback must not wait for a clock.

Every command is answered: by the decision that follows it, or by a `refuse` that says why it cannot be
followed and what would do.
"""

from collections.abc import Callable, Iterator

from optimizer.decide.record import schedule
from optimizer.decide.record.decision import Ruling, differs, record
from optimizer.decide.record.state import MAX_COMMANDS, Deciding
from optimizer.decide.trials import arms
from optimizer.decide.trials.editor import SegmentEditor
from optimizer.decide.trials.restore import go_back, obstacle
from optimizer.declaration.declared import derive
from optimizer.model.command import Alert, Command, PolicyVerdict
from optimizer.model.decision import WHOLE_TARGET, Decision


def obey(state: Deciding, command: Command, at: int, token: str) -> list[Decision]:
    """The answer to a command: at least one decision, none for one that was answered before.

    `at` is the instant the decisions are dated (ms); `token` the id of the command's event.
    """
    if not _is_news(state, token):
        return []
    wish = " ".join(map(str, filter(None, (command.command, command.generation))))
    why = f"{wish} by {command.by}: {command.reason}"
    ruling = Ruling(at, "command", why, by=command.by, token=token)
    if state.declaration is None:
        return [refuse(state, ruling, "the target is not declared; declare it first")]
    if command.segment is not None and command.segment not in state.segments:
        known = ", ".join(state.segments)
        return [refuse(state, ruling, f"there is no segment {command.segment!r}, only {known}")]
    if command.command in ("freeze", "unfreeze"):
        return [_switch(state, command, ruling)]
    if command.command == "return":
        return [_return(state, command, ruling)]
    if command.command == "optimize":
        answers = list(_optimize(state, command, ruling))
    else:
        answers = list(_HANDLERS[command.command](editors(state, command.segment), command, ruling))
    scope = command.segment or WHOLE_TARGET
    return answers or [refuse(state, ruling, _NOTHING[command.command], segment=scope)]


def alarm(state: Deciding, alert: Alert, at: int, token: str) -> list[Decision]:
    """A critical alert takes back whatever users meet of a candidate; any other one changes nothing."""
    if alert.severity != "critical" or not _is_news(state, token):
        return []
    ruling = Ruling(at, "alert", f"critical alert: {alert.sentence}", token=token)
    return [_take_off(one, ruling) for one in editors(state, alert.segment) if one.segment.is_served]


def ruled(state: Deciding, verdict: PolicyVerdict, at: int, token: str) -> list[Decision]:
    """A policy's `deny` rejects the decision that waits; an `allow` changes nothing: people approve."""
    if verdict.verdict != "deny" or not _is_news(state, token):
        return []
    ruling = Ruling(at, "approval", f"denied by {verdict.by}: {verdict.reason}", by=verdict.by, token=token)
    answers = [_take_off(one, ruling) for one in _waiting(editors(state, None), verdict.decision)]
    return answers or [refuse(state, ruling, _NOTHING["reject"])]


def editors(state: Deciding, segment: str | None) -> list[SegmentEditor]:
    """The segments that are meant, in the order of their names: one, or all; none of a target not declared."""
    if state.declaration is None:
        return []
    declared = derive(state.declaration)
    return [
        SegmentEditor(state, name, declared) for name in sorted(state.segments) if segment in (None, name)
    ]


def refuse(state: Deciding, ruling: Ruling, because: str, *, segment: str = WHOLE_TARGET) -> Decision:
    """The answer to what cannot be done."""
    refused = ruling._replace(why=f"{ruling.why}: refused, {because}")
    return record(state, "refuse", refused, segment=segment, act=False)


def _refuse(editor: SegmentEditor, ruling: Ruling, because: str) -> Decision:
    return refuse(editor.state, ruling, because, segment=editor.name)


def _is_news(state: Deciding, token: str) -> bool:
    """Whether this event was not answered before; from now on it was."""
    if token in state.commands:
        return False
    state.commands.append(token)
    del state.commands[:-MAX_COMMANDS]
    return True


# -- about a target --------------------------------------------------------------------------------


def _switch(state: Deciding, command: Command, ruling: Ruling) -> Decision:
    scope = command.segment or WHOLE_TARGET
    if command.command == "freeze":
        if scope in state.frozen:
            return refuse(state, ruling, f"it is frozen already ({state.frozen[scope]})", segment=scope)
        state.frozen[scope] = f"{command.by}: {command.reason}"
        return record(state, "hold", ruling, segment=scope, act=False)
    if scope not in state.frozen:
        where = f"; frozen is {', '.join(state.frozen)}" if state.frozen else ""
        return refuse(state, ruling, f"it is not frozen{where}", segment=scope)
    del state.frozen[scope]
    return record(state, "resume", ruling, segment=scope, act=False)


def _return(state: Deciding, command: Command, ruling: Ruling) -> Decision:
    wanted = command.generation
    if command.segment is not None:
        because = "a generation is the whole target's: leave out the segment, or `rollback` it"
        return refuse(state, ruling, because, segment=command.segment)
    if state.declaration is None or wanted is None or (because := obstacle(state, wanted)):
        return refuse(state, ruling, obstacle(state, wanted))
    return go_back(state, derive(state.declaration), wanted, ruling)


def _optimize(state: Deciding, command: Command, ruling: Ruling) -> Iterator[Decision]:
    free = [one.segment for one in editors(state, command.segment) if one.segment.live is None]
    for segment in free:
        schedule.at_once(segment, slowly=True)
    if free:
        why = f"{ruling.why}: considered with the next closed window"
        scope = command.segment or WHOLE_TARGET
        yield record(state, "hold", ruling._replace(why=why), segment=scope, act=False)


# -- about what is on trial ------------------------------------------------------------------------


Editors = list[SegmentEditor]


def _approve(meant: Editors, command: Command, ruling: Ruling) -> Iterator[Decision]:
    for one in _waiting(meant, command.decision):
        if by := one.frozen_by:
            yield _refuse(one, ruling, f"it is frozen ({by}); unfreeze it first")
        elif against := one.admission.against_a_yes():
            yield _refuse(one, ruling, against)
        elif (answer := _agreed(one, ruling)) is not None:
            yield answer
        elif one.segment.experiment is not None:
            yield arms.approved(one, ruling)
        else:
            yield one.trial.approved(ruling)


def _agreed(editor: SegmentEditor, ruling: Ruling) -> Decision | None:
    """The answer to a yes that is not enough; None once enough different people have said it."""
    trial, live = editor.segment.trial, editor.segment.live
    assert trial is not None, "a yes is to something"  # noqa: S101 - a programming error
    person, needed = ruling.by.strip().casefold(), editor.target.approvals.needed
    if person in trial.agreed:
        return _refuse(editor, ruling, f"{ruling.by} has said yes already; somebody else must, too")
    trial.agreed.append(person)
    if len(trial.agreed) >= needed:
        return None
    why = f"{ruling.why}; {len(trial.agreed)} of {needed} have said yes, somebody else must, too"
    return editor.decide(
        "hold", ruling._replace(cause="approval", why=why),
        act=False, variant=(live.variant or None) if live else None, model=live.model if live else None,
        incumbent=editor.segment.incumbent,
        differs=differs(editor.declared, editor.segment.incumbent, editor.segment.candidates()),
    )  # fmt: skip


def _reject(meant: Editors, command: Command, ruling: Ruling) -> Iterator[Decision]:
    for one in _waiting(meant, command.decision):
        yield _take_off(one, ruling._replace(cause="approval"))


def _waiting(meant: Editors, decision: str | None) -> Editors:
    """The segments whose proposal is meant: the named decision, or the only one that waits."""
    waiting = [one for one in meant if one.segment.live is not None and one.segment.live.phase == "awaiting"]
    waiting += [one for one in meant if one.segment.experiment is not None and one.segment.experiment.awaits]
    if decision is None and len(waiting) > 1:
        return []
    return [one for one in waiting if decision is None or decision == _asked(one)]


def _asked(editor: SegmentEditor) -> str:
    """The decision that waits for a yes."""
    live, running = editor.segment.live, editor.segment.experiment
    return running.decision if running is not None else live.decision if live is not None else ""


def _pause(meant: Editors, command: Command, ruling: Ruling) -> Iterator[Decision]:  # noqa: ARG001 - one shape
    for one in meant:
        if one.segment.live is not None and one.segment.live.phase in ("shadow", "step", "baking"):
            yield one.trial.pause(ruling)


def _resume(meant: Editors, command: Command, ruling: Ruling) -> Iterator[Decision]:  # noqa: ARG001 - one shape
    for one in meant:
        if one.segment.live is not None and one.segment.live.phase == "paused":
            yield one.trial.resume(ruling)


def _promote(meant: Editors, command: Command, ruling: Ruling) -> Iterator[Decision]:  # noqa: ARG001 - one shape
    for one in meant:
        live = one.segment.live
        if live is None or live.phase == "awaiting":
            continue
        if by := one.frozen_by:
            yield _refuse(one, ruling, f"it is frozen ({by}); unfreeze it first")
        elif live.weights:
            yield _refuse(one, ruling, "an experiment has several arms; its winner is rolled out")
        elif not live.weight_bps:
            because = "it is in shadow, nobody is served by it yet; wait for its first step, or declare it"
            yield _refuse(one, ruling, because)
        elif against := one.admission.against_a_yes():
            yield _refuse(one, ruling, against)
        else:
            yield _agreed(one, ruling) or one.trial.promote(ruling)


def _roll_back(meant: Editors, command: Command, ruling: Ruling) -> Iterator[Decision]:
    for one in meant:
        if one.segment.trial is not None:
            yield _take_off(one, ruling)
        elif one.segment.held is not None and command.segment is not None:
            yield one.trial.take_back(ruling)


def _abort(meant: Editors, command: Command, ruling: Ruling) -> Iterator[Decision]:  # noqa: ARG001 - one shape
    for one in meant:
        if one.segment.experiment is not None:
            yield arms.end(one, "conclude", ruling)
        elif one.segment.live is not None:
            yield one.trial.roll_back(ruling, bans=False)


def _take_off(editor: SegmentEditor, ruling: Ruling) -> Decision:
    """Back to the incumbent, from one candidate or from several."""
    if editor.segment.experiment is not None:
        return arms.end(editor, "rollback", ruling)
    return editor.trial.roll_back(ruling)


_HANDLERS: dict[str, Callable[[Editors, Command, Ruling], Iterator[Decision]]] = {
    "approve": _approve,
    "reject": _reject,
    "pause": _pause,
    "resume": _resume,
    "promote": _promote,
    "rollback": _roll_back,
    "abort": _abort,
}

_NOTHING = {
    "approve": "no such decision waits for a yes; name one that does",
    "reject": "no such decision waits for a yes; name one that does",
    "pause": "no rollout is moving",
    "resume": "no rollout is paused",
    "promote": "no candidate is being served",
    "optimize": "a rollout is under way in every segment that is meant; it ends first",
    "abort": "no rollout is live",
    "rollback": "no rollout is live; to take back a promotion, name its segment while the holdback lasts, "
    "later by declaring another incumbent",
}
