"""What decide makes of findings that no segment's gate is about, and of those that say nothing can be trusted."""

import pytest


def kinds(decisions):
    return [(decision.kind, decision.cause) for decision in decisions]


def minute(desk, *more):
    """A minute in which everything passes, and what else is found at its end."""
    desk.now_at += 60_000
    desk.covered()
    desk.compared()
    for kind, metric, verdict, told in more:
        desk.find(kind, metric, verdict, **({"variant_id": desk.live.variant} | told))
    return desk.passes()


WRONG_SPLIT = ("health", "sample_ratio", "error", {"reason": "sample ratio of tiny: 45 %, promised 50 %"})


def test_a_wrong_split_holds_the_rollout_says_so_once_and_lets_go_when_it_is_right(desk):
    desk.started()
    (held,) = minute(desk, WRONG_SPLIT)
    assert (held.kind, held.cause) == ("hold", "error")
    assert held.reason == "sample ratio of tiny: 45 %, promised 50 %"
    assert minute(desk, WRONG_SPLIT) == []
    assert desk.live.weight_bps == 500
    assert kinds(minute(desk)) == [("advance", "passed")]


def test_harm_is_followed_even_where_the_split_is_wrong(desk):
    desk.started()
    harm = ("comparison", "quality", "fail", {})
    assert kinds(minute(desk, harm, WRONG_SPLIT)) == [("rollback", "guardrail")]


@pytest.mark.parametrize(
    "finding",
    [
        ("health", "sample_ratio", "error", {"variant_id": "another"}),
        ("health", "adoption", "error", {"variant_id": None}),
        ("comparison", "quality", "fail", {"segment": "*"}),
        ("comparison", "cost_per_good_answer", "fail", {"role": "signal"}),
    ],
    ids=["another's split", "panes left out", "all segments together", "a signal"],
)
def test_what_is_not_about_the_candidate_here_moves_nothing(desk, finding):
    desk.started()
    told = [decision for _ in range(2) for decision in minute(desk, finding)]
    assert kinds(told) == [("advance", "passed")]
