"""Fail-over: users whose variant fails by itself are sent elsewhere at once, where a declaration says where.

The sign is a level of errors above `hard_limits.error_rate` among at least `hard_limits.min_calls` calls of a minute.
Against a control that fails, quality, latency and cost mean nothing: a fail-over is judged by errors alone,
and its bake promotes it. When what failed is well again, it comes back as any candidate does, step by step.
"""

from collections.abc import Sequence

from optimizer.decide.record.decision import Reason
from optimizer.decide.trials.editor import SegmentEditor
from optimizer.decide.trials.transitions import TrialSpec
from optimizer.model.decision import Decision
from optimizer.model.finding import Finding
from optimizer.model.target import Target
from optimizer.model.wording import outcome, share


def answer(editor: SegmentEditor, levels: Sequence[Finding]) -> Decision | None:
    """The fail-over that a storm of errors asks for, or the alarm that there is none; None in calm weather."""
    target, segment = editor.target, editor.segment
    if (storm := _storm(target, levels)) is None:
        return None
    reason = Reason(editor.now_at, "hard_limit", f"the incumbent itself fails: {outcome(storm)}", (storm,))
    if by := editor.frozen_by:
        return editor.trial.hold(reason._replace(cause="frozen", text=f"frozen by {by}; {reason.text}"))
    models = editor.declared.models
    to = next((v for v, m in models.items() if target.failover and m.name == target.failover.to), None)
    ban = editor.bans(to or "")
    missing = ""
    if to is None:
        missing = "no failover is declared"
    elif to == segment.incumbent:
        missing = f"{models[to].name}, the declared failover, is what fails"
    elif ban is not None:
        missing = f"{models[to].name}, the declared failover, is banned: {ban.reason}"
    elif bars := editor.evidence.asked(to, editor.declared.most_bps).bars:
        missing = f"{models[to].name}, the declared failover, is not allowed: {bars}"
    if to is None or missing:
        return editor.trial.hold(reason._replace(text=f"{reason.text}; {missing}: a person is needed"))
    if target.autonomy == "advise" and segment.advised == to:
        return None
    weight_bps = editor.declared.most_bps
    why = f"fails over to {models[to].name} at {share(weight_bps)}; {reason.text}"
    spec = TrialSpec({to: weight_bps}, failover=True)
    return editor.trial.begin(spec, reason._replace(text=why))


def _storm(target: Target, levels: Sequence[Finding]) -> Finding | None:
    trips = target.hard_limits
    if trips.error_rate is None:
        return None
    for level in levels:
        enough = level.metric == "errors" and level.n >= trips.min_calls
        if enough and level.estimate is not None and level.estimate > trips.error_rate:
            return level
    return None
