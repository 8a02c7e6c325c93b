"""Policies asked about one change of one segment: what each of them says, and what follows.

A condition is CEL without its loops, at most 400 characters long, about FACTS only: its evaluation ends
after as many steps as it has signs, reads no clock and changes nothing. What cannot be answered is never a
yes: a missing fact, a wrong type or a division by zero makes a `deny` deny what is to be decided, and a
`limit` or a `require_approval` ask a person.

Source: Common Expression Language, language definition, https://github.com/google/cel-spec.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from msgspec.structs import replace

from optimizer.model.policy import Outcome, Policy, PolicyResult, Rule

if TYPE_CHECKING:
    from cel import Program

FACTS: Mapping[str, str] = {
    "target": "the target's name",
    "segment": "the segment's name",
    "user": "what the segment says of its users: `user.region` where segments are told by `region`",
    "model": "the candidate: name, provider, parameters, both prices, and its declared attributes",
    "present": "the same of the model that serves the segment",
    "weight_bps": "the share the candidate is to have, in basis points",
    "daily_cost": "US dollars spent by the target today (UTC)",
    "monthly_cost": "US dollars spent by the target in this month",
    "cost_per_request": "US dollars of a call in this segment now",
    "forecast_cost_per_request": "US dollars of a call of the candidate, by the ratio of list prices",
    "quality_score": "mean quality in this segment now, 0 to 1",
    "latency_p95_ms": "95th percentile of latency in this segment now",
    "error_rate": "share of calls in this segment that fail now, 0 to 1",
}
"""What a condition may speak of. Numbers are doubles, but for `weight_bps`; an unknown one is missing."""

FUNCTIONS = frozenset({
    "_&&_", "_||_", "!_", "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "_+_", "_-_", "_*_", "_/_", "_%_",
    "-_", "_?_:_", "_[_]", "@in", "size", "startsWith", "endsWith", "contains", "int", "double", "string",
})  # fmt: skip
_GAP = r"(?:\s|//[^\n]*\n)*"
_LOOP = re.compile(rf"\.{_GAP}(all|exists|exists_one|map|filter|bind|optMap|optFlatMap){_GAP}\(")
_COMPILED = 1024
"""Conditions kept compiled: those of some hundred targets. The rest is compiled when it is asked."""
_SAID = 120

GRAVEST_FIRST: tuple[Outcome, ...] = get_args(Outcome)


class Said(NamedTuple):
    """The verdict of all policies together on a change."""

    results: tuple[PolicyResult, ...] = ()
    """One per policy, in the order of their declaration."""

    def _why(self, *outcomes: Outcome) -> str:
        said = (
            f"policy {result.policy_id}: {result.reason}"
            for result in self.results
            if result.outcome in outcomes
        )
        return "; ".join(said)

    @property
    def denies(self) -> str:
        """The reason why it is forbidden; empty if it is not."""
        return self._why("deny")

    @property
    def bars(self) -> str:
        """The reason why it must not be decided: it is forbidden, or nobody can tell; empty if it may be."""
        return self._why("deny", "undecidable")

    @property
    def asks(self) -> str:
        """The reason why a person must say yes; empty if nobody must."""
        return self._why("require_approval")

    @property
    def warns(self) -> str:
        """The warnings for a person; empty if there are none."""
        return self._why("warn")

    @property
    def share_bps(self) -> int:
        """The largest share that a candidate may have."""
        shares = [result.share_bps for result in self.results if result.share_bps is not None]
        return min(shares, default=10_000)

    @property
    def limits(self) -> str:
        """The reason why its share is limited; empty if it is not."""
        return self._why("limit")


def asked(policies: Iterable[Policy], facts: Mapping[str, Any]) -> Said:
    """The verdict of the policies on known facts: FACTS without the unknown ones."""
    policies = tuple(policies)
    if not policies:
        return Said()
    from cel import Context  # noqa: PLC0415 - brings a command line along, which few targets should pay for

    context = Context(variables=dict(facts))
    return Said(tuple(_of_policy(policy, context, facts) for policy in policies))


def together(said: Iterable[Said]) -> Said:
    """The verdict of policies on several things at once: of each policy its gravest word and smallest share."""
    merged = []
    for results in zip(*(one.results for one in said), strict=True):
        gravest = min(results, key=lambda one: GRAVEST_FIRST.index(one.outcome))
        shares = [result.share_bps for result in results if result.share_bps is not None]
        merged.append(replace(gravest, share_bps=min(shares, default=None)))
    return Said(tuple(merged))


def _of_policy(policy: Policy, context: Any, facts: Mapping[str, Any]) -> PolicyResult:
    said = [result for rule in policy.rules if (result := _of_rule(policy.id, rule, context, facts))]
    shares = [result.share_bps for result in said if result.share_bps is not None]
    gravest = min(said, key=lambda result: GRAVEST_FIRST.index(result.outcome), default=None)
    if gravest is None:
        return PolicyResult(policy_id=policy.id, outcome="allow")
    return PolicyResult(
        policy_id=policy.id,
        outcome=gravest.outcome,
        reason=gravest.reason,
        share_bps=min(shares, default=None),
    )


def _of_rule(policy: str, rule: Rule, context: Any, facts: Mapping[str, Any]) -> PolicyResult | None:
    words = rule.message or rule.condition
    spoken: list[str] = []
    try:
        program = compiled(rule.condition)
        spoken = program.variables()
        answer = program.execute(context)
        if not isinstance(answer, bool):
            raise TypeError(f"a condition must be true or false, found {type(answer).__name__}")  # noqa: TRY301 - one way out
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        unknown: Outcome = "undecidable" if rule.action == "deny" else "require_approval"
        outcome = "warn" if rule.action == "warn" else unknown
        why = f"cannot be answered, {_reason(error, spoken, facts)} ({words})"
        return PolicyResult(policy_id=policy, outcome=outcome, reason=why)
    if not answer:
        return None
    share_bps = rule.share_bps if rule.action == "limit" else None
    return PolicyResult(policy_id=policy, outcome=rule.action, reason=words, share_bps=share_bps)


def _reason(error: Exception, spoken: Iterable[str], facts: Mapping[str, Any]) -> str:
    """The reason why a condition that speaks of `spoken` has no answer, as people say it."""
    missing = [name for name in spoken if name not in facts]
    if isinstance(error, KeyError):
        missing.append(str(error.args[0]) if error.args else "an attribute")
    if missing:
        return f"unknown: {', '.join(missing)}"[:_SAID]
    return str(error).partition(". ")[0][:_SAID]


@lru_cache(maxsize=_COMPILED)
def compiled(condition: str) -> "Program":
    """The condition, ready to be asked.

    Raises:
        ValueError: it is no CEL, or says more than it may.
    """
    from cel import compile as compile_cel  # noqa: PLC0415 - as in `asked`

    if loop := _LOOP.search(condition):
        raise ValueError(f"must not loop, found {loop[1]}(…); compare single values")
    try:
        program = compile_cel(condition)
    except ValueError as error:
        raise ValueError(_where(str(error))) from None
    spoken = program.references()
    if unknown := sorted(set(spoken["variables"]) - set(FACTS)):
        raise ValueError(f"must speak of {', '.join(FACTS)}, found {', '.join(unknown)}")
    if unknown := sorted(set(spoken["functions"]) - FUNCTIONS):
        words = ", ".join(sorted(name for name in FUNCTIONS if name.isidentifier()))
        raise ValueError(f"must call nothing but {words}, found {', '.join(unknown)}")
    return program


def _where(error: str) -> str:
    """`must be CEL: mismatched input … at character 16`, of the parser's many lines."""
    match = re.search(r"<input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)", error)
    if match is None:
        return f"must be CEL: {error[:_SAID]}"
    line, column, words = match.groups()
    where = f"character {column}" if line == "1" else f"line {line}, character {column}"
    return f"must be CEL: {words[:_SAID]} (at {where})"


def mistakes(policies: Iterable[Policy]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The mistakes in the policies of a declaration: the path from its top, and a sentence."""
    seen: set[str] = set()
    for i, policy in enumerate(policies):
        if policy.id in seen:
            yield (("policies", i, "id"), f"must be unique, {policy.id!r} is listed before")
        seen.add(policy.id)
        for j, rule in enumerate(policy.rules):
            path = ("policies", i, "rules", j)
            try:
                compiled(rule.condition)
            except ValueError as error:
                yield ((*path, "condition"), str(error))
            if rule.action == "limit" and rule.share_bps is None:
                yield ((*path, "action"), "must have a share beside it, to say how much is allowed")
            if rule.action != "limit" and rule.share_bps is not None:
                yield ((*path, "share_bps"), f"must stand beside `limit`, found {rule.action}")
