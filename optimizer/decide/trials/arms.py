"""Several candidates at once in a segment: how an experiment begins, moves, and ends.

    start     with weights: the candidates beside the incumbent, whose share is also their control
    reweigh   other weights: the strategy's, or without an arm that is proven harmful
    conclude  back to the incumbent, as nothing more is to be found out
    rollback  back to the incumbent, as no arm is left that does no harm, or somebody wants it

Harm is acted upon at every watermark, like that of a single candidate; new weights wait for the main cycle,
and until the calls follow the last ones.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import structs

from optimizer.decide.evidence import rewards
from optimizer.decide.evidence.rewards import Own
from optimizer.decide.evidence.utility import weights
from optimizer.decide.record import schedule
from optimizer.decide.record.decision import Ruling, differs
from optimizer.decide.record.memory import Effect
from optimizer.decide.record.state import MS, Earned, Experiment, Segment
from optimizer.decide.strategies.contract import Proposal
from optimizer.decide.trials.editor import SegmentEditor
from optimizer.decide.trials.gate import harm
from optimizer.decide.trials.transitions import wanted
from optimizer.model.decision import Alternative, Decision, DecisionKind
from optimizer.model.finding import Finding
from optimizer.model.metric import ROWS, Metric
from optimizer.model.target import Target

LEAST_RATIO = 0.01
"""Of an arm's mean to its control's: an arm that costs nothing tells nothing of how much its control's costs vary."""


def begin(
    editor: SegmentEditor, proposal: Proposal, ruling: Ruling,
    *, rejected: tuple[Alternative, ...], asks: str = "",
) -> Decision:  # fmt: skip
    """Start, or ask for a yes, or advise: as the mode says; with `asks` a yes is needed in any mode."""
    declared, segment, state = editor.target, editor.segment, editor.state
    acts = declared.autonomy == "auto" and not (proposal.asks or asks)
    generation = state.next_generation() if acts else 0
    decision = editor.decide(
        "start", ruling._replace(why=ruling.why + wanted(asks)),
        act=acts, generation=generation, incumbent=segment.incumbent,
        weights=proposal.weights, step=1, rejected=rejected,
    )  # fmt: skip
    if declared.autonomy == "advise":
        segment.advised = key(proposal)
        return decision
    rollout = f"r-{decision.decision_id}"
    segment.experiment = Experiment(
        rollout=rollout, decision=decision.decision_id, strategy=proposal.strategy,
        weights=dict(proposal.weights), started_at=ruling.at, step_at=ruling.at, generation=generation,
        awaits=not acts,
    )  # fmt: skip
    editor.trial.began(generation)
    return structs.replace(decision, rollout=rollout)


def key(proposal: Proposal) -> str:
    """What is advised, so that it is advised once."""
    return proposal.variant or ",".join(sorted(proposal.weights))


def approved(editor: SegmentEditor, ruling: Ruling) -> Decision:
    """Start what was waiting for a yes."""
    running = _running(editor)
    running.awaits, running.started_at, running.step_at = False, ruling.at, ruling.at
    running.generation, running.agreed = editor.state.next_generation(), []
    editor.trial.began(running.generation)
    return _record(editor, "start", ruling)


def reweigh(
    editor: SegmentEditor, share: Mapping[str, int], ruling: Ruling,
    *, rejected: tuple[Alternative, ...] = (),
) -> Decision:  # fmt: skip
    """Other weights."""
    running = _running(editor)
    running.weights, running.step_at = dict(share), ruling.at
    running.earned = {variant: one for variant, one in running.earned.items() if variant in share}
    running.generation = editor.segment.since_generation = editor.state.next_generation()
    return structs.replace(_record(editor, "reweigh", ruling), rejected=rejected)


def end(editor: SegmentEditor, kind: DecisionKind, ruling: Ruling) -> Decision:
    """Back to the incumbent; without a generation if nobody was served by an arm yet."""
    segment, running = editor.segment, _running(editor)
    tried = differs(editor.declared, segment.incumbent, running.weights)
    running.weights = {segment.incumbent: 10_000}
    running.generation = 0 if running.awaits else editor.state.next_generation()
    if running.awaits:
        kind = "rollback"
    decision = structs.replace(_record(editor, kind, ruling), differs=tried)
    segment.since_generation = running.generation or segment.since_generation
    editor.rest(ruling.at)
    if kind == "conclude":
        segment.rest_until_at = ruling.at  # what was found out is acted upon with the next window
    return decision


def judge(editor: SegmentEditor, due: Sequence[Finding]) -> Decision | None:
    """At most one decision about the arms at `state.now_at`: harm first, then what the strategy wants."""
    segment, running = editor.segment, _running(editor)
    if running.awaits:
        if editor.now_at < running.step_at + editor.declared.answer_s * MS:
            return None
        few = f"{len(running.agreed)} of {editor.target.approvals.needed} people said yes"
        why = f"{few if running.agreed else 'nobody said yes or no'} in time"
        return end(editor, "rollback", Ruling(editor.now_at, "approval", why))
    if (decision := _without_harmful(editor, due)) is not None:
        return decision
    _hear(segment, running, due, editor.target)
    rewards.renew(running.earned)
    return None


def may_be_reweighed(editor: SegmentEditor) -> bool:
    """Whether the strategy may be asked: allowed, due, and the calls follow the last weights."""
    segment, running = editor.segment, _running(editor)
    return (
        not running.awaits
        and editor.may_move
        and segment.coverage_generation >= running.generation
        and schedule.is_due(segment, editor.target, editor.now_at)
    )


def _without_harmful(editor: SegmentEditor, due: Sequence[Finding]) -> Decision | None:
    """The experiment without the arms that are proven harmful, each banned; None where none is."""
    segment, running = editor.segment, _running(editor)
    harmful = {}
    for variant in sorted(running.weights):
        found = harm([one for one in due if one.variant == variant and one.role == "guardrail"])
        if found is not None and variant != segment.incumbent:
            harmful[variant] = found
    if not harmful:
        return None
    for variant, found in harmful.items():
        editor.ban(variant, Ruling(editor.now_at, found.cause, found.why))
    first = next(iter(harmful.values()))
    findings = tuple(one for found in harmful.values() for one in found.findings)
    ruling = Ruling(editor.now_at, first.cause, "; ".join(f.why for f in harmful.values()), findings)
    stay = {variant: share for variant, share in running.weights.items() if variant not in harmful}
    if len(stay) < 2:  # noqa: PLR2004 - the incumbent alone
        return end(editor, "rollback", ruling)
    stay[segment.incumbent] += sum(running.weights[variant] for variant in harmful)
    return reweigh(editor, stay, ruling)


def _hear(segment: Segment, running: Experiment, due: Sequence[Finding], declared: Target) -> None:
    """Add what the newest comparisons tell of the arms, and of the control that met the most of them."""
    weighed = {metric: weight * ROWS[metric].direction for metric, weight in weights(declared).items()}
    told = {one.variant for one in due if one.kind == "comparison" and one.metric in weighed}
    known: dict[str, dict[Metric, Effect]] = {}
    for variant in sorted(running.weights.keys() & told):
        effects = _effects(segment, variant, weighed)
        if len(effects) == len(weighed):
            known[variant] = effects
    if not known:
        return
    most = max(known, key=lambda variant: _told_of_control(known[variant]))
    for metric, effect in known[most].items():
        running.scale.setdefault(metric, abs(effect.base) or 1.0)
    for variant, effects in known.items():
        own = {m: Own(one.n, one.own / running.scale[m]) for m, one in effects.items()}
        noise = sum((weighed[m] * one.spread) ** 2 for m, one in effects.items())
        rewards.hear(_earned(running, variant), own, weighed, noise=noise)
    effects = known[most]
    own = {m: Own(one.n_control, one.base / running.scale[m]) for m, one in effects.items()}
    noise = sum((weighed[m] * one.spread / max(one.ratio, LEAST_RATIO)) ** 2 for m, one in effects.items())
    rewards.hear(_earned(running, segment.incumbent), own, weighed, noise=noise)


def _effects(segment: Segment, variant: str, metrics: Iterable[Metric]) -> dict[Metric, Effect]:
    """What is known of the variant; without the metrics that nothing tells."""
    found = ((metric, segment.memory.effect(variant, metric, segment.incumbent)) for metric in metrics)
    return {metric: effect for metric, effect in found if effect is not None}


def _told_of_control(effects: Mapping[Metric, Effect]) -> tuple[int, float]:
    """How much a comparison tells of the control: by its units; then by how near the arm is to it, as spreads go."""
    fewest = min(one.n_control for one in effects.values())
    return fewest, -max(abs(one.ratio - 1) for one in effects.values())


def _earned(running: Experiment, variant: str) -> Earned:
    return running.earned.setdefault(variant, Earned())


def _record(editor: SegmentEditor, kind: DecisionKind, ruling: Ruling) -> Decision:
    segment, running = editor.segment, _running(editor)
    return editor.decide(
        kind, ruling, generation=running.generation, rollout=running.rollout,
        incumbent=segment.incumbent, weights=running.weights if running.generation else {},
    )  # fmt: skip


def _running(editor: SegmentEditor) -> Experiment:
    running = editor.segment.experiment
    assert running is not None, "only a running experiment is moved"  # noqa: S101 - a programming error
    return running
