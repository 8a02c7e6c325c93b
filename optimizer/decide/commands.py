"""Commands of people and other systems are followed at once: a rollback must not wait for a clock.

Every command is answered: by the decision that follows it, or by a `reject_command` that says why it cannot be
followed and what would do.
"""

from collections.abc import Callable, Collection, Iterator

from optimizer.decide.record import schedule
from optimizer.decide.record.decision import Reason, differs, record
from optimizer.decide.record.state import MAX_COMMANDS, DecideState, Segment
from optimizer.decide.trials.editor import SegmentEditor
from optimizer.decide.trials.restore import go_back, obstacle
from optimizer.declaration.declared import derive
from optimizer.model.command import Alert, Command, PolicyVerdict
from optimizer.model.decision import WHOLE_TARGET, Decision


def obey(state: DecideState, command: Command, at: int, token: str) -> list[Decision]:
    """The answer to a command: at least one decision, none for one that was answered before.

    `at` is the instant the decisions are dated (ms); `token` the id of the command's event.
    """
    if not _is_news(state, token):
        return []
    wish = " ".join(map(str, filter(None, (command.command, command.variant, command.generation))))
    why = f"{wish} by {command.actor}: {command.reason}"
    reason = Reason(at, "command", why, actor=command.actor, token=token)
    if state.declaration is None:
        return [refuse(state, reason, "the target is not declared; declare it first")]
    if command.segment is not None and command.segment not in state.segments:
        known = ", ".join(state.segments)
        return [refuse(state, reason, f"there is no segment {command.segment!r}, only {known}")]
    if command.command in ("freeze", "unfreeze"):
        return [_switch(state, command, reason)]
    if command.command == "restore":
        return [_restore(state, command, reason)]
    if command.command == "optimize":
        answers = list(_optimize(state, command, reason))
    else:
        answers = list(_HANDLERS[command.command](editors(state, command.segment), command, reason))
    scope = command.segment or WHOLE_TARGET
    return answers or [refuse(state, reason, _NOTHING[command.command], segment=scope)]


def alarm(state: DecideState, alert: Alert, at: int, token: str) -> list[Decision]:
    """A critical alert takes back whatever users meet of a candidate; any other one changes nothing."""
    if alert.severity != "critical" or not _is_news(state, token):
        return []
    reason = Reason(at, "alert", f"critical alert: {alert.reason}", token=token)
    return [
        editor.trial.take_out("alerted", reason)
        for editor in editors(state, alert.segment)
        if editor.segment.is_served
    ]


def ruled(state: DecideState, verdict: PolicyVerdict, at: int, token: str) -> list[Decision]:
    """A policy's `deny` rejects the decision that waits; an `allow` changes nothing: people approve."""
    if verdict.verdict != "deny" or not _is_news(state, token):
        return []
    reason = Reason(
        at, "approval", f"denied by {verdict.actor}: {verdict.reason}", actor=verdict.actor, token=token
    )
    waiting = _waiting(editors(state, None), verdict.decision_id)
    answers = [editor.trial.end("rejected", reason) for editor in waiting]
    return answers or [refuse(state, reason, _NOTHING["reject"])]


def editors(state: DecideState, segment: str | None) -> list[SegmentEditor]:
    """The segments that are meant, in the order of their names: one, or all; none of a target not declared."""
    if state.declaration is None:
        return []
    declared = derive(state.declaration)
    return [
        SegmentEditor(state, name, declared) for name in sorted(state.segments) if segment in (None, name)
    ]


def refuse(state: DecideState, reason: Reason, because: str, *, segment: str = WHOLE_TARGET) -> Decision:
    """The answer to what cannot be done."""
    refused = reason._replace(text=f"{reason.text}: refused, {because}")
    return record(state, "reject_command", refused, segment=segment, takes_effect=False)


def _refuse(editor: SegmentEditor, reason: Reason, because: str) -> Decision:
    return refuse(editor.state, reason, because, segment=editor.name)


def _is_news(state: DecideState, token: str) -> bool:
    """True if this event was not answered before; from now on it was."""
    if token in state.commands:
        return False
    state.commands.append(token)
    del state.commands[:-MAX_COMMANDS]
    return True


# -- about a target --------------------------------------------------------------------------------


def _switch(state: DecideState, command: Command, reason: Reason) -> Decision:
    scope = command.segment or WHOLE_TARGET
    if command.command == "freeze":
        if scope in state.frozen:
            return refuse(state, reason, f"it is frozen already ({state.frozen[scope]})", segment=scope)
        state.frozen[scope] = f"{command.actor}: {command.reason}"
        return record(state, "hold", reason, segment=scope, takes_effect=False)
    if scope not in state.frozen:
        where = f"; frozen is {', '.join(state.frozen)}" if state.frozen else ""
        return refuse(state, reason, f"it is not frozen{where}", segment=scope)
    del state.frozen[scope]
    return record(state, "resume", reason, segment=scope, takes_effect=False)


def _restore(state: DecideState, command: Command, reason: Reason) -> Decision:
    wanted = command.generation
    if command.segment is not None:
        because = "a generation is the whole target's: leave out the segment, or `rollback` it"
        return refuse(state, reason, because, segment=command.segment)
    if state.declaration is None or wanted is None or (because := obstacle(state, wanted)):
        return refuse(state, reason, obstacle(state, wanted))
    return go_back(state, derive(state.declaration), wanted, reason)


def _optimize(state: DecideState, command: Command, reason: Reason) -> Iterator[Decision]:
    free = [
        editor.segment for editor in editors(state, command.segment) if _may_be_considered(editor.segment)
    ]
    for segment in free:
        schedule.at_once(segment, slowly=True)
    if free:
        why = f"{reason.text}: considered with the next closed window"
        scope = command.segment or WHOLE_TARGET
        yield record(state, "hold", reason._replace(text=why), segment=scope, takes_effect=False)


def _may_be_considered(segment: Segment) -> bool:
    """True if a strategy has a say in the segment now: nothing is on trial, or shares that follow earnings."""
    return segment.trial is None or (segment.trial.allocation == "adaptive" and segment.trial.phase == "step")


# -- about what is on trial ------------------------------------------------------------------------

Editors = list[SegmentEditor]


def _approve(meant: Editors, command: Command, reason: Reason) -> Iterator[Decision]:
    for editor in _waiting(meant, command.decision_id):
        if refusal := editor.trial.refusal("approved") or editor.admission.against_a_yes():
            yield _refuse(editor, reason, refusal)
        else:
            yield _agreed(editor, reason) or editor.trial.approve(reason)


def _agreed(editor: SegmentEditor, reason: Reason, variant: str = "") -> Decision | None:
    """The answer to a yes that is not enough; None once enough different people have said it.

    `variant`: the arm whose promotion is agreed to; empty: the start of all of them.
    """
    trial, person = editor.trial.present, reason.actor.strip().casefold()
    agreed, needed = trial.agreed.get(variant, []), editor.target.approvals.needed
    if person in agreed:
        return _refuse(editor, reason, f"{reason.actor} has said yes already; somebody else must, too")
    trial.agreed = {**trial.agreed, variant: [*agreed, person]}
    if len(agreed) + 1 >= needed:
        return None
    why = f"{reason.text}; {len(agreed) + 1} of {needed} have said yes, somebody else must, too"
    about = variant or trial.variant
    model = editor.declared.models.get(about)
    return editor.decide(
        "hold", reason._replace(cause="approval", text=why),
        takes_effect=False, variant_id=about or None, model=model.name if model else None, incumbent_id=trial.control,
        differs=differs(editor.declared, trial.control, trial.arms),
    )  # fmt: skip


def _reject(meant: Editors, command: Command, reason: Reason) -> Iterator[Decision]:
    for editor in _waiting(meant, command.decision_id):
        yield editor.trial.end("rejected", reason._replace(cause="approval"))


def _waiting(meant: Editors, decision: str | None) -> Editors:
    """The segments whose proposal is meant: the named decision, or the only one that waits."""
    waiting = [editor for editor in meant if editor.trial.hears("rejected")]
    if decision is None and len(waiting) > 1:
        return []
    return [editor for editor in waiting if decision in (None, editor.trial.present.decision)]


def _pause(meant: Editors, command: Command, reason: Reason) -> Iterator[Decision]:  # noqa: ARG001 - one shape
    for editor in meant:
        if editor.trial.hears("paused"):
            yield editor.trial.pause(reason)


def _resume(meant: Editors, command: Command, reason: Reason) -> Iterator[Decision]:  # noqa: ARG001 - one shape
    for editor in meant:
        if editor.trial.hears("resumed"):
            yield editor.trial.resume(reason)


def _promote(meant: Editors, command: Command, reason: Reason) -> Iterator[Decision]:
    for editor in meant:
        if not editor.segment.is_served:
            continue
        arms = editor.trial.present.arms
        variant, unnamed = _named(editor, command.variant, arms)
        if refusal := editor.trial.refusal("promoted") or unnamed:
            yield _refuse(editor, reason, refusal)
        elif not arms[variant] or not editor.trial.hears("promoted"):
            because = "it is in shadow, nobody is served by it yet; wait for its first step, or declare it"
            yield _refuse(editor, reason, because)
        elif against := editor.admission.against_a_yes(variant):
            yield _refuse(editor, reason, against)
        else:
            yield _agreed(editor, reason, variant) or editor.trial.promote(reason, variant)


def _roll_back(meant: Editors, command: Command, reason: Reason) -> Iterator[Decision]:
    for editor in meant:
        if editor.segment.trial is None:
            yield from _took_back(editor, command, reason)
        elif command.variant is None:
            yield editor.trial.take_out("taken_back", reason)
        else:
            yield _took_out(editor, command.variant, reason)


def _took_out(editor: SegmentEditor, name: str, reason: Reason) -> Decision:
    """One arm taken out of several, or the only one taken back."""
    arms = editor.trial.present.arms
    variant, unnamed = _named(editor, name, arms)
    if not unnamed and len(arms) > 1 and not editor.trial.hears("arm_taken_out"):
        unnamed = "it waits for a yes to all of its arms; reject it"
    if unnamed:
        return _refuse(editor, reason, unnamed)
    return editor.trial.take_out("taken_back", reason, (variant,))


def _took_back(editor: SegmentEditor, command: Command, reason: Reason) -> Iterator[Decision]:
    """A promotion taken back while its holdback lasts, where its segment or its variant is named."""
    segment = editor.segment
    if segment.held is None or (command.segment is None and command.variant is None):
        return
    if command.variant is not None:
        _, unnamed = _named(editor, command.variant, (segment.incumbent,), which="just promoted")
        if unnamed:
            yield _refuse(editor, reason, unnamed)
            return
    yield editor.trial.take_back(reason)


def _abort(meant: Editors, command: Command, reason: Reason) -> Iterator[Decision]:  # noqa: ARG001 - one shape
    for editor in meant:
        if editor.trial.hears("aborted"):
            yield editor.trial.end("aborted", reason)


def _unban(meant: Editors, command: Command, reason: Reason) -> Iterator[Decision]:
    """Bans are lifted, and what they rested on is forgotten, so that the variant may prove itself anew."""
    banned = {v for editor in meant for v in editor.segment.bans if editor.bans(v) is not None}
    for editor in meant[:1]:
        variant, unnamed = _named(editor, command.variant, banned, which="banned")
        if unnamed and banned:
            scope = command.segment or WHOLE_TARGET
            yield refuse(editor.state, reason, unnamed, segment=scope)
            return
        for of in meant:
            if (ban := of.bans(variant)) is not None:
                yield of.lift(variant, reason._replace(text=f"{reason.text}; it was banned: {ban.reason}"))


def _named(
    editor: SegmentEditor, name: str | None, among: Collection[str], *, which: str = "on trial"
) -> tuple[str, str]:
    """The variant that a person means, by id, label or model, and why nobody can tell which; one of them is empty."""
    names = {variant: editor.declared.name_of(variant) for variant in sorted(among)}
    listed = ", ".join(f"{label} ({variant})" for variant, label in names.items()) or "nothing"
    if name is None:
        return ("", f"name one of those {which}: {listed}") if len(names) != 1 else (next(iter(names)), "")
    exact = [variant for variant, label in names.items() if name in (variant, label)]
    models = editor.declared.models
    found = exact or [variant for variant in names if variant in models and models[variant].name == name]
    if len(found) != 1:
        how_many = "more than one" if found else "none"
        return "", f"{name!r} names {how_many} of those {which}: {listed}"
    return found[0], ""


_HANDLERS: dict[str, Callable[[Editors, Command, Reason], Iterator[Decision]]] = {
    "approve": _approve,
    "reject": _reject,
    "pause": _pause,
    "resume": _resume,
    "promote": _promote,
    "rollback": _roll_back,
    "abort": _abort,
    "unban": _unban,
}

_NOTHING = {
    "approve": "no such decision waits for a yes; name one that does",
    "reject": "no such decision waits for a yes; name one that does",
    "pause": "nothing on trial is moving",
    "resume": "nothing on trial is paused",
    "promote": "no candidate is being served",
    "optimize": "a rollout is under way in every segment that is meant, or a test, or what is paused; it ends first",
    "abort": "nothing is on trial",
    "unban": "no variant is banned there",
    "rollback": "nothing is on trial; to take back a promotion, name its segment while the holdback lasts, "
    "later by declaring another incumbent",
}
