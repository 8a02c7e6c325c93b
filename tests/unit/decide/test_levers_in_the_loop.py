"""Levers that are declared, turned, redeclared and taken away, in decide and act together."""

from optimizer.model.budget import Limits
from optimizer.model.lever import Caching, Levers, Parameter
from optimizer.model.target import Model
from optimizer.model.variant import variant_of

ONE = (Model(name="large", input_usd_per_million_tokens=10.0),)
TOKENS = Levers(parameters={"max_tokens": Parameter(values=(400, 800))})


def kinds(decisions):
    return [decision.kind for decision in decisions]


def parameters(desk):
    return {arm.arm: arm.parameters for arm in desk.configuration.segments["other"]}


def promoted(desk, **changes):
    (started,) = desk.started(models=ONE, levers=TOKENS, **changes)
    decisions = [started]
    while decisions[-1].kind != "promote":
        decisions += desk.minute()
    return decisions


def test_a_parameter_is_tried_beside_a_control_without_it(desk):
    (started,) = desk.started(models=ONE, levers=TOKENS)
    assert (started.kind, started.model) == ("start", "large")
    assert started.reason.startswith(
        "max_tokens 400 instead of the default: large with max_tokens 400 is next"
    )
    assert parameters(desk) == {"candidate": {"max_tokens": 400}, "incumbent": {}, "control": {}}


def test_what_gave_way_at_the_same_list_price_is_not_tried_again(desk):
    promotion = promoted(desk)[-1]
    assert parameters(desk) == {"incumbent": {"max_tokens": 400}, "holdback": {}}
    ((banned, ban),) = desk.state.segments["other"].bans.items()
    assert banned == variant_of(*ONE).variant_id
    assert ban.reason.startswith(f"gave way to {promotion.variant_id}")


def test_after_a_change_the_parameters_of_a_segment_rest_by_default_and_nothing_else_does(desk):
    """One parameter and six other levers: one change in 20 / 7 days."""
    more = Levers(parameters=TOKENS.parameters, caching=(Caching(mode="exact"),))
    desk.started(models=ONE, levers=more)
    while desk.live is not None and desk.live.phase != "baking":
        desk.minute()
    said = [decision for _ in range(12) for decision in desk.minute()]
    assert kinds(said)[:2] == ["promote", "start"]
    after = said[1]
    assert after.reason.startswith("exact caching for 1 h instead of no caching of ours")
    (against,) = [
        one.reason for one in after.rejected if "max_tokens 800" in one.model and "exact" not in one.model
    ]
    assert against.startswith("waits until 2023-11-1")
    assert against.endswith("less than 5 % of the levers may change in a day")


def test_the_next_turn_starts_from_what_was_promoted(desk):
    promoted(desk, limits=Limits(parameter_changes_bps=10_000))
    decisions = [decision for _ in range(3) for decision in desk.minute()]
    (started,) = (decision for decision in decisions if decision.kind == "start")
    assert started.reason.startswith("max_tokens 800 instead of 400")


def test_a_lever_added_in_mid_rollout_interrupts_nothing(desk):
    desk.started(models=ONE, levers=TOKENS)
    more = Levers(parameters=TOKENS.parameters, caching=(Caching(mode="exact"),))
    assert kinds(desk.declare(models=ONE, levers=more, revision=2)) == ["declare"]
    assert desk.live is not None


def test_a_lever_taken_away_in_mid_rollout_is_rolled_back(desk):
    desk.started(models=ONE, levers=TOKENS)
    assert kinds(desk.declare(models=ONE, revision=2)) == ["rollback", "declare"]
    assert parameters(desk) == {"incumbent": {}}


def test_a_promoted_setting_that_is_no_longer_declared_gives_way_to_the_declared_incumbent(desk):
    promoted(desk)
    assert kinds(desk.declare(models=ONE, revision=2)) == ["end_holdback", "declare"]
    assert parameters(desk) == {"incumbent": {}}


def test_bounds_that_are_no_bounds_are_refused_with_their_path(desk):
    wrong = Levers(parameters={"max_tokens": Parameter(min=9, max=3, step=1)})
    assert desk.declare(models=ONE, levers=wrong) == []
    (refused,) = desk.loop.quarantined
    assert refused.rejected.reason == "data.levers.parameters.max_tokens.max must be above min, 9, found 3"
