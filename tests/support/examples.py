"""Rewrites the examples of schemas/ that follow from one another, as the code would write them."""

import json
from hashlib import sha256
from pathlib import Path

import msgspec

from agents.wire.codec import Decoder
from optimizer.decide.record.decision import decision_id
from optimizer.model.wording import duration, outcomes, share
from optimizer.orient.comparison.compare import counterfactual_of, worded
from optimizer.orient.findings.finding import About
from optimizer.stage import Emit, published
from optimizer.stats.verdict import Comparison, Margin

SCHEMAS = Path(__file__).parents[2] / "schemas"
STARTED_AT, STEP_S = 1_763_999_400_000, 660
"""When the examples' rollout began, ms since the epoch, and how long its first step took."""
CHAIN = ("finding", "decision", "configuration", "rollout.status", "rollout.command")
_encode = msgspec.json.Encoder(order="deterministic").encode


def rewrite():
    """Finding, then the decision that rests on it, then what carries the decision's ids."""
    loaded = {name: _load(name) for name in (*CHAIN, "policy.verdict")}
    _finding(loaded["finding"])
    _save("finding", loaded["finding"])
    belief = Decoder(["finding"]).decode(_path("finding").read_bytes()).data
    _decision(loaded["decision"], belief)
    decision = loaded["decision"]["data"]
    loaded["rollout.status"]["data"] |= {
        "rollout_id": decision["rollout_id"],
        "decision_id": decision["decision_id"],
        "reason": decision["reason"],
    }
    loaded["rollout.command"]["data"]["rollout_id"] = decision["rollout_id"]
    loaded["configuration"]["data"]["decision_id"] = decision["decision_id"]
    loaded["policy.verdict"]["data"]["decision_id"] = decision["decision_id"]
    for name, event in loaded.items():
        _save(name, event)
    for name in CHAIN:
        event = Decoder([name]).decode(_path(name).read_bytes())
        emitted = Emit(data=event.data, at=round(event.time.timestamp() * 1000), subject=event.subject)
        loaded[name]["id"] = published(emitted, event.source, event.sequence).id
        _save(name, loaded[name])


def _finding(event):
    data = event["data"]
    arms = (data["n"], data["n_control"])
    data["n_effective"] = float(f"{2 / (1 / arms[0] + 1 / arms[1]):.8g}")
    named = ("segment", "kind", "metric", "role", "variant_id", "control_id", "generation")
    about = About(target=event["subject"], **{name: data[name] for name in named})
    comparison = Comparison(
        verdict=data["verdict"],
        effect=data["estimate"],
        low=data["low"],
        high=data["high"],
        n_candidate=arms[0],
        n_control=arms[1],
        n_effective=data["n_effective"],
        level=data["level"],
        n_needed=None,
        margin=Margin(data["margin"], "lower"),
    )
    data["reason"] = worded(comparison, about, "gpt-4o-mini")
    if counterfactual := counterfactual_of(comparison, about):
        data["counterfactual"] = counterfactual
    keys = ("segment", "kind", "metric", "variant_id", "window_start_at", "window_end_at")
    key = "\x1f".join((event["subject"], *(str(data[name]) for name in keys)))
    data["finding_id"] = sha256(key.encode()).hexdigest()[:16]


def _decision(event, belief):
    data, target = event["data"], event["subject"]
    of_it = (data["segment"], data["kind"], data["decided_at"], data["generation"], data["variant_id"])
    data["decision_id"] = decision_id(target, *of_it)
    started = (data["segment"], "start", STARTED_AT, data["generation"] - 1, data["variant_id"])
    data["rollout_id"] = "r-" + decision_id(target, *started)
    climbed = f"from {share(500)} to {share(data['weight_bps'])}"
    data["reason"] = f"{climbed}; passed after {duration(STEP_S)}: {outcomes([belief])}"
    data["estimates"][0]["finding_id"] = belief.finding_id
    data["findings_hash"] = sha256(_encode((belief,))).hexdigest()


def _path(name):
    return SCHEMAS / name / "v1.example.json"


def _load(name):
    return json.loads(_path(name).read_text())


def _save(name, event):
    _path(name).write_text(json.dumps(event, indent=2, ensure_ascii=False) + "\n")
