"""Panes that no calls can have made are refused, with the field that says so; the target goes on."""

import msgspec
import pytest


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("calls", -1),
        ("costed", -5),
        ("errors", {"timeout": 31}),
        ("errors", {"timeout": -1}),
        ("cost_squares", 0),
        ("quality_squares", -1),
        ("latency_us", {1384: 1}),
        ("latency_us", {-1: 1}),
        ("first_token_us", {7: -1}),
    ],
)
def test_a_cell_that_cannot_be_true_is_refused_by_name(world, hand, field, value):
    w = world(hand.target())
    good = [hand.cell(30, arm=arm, ms=100, usd=0.01, scores=1.0) for arm in ("candidate", "control")]
    bad = msgspec.structs.replace(good[0], **{field: value})
    w.tell(hand.pane(0, *good), hand.pane(10, bad))
    (refused,) = w.rejected
    assert refused.reason.startswith(f"cells[0].{field} must ")
    assert {f.n for f in w.reach(60) if f.kind == "comparison"} == {30}


def test_constants_and_a_value_repeated_a_million_times_are_compared(world, hand):
    # Ten panes of 100,000 calls an arm, all of one value; no warning, no crash, a verdict each.
    w = world(hand.target())
    for second in range(0, 50, 10):
        one = hand.cell(1, arm="candidate", ms=100, usd=0.01, scores=1.0)
        counts = dict.fromkeys(one.latency_us, 200000)
        many = {
            "calls": 200_000, "costed": 200_000, "scored": 200_000, "latency_us": counts,
            "cost_nano_usd": one.cost_nano_usd * 200_000, "cost_squares": one.cost_squares * 200_000,
            "quality_millionths": 200_000 * 10**6, "quality_squares": 200_000 * 10**12,
        }  # fmt: skip
        arms = (("candidate", hand.cheap), ("control", hand.dear))
        cells = [msgspec.structs.replace(one, arm=arm, variant_id=variant, **many) for arm, variant in arms]
        w.tell(hand.pane(second, *cells))
    said = {f.metric: f.verdict for f in w.reach(60) if f.kind == "comparison"}
    assert said == {"quality": "pass", "latency": "pass", "errors": "pass", "cost": "inconclusive"}
