"""What people and other systems want, followed at once: a rollback must not wait for a clock.

Every command is answered: by the decision that follows it, or by a `refuse` that says why it cannot be
followed and what would do.
"""

from collections.abc import Callable, Iterator

from optimizer.decide.admission import checks
from optimizer.decide.record import schedule
from optimizer.decide.record.autonomy import frozen
from optimizer.decide.record.decision import Ruling, differs, record
from optimizer.decide.record.state import MAX_COMMANDS, Deciding, Segment
from optimizer.decide.trials import arms, transitions
from optimizer.decide.trials.restore import go_back, obstacle
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
        return [refuse(state, WHOLE_TARGET, ruling, "the target is not declared; declare it first")]
    if command.segment is not None and command.segment not in state.segments:
        known = ", ".join(state.segments)
        return [refuse(state, WHOLE_TARGET, ruling, f"there is no segment {command.segment!r}, only {known}")]
    if command.command in ("freeze", "unfreeze"):
        return [_switch(state, command, ruling)]
    answers = list(_HANDLERS[command.command](state, command, ruling))
    return answers or [refuse(state, command.segment or WHOLE_TARGET, ruling, _NOTHING[command.command])]


def alarm(state: Deciding, alert: Alert, at: int, token: str) -> list[Decision]:
    """A critical alert takes back whatever users meet of a candidate; any other one changes nothing."""
    if alert.severity != "critical" or not _is_news(state, token):
        return []
    ruling = Ruling(at, "alert", f"critical alert: {alert.sentence}", token=token)
    return [
        _take_off(state, name, ruling)
        for name, segment in _scope(state, alert.segment)
        if (segment.live is not None and segment.live.phase != "awaiting")
        or (segment.experiment is not None and not segment.experiment.awaits)
    ]


def ruled(state: Deciding, verdict: PolicyVerdict, at: int, token: str) -> list[Decision]:
    """A policy's `deny` rejects the decision that waits; an `allow` changes nothing: people approve."""
    if verdict.verdict != "deny" or not _is_news(state, token):
        return []
    ruling = Ruling(at, "approval", f"denied by {verdict.by}: {verdict.reason}", by=verdict.by, token=token)
    waiting = _waiting(state, None, verdict.decision)
    answers = [_take_off(state, name, ruling) for name in waiting]
    return answers or [refuse(state, WHOLE_TARGET, ruling, _NOTHING["reject"])]


def refuse(state: Deciding, segment: str, ruling: Ruling, because: str) -> Decision:
    """The answer to what cannot be done."""
    return record(
        state, segment, "refuse", ruling._replace(why=f"{ruling.why}: refused, {because}"), act=False
    )


def _is_news(state: Deciding, token: str) -> bool:
    """Whether this event was not answered before; from now on it was."""
    if token in state.commands:
        return False
    state.commands.append(token)
    del state.commands[:-MAX_COMMANDS]
    return True


def _scope(state: Deciding, segment: str | None) -> list[tuple[str, Segment]]:
    return [(name, one) for name, one in sorted(state.segments.items()) if segment in (None, name)]


def _switch(state: Deciding, command: Command, ruling: Ruling) -> Decision:
    scope = command.segment or WHOLE_TARGET
    if command.command == "freeze":
        if scope in state.frozen:
            return refuse(state, scope, ruling, f"it is frozen already ({state.frozen[scope]})")
        state.frozen[scope] = f"{command.by}: {command.reason}"
        return record(state, scope, "hold", ruling, act=False)
    if scope not in state.frozen:
        where = f"; frozen is {', '.join(state.frozen)}" if state.frozen else ""
        return refuse(state, scope, ruling, f"it is not frozen{where}")
    del state.frozen[scope]
    return record(state, scope, "resume", ruling, act=False)


def _approve(state: Deciding, command: Command, ruling: Ruling) -> Iterator[Decision]:
    for name in _waiting(state, command.segment, command.decision):
        if by := frozen(state, name):
            yield refuse(state, name, ruling, f"it is frozen ({by}); unfreeze it first")
        elif against := checks.against_a_yes(state, name):
            yield refuse(state, name, ruling, against)
        elif (answer := _agreed(state, name, ruling)) is not None:
            yield answer
        elif state.segments[name].experiment is not None:
            yield arms.approved(state, name, ruling)
        else:
            yield transitions.approved(state, name, ruling)


def _agreed(state: Deciding, name: str, ruling: Ruling) -> Decision | None:
    """The answer to a yes that is not enough; None once enough different people have said it."""
    segment, declared = state.segments[name], state.declaration
    trial, live = segment.trial, segment.live
    assert trial is not None, "a yes is to something"  # noqa: S101 - a programming error
    assert declared is not None, "only a declared target is agreed about"  # noqa: S101 - a programming error
    person, needed = ruling.by.strip().casefold(), declared.approvals.needed
    if person in trial.agreed:
        return refuse(state, name, ruling, f"{ruling.by} has said yes already; somebody else must, too")
    trial.agreed.append(person)
    if len(trial.agreed) >= needed:
        return None
    why = f"{ruling.why}; {len(trial.agreed)} of {needed} have said yes, somebody else must, too"
    return record(
        state, name, "hold", ruling._replace(cause="approval", why=why),
        act=False, variant=(live.variant or None) if live else None, model=live.model if live else None,
        incumbent=segment.incumbent, differs=differs(declared, segment.incumbent, segment.candidates()),
    )  # fmt: skip


def _reject(state: Deciding, command: Command, ruling: Ruling) -> Iterator[Decision]:
    for name in _waiting(state, command.segment, command.decision):
        yield _take_off(state, name, ruling._replace(cause="approval"))


def _waiting(state: Deciding, where: str | None, meant: str | None) -> list[str]:
    """The segments whose proposal is meant: the named decision, or the only one that waits."""
    waiting = {
        name: segment.live.decision
        for name, segment in _scope(state, where)
        if segment.live is not None and segment.live.phase == "awaiting"
    }
    waiting |= {
        name: segment.experiment.decision
        for name, segment in _scope(state, where)
        if segment.experiment is not None and segment.experiment.awaits
    }
    if meant is None and len(waiting) > 1:
        return []
    return [name for name, decision in waiting.items() if meant in (None, decision)]


def _pause(state: Deciding, command: Command, ruling: Ruling) -> Iterator[Decision]:
    for name, segment in _scope(state, command.segment):
        if segment.live is not None and segment.live.phase in ("shadow", "step", "baking"):
            yield transitions.pause(state, name, ruling)


def _resume(state: Deciding, command: Command, ruling: Ruling) -> Iterator[Decision]:
    for name, segment in _scope(state, command.segment):
        if segment.live is not None and segment.live.phase == "paused":
            yield transitions.resume(state, name, ruling)


def _promote(state: Deciding, command: Command, ruling: Ruling) -> Iterator[Decision]:
    for name, segment in _scope(state, command.segment):
        if segment.live is None or segment.live.phase == "awaiting":
            continue
        if by := frozen(state, name):
            yield refuse(state, name, ruling, f"it is frozen ({by}); unfreeze it first")
        elif segment.live.weights:
            yield refuse(state, name, ruling, "an experiment has several arms; its winner is rolled out")
        elif not segment.live.weight_bps:
            because = "it is in shadow, nobody is served by it yet; wait for its first step, or declare it"
            yield refuse(state, name, ruling, because)
        elif against := checks.against_a_yes(state, name):
            yield refuse(state, name, ruling, against)
        else:
            yield _agreed(state, name, ruling) or transitions.promote(state, name, ruling)


def _roll_back(state: Deciding, command: Command, ruling: Ruling) -> Iterator[Decision]:
    for name, segment in _scope(state, command.segment):
        if segment.live is not None or segment.experiment is not None:
            yield _take_off(state, name, ruling)
        elif segment.held is not None and command.segment is not None:
            yield transitions.take_back(state, name, ruling)


def _abort(state: Deciding, command: Command, ruling: Ruling) -> Iterator[Decision]:
    for name, segment in _scope(state, command.segment):
        if segment.experiment is not None:
            yield arms.end(state, name, "conclude", ruling)
        elif segment.live is not None:
            yield transitions.roll_back(state, name, ruling, bans=False)


def _return(state: Deciding, command: Command, ruling: Ruling) -> Iterator[Decision]:
    wanted = command.generation
    if command.segment is not None:
        because = "a generation is the whole target's: leave out the segment, or `rollback` it"
        yield refuse(state, command.segment, ruling, because)
    elif because := obstacle(state, wanted):
        yield refuse(state, WHOLE_TARGET, ruling, because)
    elif wanted is not None:
        yield go_back(state, wanted, ruling)


def _optimize(state: Deciding, command: Command, ruling: Ruling) -> Iterator[Decision]:
    free = [one for _, one in _scope(state, command.segment) if one.live is None]
    for segment in free:
        schedule.at_once(segment, slowly=True)
    if free:
        why = f"{ruling.why}: considered with the next closed window"
        yield record(
            state, command.segment or WHOLE_TARGET, "hold", ruling._replace(why=why), act=False
        )  # fmt: skip


def _take_off(state: Deciding, name: str, ruling: Ruling) -> Decision:
    """Back to the incumbent, from one candidate or from several."""
    if state.segments[name].experiment is not None:
        return arms.end(state, name, "rollback", ruling)
    return transitions.roll_back(state, name, ruling)


_HANDLERS: dict[str, Callable[[Deciding, Command, Ruling], Iterator[Decision]]] = {
    "approve": _approve,
    "reject": _reject,
    "pause": _pause,
    "resume": _resume,
    "promote": _promote,
    "rollback": _roll_back,
    "optimize": _optimize,
    "abort": _abort,
    "return": _return,
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
