"""Answers what people ask of the ledger: what was decided, on which findings, and what followed."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
from psycopg.rows import dict_row

from optimizer.model.decision import Decision
from optimizer.model.finding import Finding
from optimizer.model.wording import share

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import psycopg

KNOWN_IDS = 10_000
"""The number of the newest ids that are searched for one that is spelled alike."""
ALIKE = 0.3
"""Half-remembered ids should still find their neighbours."""
_deterministic = msgspec.json.Encoder(order="deterministic").encode


class NoSuchDecision(LookupError):
    """The ledger has no such decision, or several."""

    def __init__(self, wanted: str, nearest: Sequence[str]) -> None:
        super().__init__(f"the ledger holds no decision {wanted!r}")
        self.wanted, self.nearest = wanted, tuple(nearest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """Something act did because of a decision, or what was decided next about the same rollout."""

    at: datetime
    what: str
    """The event type."""
    id: str
    reason: str
    generation: int


@dataclass(slots=True, kw_only=True)
class Explanation:
    """A decision with its proof, its findings and its consequences."""

    decision: Decision
    target: str
    at: datetime
    topic: str
    partition: int
    offset: int
    position: int
    """The position of the decision's link in the chain."""
    hash: str
    findings: dict[str, Finding] = field(default_factory=dict)
    """Those of the decision's estimates that the ledger holds, by id."""
    findings_hold: bool | None = None
    """Whether they are the ones that were decided on, by their hash; None where none were needed."""
    followed: list[Following] = field(default_factory=list)


def told(connection: psycopg.Connection[Any], wanted: str) -> Explanation:
    """A decision by its id, the beginning of it, `latest`, or `first-promotion`.

    Raises:
        NoSuchDecision: there is none, or the beginning fits several; it names the nearest.
    """
    row = _find(connection, wanted)
    decision = msgspec.convert(row["data"], Decision)
    answer = Explanation(
        decision=decision, target=row["target"], at=row["at"], topic=row["topic"], partition=row["partition"],
        offset=row["offset"], position=row["position"], hash=row["hash"].hex(),
    )  # fmt: skip
    answer.findings = _findings(connection, row["target"], [e.finding_id for e in decision.estimates])
    if decision.findings_hash:
        used = [answer.findings.get(estimate.finding_id) for estimate in decision.estimates]
        answer.findings_hold = None not in used and digest(used) == decision.findings_hash
    answer.followed = _followed(connection, answer)
    return answer


def digest(findings: Sequence[Finding | None]) -> str:
    """The `findings_hash` that `optimizer.decide.record.decision` writes over these findings."""
    return sha256(_deterministic(tuple(findings))).hexdigest()


_SELECT = """
    SELECT d.topic, d.partition, d."offset", d.target, d.at, d.event -> 'data' AS data, c.position, c.hash
    FROM optimization_decisions d JOIN audit_chain c USING (topic, partition, "offset")
"""


def _find(connection: psycopg.Connection[Any], wanted: str) -> dict[str, Any]:
    named = {
        "latest": ' ORDER BY d.decided_at DESC, d.at DESC, d.partition, d."offset" DESC LIMIT 1',
        "first-promotion": " WHERE d.kind = 'promote' AND d.takes_effect"
        ' ORDER BY d.decided_at, d.partition, d."offset" LIMIT 1',
    }
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        if wanted in named:
            rows = cursor.execute(_SELECT + named[wanted]).fetchall()
        else:
            rows = cursor.execute(
                _SELECT + ' WHERE starts_with(d.decision_id, %s) ORDER BY d.decided_at, d."offset" LIMIT 20',
                (wanted,),
            ).fetchall()
        exact = [row for row in rows if row["data"]["decision_id"] == wanted]
        found = {row["data"]["decision_id"]: row for row in exact or rows}
        if len(found) == 1:
            return next(iter(found.values()))
        if found:
            raise NoSuchDecision(wanted, tuple(found))
        ids = cursor.execute(
            "SELECT decision_id FROM optimization_decisions ORDER BY decided_at DESC LIMIT %s", (KNOWN_IDS,)
        ).fetchall()
    known = list(dict.fromkeys(row["decision_id"] for row in ids))
    alike = difflib.get_close_matches(wanted, known, n=5, cutoff=ALIKE)
    raise NoSuchDecision(wanted, alike or known[:5])


def _findings(connection: psycopg.Connection[Any], target: str, ids: Sequence[str]) -> dict[str, Finding]:
    with connection.transaction():
        rows = connection.execute(
            "SELECT event -> 'data' FROM findings"
            " WHERE md5(finding_id) IN (SELECT md5(id) FROM unnest(%s::text[]) AS id) AND target = %s",
            (list(ids), target),
        ).fetchall()
    findings = [msgspec.convert(data, Finding) for (data,) in rows]
    return {finding.finding_id: finding for finding in findings}


def _followed(connection: psycopg.Connection[Any], answer: Explanation) -> list[Following]:
    """The acts that followed, then the later decisions about the same rollout, each in the order of time."""
    decision = answer.decision
    with connection.transaction():
        acts = connection.execute(
            "SELECT at, type, rollout_id, coalesce(phase || ' (' || ooda_state || ')', command),"
            " weight_bps, generation, 0 FROM rollouts"
            " WHERE md5(decision_id) = md5(%(id)s) AND target = %(target)s"
            " UNION ALL SELECT at, 'configuration', target, 'in force', NULL, generation, 1"
            " FROM configurations"
            " WHERE md5(decision_id) = md5(%(id)s) AND target = %(target)s ORDER BY 1, 7",
            {"id": decision.decision_id, "target": answer.target},
        ).fetchall()
        later = connection.execute(
            "SELECT at, 'decision', decision_id, kind || ': ' || reason, weight_bps, generation"
            " FROM optimization_decisions WHERE rollout_id = %s AND target = %s"
            ' AND (decided_at, "offset") > (to_timestamp(%s / 1000.0), %s) ORDER BY decided_at, "offset"',
            (decision.rollout_id, answer.target, decision.decided_at, answer.offset),
        ).fetchall()
    return [
        Following(
            at=at, what=what, id=name, reason=_with_share(what, sentence, weight), generation=generation
        )
        for at, what, name, sentence, weight, generation, *_ in (*acts, *later)
    ]


def _with_share(what: str, sentence: str, weight_bps: int | None) -> str:
    if what != "rollout.status" or weight_bps is None:
        return sentence
    return f"{sentence}, {share(weight_bps)} on the candidate"
