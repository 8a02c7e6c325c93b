"""What people and other systems want, followed at once: a rollback must not wait for a clock.

Every command is answered: by the decision that follows it, or by a `refuse` that says why it cannot be
followed and what would do.
"""

from collections.abc import Callable, Iterator

from optimizer.decide import guardrails, moves
from optimizer.decide.autonomy import frozen
from optimizer.decide.record import Ruling, record
from optimizer.decide.state import MAX_COMMANDS, Deciding, Segment
from optimizer.model.command import Alert, Command, PolicyVerdict
from optimizer.model.decision import WHOLE_TARGET, Decision


def obey(state: Deciding, command: Command, at: int, token: str) -> list[Decision]:
    """The answer to a command: at least one decision, none for one that was answered before.

    `at` is the instant the decisions are dated (ms); `token` the id of the command's event.
    """
    if not _is_news(state, token):
        return []
    why = f"{command.command} by {command.by}: {command.reason}"
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
        moves.roll_back(state, name, ruling)
        for name, segment in _scope(state, alert.segment)
        if segment.live is not None and segment.live.phase != "awaiting"
    ]


def ruled(state: Deciding, verdict: PolicyVerdict, at: int, token: str) -> list[Decision]:
    """A policy's `deny` rejects the decision that waits; an `allow` changes nothing: people approve."""
    if verdict.verdict != "deny" or not _is_news(state, token):
        return []
    ruling = Ruling(at, "approval", f"denied by {verdict.by}: {verdict.reason}", by=verdict.by, token=token)
    waiting = _waiting(state, None, verdict.decision)
    answers = [moves.roll_back(state, name, ruling) for name in waiting]
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
        elif against := guardrails.against_a_yes(state, name):
            yield refuse(state, name, ruling, against)
        else:
            yield _agreed(state, name, ruling) or moves.approved(state, name, ruling)


def _agreed(state: Deciding, name: str, ruling: Ruling) -> Decision | None:
    """The answer to a yes that is not enough; None once enough different people have said it."""
    live, declared = state.segments[name].live, state.declaration
    assert live is not None, "a yes is to something"  # noqa: S101 - a programming error
    assert declared is not None, "only a declared target is agreed about"  # noqa: S101 - a programming error
    person, needed = ruling.by.strip().casefold(), declared.approvals.needed
    if person in live.agreed:
        return refuse(state, name, ruling, f"{ruling.by} has said yes already; somebody else must, too")
    live.agreed.append(person)
    if len(live.agreed) >= needed:
        return None
    why = f"{ruling.why}; {len(live.agreed)} of {needed} have said yes, somebody else must, too"
    return record(
        state, name, "hold", ruling._replace(cause="approval", why=why),
        act=False, variant=live.variant, model=live.model,
    )  # fmt: skip


def _reject(state: Deciding, command: Command, ruling: Ruling) -> Iterator[Decision]:
    for name in _waiting(state, command.segment, command.decision):
        yield moves.roll_back(state, name, ruling._replace(cause="approval"))


def _waiting(state: Deciding, where: str | None, meant: str | None) -> list[str]:
    """The segments whose proposal is meant: the named decision, or the only one that waits."""
    waiting = {
        name: segment.live.decision
        for name, segment in _scope(state, where)
        if segment.live is not None and segment.live.phase == "awaiting"
    }
    if meant is None and len(waiting) > 1:
        return []
    return [name for name, decision in waiting.items() if meant in (None, decision)]


def _pause(state: Deciding, command: Command, ruling: Ruling) -> Iterator[Decision]:
    for name, segment in _scope(state, command.segment):
        if segment.live is not None and segment.live.phase in ("step", "baking"):
            yield moves.pause(state, name, ruling)


def _resume(state: Deciding, command: Command, ruling: Ruling) -> Iterator[Decision]:
    for name, segment in _scope(state, command.segment):
        if segment.live is not None and segment.live.phase == "paused":
            yield moves.resume(state, name, ruling)


def _promote(state: Deciding, command: Command, ruling: Ruling) -> Iterator[Decision]:
    for name, segment in _scope(state, command.segment):
        if segment.live is None or segment.live.phase == "awaiting":
            continue
        if by := frozen(state, name):
            yield refuse(state, name, ruling, f"it is frozen ({by}); unfreeze it first")
        elif against := guardrails.against_a_yes(state, name):
            yield refuse(state, name, ruling, against)
        else:
            yield _agreed(state, name, ruling) or moves.promote(state, name, ruling)


def _roll_back(state: Deciding, command: Command, ruling: Ruling) -> Iterator[Decision]:
    for name, segment in _scope(state, command.segment):
        if segment.live is not None:
            yield moves.roll_back(state, name, ruling)
        elif segment.held is not None and command.segment is not None:
            yield moves.take_back(state, name, ruling)


_HANDLERS: dict[str, Callable[[Deciding, Command, Ruling], Iterator[Decision]]] = {
    "approve": _approve,
    "reject": _reject,
    "pause": _pause,
    "resume": _resume,
    "promote": _promote,
    "rollback": _roll_back,
}

_NOTHING = {
    "approve": "no such decision waits for a yes; name one that does",
    "reject": "no such decision waits for a yes; name one that does",
    "pause": "no rollout is moving",
    "resume": "no rollout is paused",
    "promote": "no candidate is being served",
    "rollback": "no rollout is live; to take back a promotion, name its segment while the holdback lasts, "
    "later by declaring another incumbent",
}
