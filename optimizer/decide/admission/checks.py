"""A linter of decisions: what stands against a start, a step or a rollout that is live.

| asked | of a start | of a step | of what is live |
|---|---|---|---|
| policies | deny, or nobody can tell: the next one; ask: a person | each holds it, and a `limit` | deny: back |
| money of the day, of the month | spent: none | spent: holds | spent: back, unless it saves |
| money of trials | less left than forecast: the next one | – | spent: back |
| error budget of the change | spent: the next one | – | – |
| change rate | too many in 24 h: none; parameters that rest after a change: the next one | – | – |
| share on trial | too large: none | too large: holds | – |
| power | the first step cannot conclude: none | – | – |

Freeze, cooldown, adoption and telemetry are asked before, by `stage`. A note that stops is said once.
"""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import structs

from optimizer.decide.admission import power
from optimizer.decide.admission.budget import reserve, trials_overspent, unaffordable, used_up
from optimizer.decide.evidence.facts import SegmentEvidence, calls_per_minute, served_bps
from optimizer.decide.record.decision import Reason
from optimizer.decide.record.hand import InHand
from optimizer.decide.record.state import DecideState
from optimizer.decide.strategies.contract import Barred
from optimizer.decide.strategies.tuning import CHANGES_A_DAY, rests_until
from optimizer.declaration.declared import Declared
from optimizer.declaration.policies import Said, together
from optimizer.model.decision import Cause
from optimizer.model.finding import Finding
from optimizer.model.fixed_point import NANO_USD
from optimizer.model.instants import DAY_MS
from optimizer.model.policy import PolicyResult
from optimizer.model.shares import WHOLE_BPS
from optimizer.model.wording import instant, money, percent, share

COMPARED_AT_ONCE = 20
"""Candidates of one target that orient compares at a time, in all segments together."""
MOST_STARTS = 64
"""Starts remembered: as many as may be declared for a day, and some by hand."""


class Note(NamedTuple):
    """One objection to a change."""

    cause: Cause
    reason: str
    policies: tuple[PolicyResult, ...] = ()


class StartVerdict(NamedTuple):
    """The linter's verdict on a start."""

    stops: Note | None
    asks: str
    """The reason why a person must say yes, whatever the mode; empty if the mode decides."""
    warns: str
    policies: tuple[PolicyResult, ...]
    reserve_nano: int


class Admission:
    """Admission to the segment in hand: of what starts there, and of what goes on."""

    def __init__(self, hand: InHand, evidence: SegmentEvidence) -> None:
        """The admission to the segment in hand, by what is known of it."""
        self.hand, self.evidence = hand, evidence

    # -- a start -----------------------------------------------------------------------------------

    def barred(self) -> Barred:
        """A function of a variant: the reason why it must not be tried in the segment now; empty if it may.

        What is on trial already is not barred: `ends` speaks about it.
        """
        hand, evidence = self.hand, self.evidence
        first, _ = hand.declared.first_bps
        known = dict.fromkeys(hand.segment.candidates(), "")

        def reason(variant: str) -> str:
            if variant not in known:
                bars = evidence.asked(variant, first).bars
                known[variant] = (
                    self._spent(variant)
                    or (f"is not allowed: {bars}" if bars else "")
                    or self._rests(variant)
                    or unaffordable(evidence, {variant: first})
                )
            return known[variant]

        return reason

    def _spent(self, variant: str) -> str:
        allowed, tried = self.hand.target.risks.max_attempts, self.hand.segment.proposed.get(variant, 0)
        if allowed is None or tried < allowed:
            return ""
        return f"has spent its error budget: tried {tried} of {allowed} times; declare more proposals"

    def _rests(self, variant: str) -> str:
        """The reason why a variant may not turn a parameter of the segment now; empty: it turns none, or may."""
        hand = self.hand
        until_at = rests_until(hand.segment.turned_at, hand.target)
        if hand.now_at >= until_at:
            return ""
        if not turns_parameters(hand.declared, hand.segment.incumbent, variant):
            return ""
        limit = percent(CHANGES_A_DAY)
        pace = f"a parameter was changed here, and less than {limit} of the levers may change in a day"
        return f"waits until {instant(until_at)}: {pace}"

    def of_start(self, shares: Mapping[str, int], levels: tuple[Finding, ...]) -> StartVerdict:
        """The notes about what is to be tried: the first that stops it, and what a person should know.

        `shares` is what each candidate is tried on first, basis points. Of several, any that is stopped stops all.
        """
        hand, evidence = self.hand, self.evidence
        said = {variant: evidence.asked(variant, share_bps) for variant, share_bps in shares.items()}
        stops = (
            _broke(hand.state)
            or next(filter(None, (self._of_candidate(v, said[v], shares) for v in shares)), None)
            or self._too_many(shares)
            or self._too_wide(sum(shares.values()))
            or self._too_many_compared(shares)
            or self._unaffordable(shares)
            or _powerless(hand.declared, levels, shares)
        )
        nano = (reserve(evidence, shares) or 0) if hand.target.budget is not None else 0
        all_said = together(said.values())
        return StartVerdict(stops, all_said.asks, all_said.warns, all_said.results, nano)

    def _of_candidate(self, variant: str, said: Said, shares: Mapping[str, int]) -> Note | None:
        """The objection to one of the candidates; of several it is named."""
        note = self._banned(variant) or _not_allowed(said, shares[variant])
        if note is None and (spent := self._spent(variant)):
            note = Note("limit", f"it {spent}")
        if note is None and (waits := self._rests(variant)):
            note = Note("limit", f"it {waits}")
        if note is None or len(shares) == 1:
            return note
        return note._replace(reason=f"{self.hand.declared.name_of(variant)}: {note.reason}")

    def _banned(self, variant: str) -> Note | None:
        ban = self.hand.bans(variant)
        return Note("choice", f"it is banned: {ban.reason}") if ban is not None else None

    def _too_many(self, shares: Mapping[str, int]) -> Note | None:
        hand, limits = self.hand, self.hand.target.limits
        today = [turned for at, turned in hand.state.started if at > hand.now_at - DAY_MS]
        if limits.starts_per_day is not None and len(today) + len(shares) > limits.starts_per_day:
            return Note(
                "limit", f"{len(today)} candidates were started within 24 h, {limits.starts_per_day} may be"
            )
        turns = sum(turns_parameters(hand.declared, hand.segment.incumbent, variant) for variant in shares)
        if limits.parameter_changes_bps in (None, WHOLE_BPS) or not turns:
            return None
        parameters = {name for model in hand.target.models for name in model.parameters} | {
            *hand.target.levers.parameters
        }
        levers = len(parameters) * len(hand.target.segment_names())
        allowed = max(1, levers * limits.parameter_changes_bps // WHOLE_BPS)
        if sum(today) + turns > allowed:
            of = f"{share(limits.parameter_changes_bps)} of {levers} levers"
            return Note(
                "limit", f"{sum(today)} parameters were tried otherwise within 24 h, {allowed} may be: {of}"
            )
        return None

    def _too_wide(self, weight_bps: int) -> Note | None:
        """The calls on trial, if this segment's candidates had `weight_bps`, against the declared share."""
        hand, limit = self.hand, self.hand.target.limits.max_exposure_bps
        if limit == WHOLE_BPS:
            return None
        on_trial = total = 0.0
        for one, segment in hand.state.segments.items():
            per_minute = calls_per_minute(segment, hand.now_at)
            total += per_minute
            on_trial += per_minute * (weight_bps if one == hand.name else served_bps(segment)) / WHOLE_BPS
        if not total or on_trial <= total * limit / WHOLE_BPS:
            return None
        what = share(round(on_trial / total * WHOLE_BPS))
        return Note(
            "limit", f"with {share(weight_bps)} here {what} of all calls were on trial, {share(limit)} may be"
        )

    def _too_many_compared(self, shares: Mapping[str, int]) -> Note | None:
        """Several arms beside what is compared already in all segments, against what orient compares at a time."""
        compared = sum(len(segment.candidates()) for segment in self.hand.state.segments.values())
        if len(shares) < 2 or compared + len(shares) <= COMPARED_AT_ONCE:  # noqa: PLR2004 - one finds its place
            return None
        return Note(
            "limit", f"{compared} candidates are compared, and at most {COMPARED_AT_ONCE} can be at once"
        )

    def _unaffordable(self, shares: Mapping[str, int]) -> Note | None:
        why = unaffordable(self.evidence, shares)
        return Note("budget", f"it {why}") if why else None

    def started(self, start: StartVerdict) -> None:
        """Remember a start for the change rate, and reserve what it is forecast to cost."""
        hand, trial = self.hand, self.hand.segment.trial
        if trial is None:
            return
        trial.reserved_nano = start.reserve_nano
        trial.granted = [
            result.policy_id for result in start.policies if result.outcome == "require_approval"
        ]
        turns = [
            turns_parameters(hand.declared, hand.segment.incumbent, v) for v in hand.segment.candidates()
        ]
        if any(turns) or hand.target.limits.starts_per_day is not None:
            recent = [one for one in hand.state.started if one[0] > hand.now_at - DAY_MS]
            hand.state.started = [*recent, *((hand.now_at, turned) for turned in turns)][-MOST_STARTS:]

    # -- a step, and what is live ------------------------------------------------------------------

    def of_step(self) -> Note | None:
        """The objection to a live candidate's next step, its bake or its promotion; None: nothing."""
        hand, trial = self.hand, self.hand.segment.trial
        if trial is None or (trial.phase == "shadow" and hand.target.rollout.kind == "shadow"):
            return None  # the end of a shadow analysis lets nobody meet the candidate
        if not trial.failover and (use := used_up(hand.state)) is not None:
            return Note("budget", f"{use}: what saves goes on, but does not grow")
        present = trial.weight_bps
        higher = next((weight for weight in hand.declared.weights_bps if weight > present), present)
        arms = {trial.variant: higher} if trial.variant else {}
        return self._of_growth(arms, answer="; `promote` is a person's yes")

    def of_shares(self, weights: Mapping[str, int]) -> Note | None:
        """The objection to other shares of several arms (variant → basis points); None if there is none."""
        segment = self.hand.segment
        present = segment.candidates()
        arms = {variant: share_bps for variant, share_bps in weights.items() if variant != segment.incumbent}
        if all(share_bps <= present.get(variant, 0) for variant, share_bps in arms.items()):
            return None
        if (use := used_up(self.hand.state)) is not None:
            return Note("budget", f"{use}: what saves goes on, but does not grow")
        return self._of_growth(arms)

    def _of_growth(self, arms: Mapping[str, int], *, answer: str = "") -> Note | None:
        """The objections to these shares of what is live; `answer` is how a person says yes to them."""
        segment = self.hand.segment
        granted = segment.trial.granted if segment.trial is not None else []
        for variant, share_bps in arms.items():
            said = self.evidence.asked(variant, share_bps)
            new = Said(tuple(result for result in said.results if result.policy_id not in granted))
            if new.asks:
                return Note("policy", f"{new.asks}{answer}", said.results)
            if (against := _not_allowed(said, share_bps)) is not None:
                return against
        grows = sum(arms.values()) > served_bps(segment)
        return self._too_wide(sum(arms.values())) if grows else None

    def ends(self) -> Reason | None:
        """The reason why what is live is taken back at once; None if it is not."""
        hand, segment = self.hand, self.hand.segment
        trial, tried = segment.trial, segment.candidates()
        if trial is None or not segment.is_served:
            return None
        called = " | ".join(hand.declared.name_of(variant) for variant in tried)
        use = used_up(hand.state)
        saves_users = trial.failover
        if use is not None and trial.extra_nano >= 0 and not saves_users:
            extra = f"{money(trial.extra_nano / NANO_USD)} more than its control"
            return Reason(hand.now_at, "budget", f"{use}; so far {called} has cost {extra}")
        if trial.extra_nano > 0 and not saves_users and (spent := trials_overspent(hand.state)):
            return Reason(hand.now_at, "budget", f"{spent}, {called} among them")
        for variant, share_bps in tried.items():
            said = self.evidence.asked(variant, share_bps)
            if said.denies:
                whose = f"{hand.declared.name_of(variant)}: " if len(tried) > 1 else ""
                return Reason(hand.now_at, "policy", f"{whose}{said.denies}", policies=said.results)
        return None

    def against_a_yes(self, variant: str = "") -> str:
        """The reason why even people cannot start what is there, or promote this arm of it; empty if they can."""
        segment = self.hand.segment
        for arm, share_bps in segment.candidates().items():
            if variant and arm != variant:
                continue
            weight_bps = self.hand.declared.most_bps if segment.is_served else share_bps
            if bars := self.evidence.asked(arm, weight_bps).bars:
                return f"it is not allowed: {bars}; change the policy first"
        use = used_up(self.hand.state)
        waits = segment.trial is not None and not segment.is_served
        return f"{use}; declare a larger budget" if use is not None and waits else ""


def _broke(state: DecideState) -> Note | None:
    if (use := used_up(state)) is not None:
        return Note("budget", f"{use}: nothing is tried before the next {use.span} begins (UTC)")
    if spent := trials_overspent(state):
        return Note("budget", f"{spent}: nothing is tried before the next day begins (UTC)")
    return None


def _not_allowed(said: Said, weight_bps: int) -> Note | None:
    if said.bars:
        return Note("policy", said.bars, said.results)
    if weight_bps > said.share_bps:
        sentence = f"{share(weight_bps)} of the segment is more than {share(said.share_bps)}: {said.limits}"
        return Note("policy", sentence, said.results)
    return None


def turns_parameters(declared: Declared, incumbent: str, variant: str) -> bool:
    """True if a candidate differs from what is served in nothing but its parameters.

    A model of another name counts as the same one if provider and prices are the same.
    """
    variants, models = declared.variants, declared.model_named
    before, after = variants.get(incumbent), variants.get(variant)
    if before is None or after is None or before.parameters == after.parameters:
        return False
    prices = [
        (model.input_usd_per_million_tokens, model.output_usd_per_million_tokens)
        for model in (models[before.model], models[after.model])
    ]
    alike = structs.replace(after, model=before.model, parameters=before.parameters)
    return alike == before and prices[0] == prices[1]


def _powerless(declared: Declared, levels: tuple[Finding, ...], shares: Mapping[str, int]) -> Note | None:
    why = power.lacking(declared.target, levels, tuple(shares.values()) if len(shares) > 1 else ())
    return Note("limit", why) if why else None
