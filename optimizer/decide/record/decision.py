"""A decision is written down with its id, its estimates and its evidence."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from optimizer.decide.record.state import DecideState
from optimizer.declaration.declared import Declared, derive
from optimizer.model.decision import WHOLE_TARGET, Cause, Decision, DecisionKind, Estimate
from optimizer.model.finding import EVIDENCE_MOST, Evidence, Finding
from optimizer.model.policy import PolicyResult
from optimizer.model.variant import differences

_encode = msgspec.json.Encoder(order="deterministic").encode


class Reason(NamedTuple):
    """The reason for a decision, before it is known what the decision changes."""

    at: int
    """The watermark, ms since the epoch."""
    cause: Cause
    text: str
    findings: tuple[Finding, ...] = ()
    actor: str = "decide"
    token: str = ""
    """The id of the event that is answered at once; empty for what watermarks bring."""
    policies: tuple[PolicyResult, ...] = ()


def record(
    state: DecideState, kind: DecisionKind, reason: Reason, *, segment: str = WHOLE_TARGET, **fields: Any
) -> Decision:
    """The decision, with everything a reader needs to doubt it.

    `fields` are those of Decision that say what changes: rollout, variant, generation, weight …
    """
    declared = state.declaration
    generation, variant = fields.get("generation", 0), fields.get("variant_id") or ""
    evidence, left_out = merged(reason.findings)
    shares = (declared.risks.max_attempts or 1) if declared else 1
    if declared is not None and "differs" not in fields:
        tried = [variant, *fields.get("weights", ())]
        fields["differs"] = differs(derive(declared), fields.get("incumbent_id") or "", tried)
    return Decision(
        decision_id=decision_id(
            state.target, segment, kind, reason.at, generation, variant, *filter(None, [reason.token])
        ),
        segment=segment,
        kind=kind,
        autonomy=declared.autonomy if declared else "observe",
        decided_at=reason.at,
        cause=reason.cause,
        reason=reason.text,
        actor=reason.actor,
        estimates=tuple(map(estimate_of, reason.findings)),
        evidence=evidence,
        evidence_left_out=left_out,
        findings_hash=sha256(_encode(reason.findings)).hexdigest() if reason.findings else "",
        policies=reason.policies,
        alpha_promotion=declared.risks.false_promotion / shares if declared else 0.0,
        alpha_rollback=declared.risks.false_rollback / shares if declared else 0.0,
        target_revision=state.revision,
        **fields,
    )


def differs(declared: Declared, incumbent: str, tried: Iterable[str]) -> dict[str, str]:
    """The difference of each tried variant from the incumbent, in words; without those no longer declared."""
    known = declared.variants
    if incumbent not in known:
        return {}
    return differences(known[incumbent], {one: known[one] for one in tried if one in known})


def decision_id(*parts: str | int) -> str:
    """The first 16 hex digits of the SHA-256 over target, segment, kind, decided_at, generation, variant.

    A decision that answers an event adds the event's id, as two people may ask for one thing at once.
    """
    return sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:16]


def estimate_of(finding: Finding) -> Estimate:
    """The numbers of a finding."""
    return Estimate(
        metric=finding.metric,
        verdict=finding.verdict,
        finding_id=finding.finding_id,
        estimate=finding.estimate,
        low=finding.low,
        high=finding.high,
        level=finding.level,
        unit=finding.unit,
        margin=finding.margin,
        n=finding.n,
        n_control=finding.n_control,
        n_needed=finding.n_needed,
    )


def merged(findings: Iterable[Finding]) -> tuple[tuple[Evidence, ...], int]:
    """The evidence of some findings as one, and how many further partitions, at least, it has no room to list.

    One range per source partition covers the findings' own, in the order of partitions. The lowest EVIDENCE_MOST are
    listed: whatever a finding lists of these is whole, as it leaves out only what lies above.
    """
    ranges: dict[int, tuple[int, int]] = {}
    partitions = 0
    for finding in findings:
        partitions = max(partitions, len(finding.evidence) + finding.evidence_left_out)
        for span in finding.evidence:
            low, high = ranges.get(span.partition, (span.first_offset, span.last_offset))
            ranges[span.partition] = min(low, span.first_offset), max(high, span.last_offset)
    listed = sorted(ranges.items())[:EVIDENCE_MOST]
    evidence = tuple(
        Evidence(partition=partition, first_offset=low, last_offset=high) for partition, (low, high) in listed
    )
    return evidence, max(partitions, len(ranges)) - len(listed)
