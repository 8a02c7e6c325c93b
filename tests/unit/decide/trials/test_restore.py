"""A return brings back what an earlier generation was served by, and says what there is to return to."""


def promoted(desk):
    desk.started()
    said = []
    while not any(one.kind == "promote" for one in said):
        said += desk.minute()
    return said


def test_everybody_is_served_as_then_under_a_new_generation(desk):
    promoted(desk)
    before = desk.act.generation
    (back,) = desk.command("restore", generation=before - 1)
    assert (back.kind, back.generation, back.restored_generation) == ("restore", before + 1, before - 1)
    assert desk.arms() == {("incumbent", "large"): 10_000}
    assert desk.configuration.generation == before + 1
    assert desk.statuses[-1] == "rolled_back"
    assert [ban.reason[:7] for ban in desk.state.segments["other"].bans.values()] == ["restore"]


def test_what_is_on_trial_ends_and_actuators_are_told(desk):
    desk.started()
    (back,) = desk.command("restore", generation=1)
    assert desk.live is None
    told = [e.data for e in desk.emitted["rollouts"] if hasattr(e.data, "command")][-1]
    assert (told.command, told.generation, list(told.weights_bps.values())) == (
        "rollback", back.generation, [10_000],
    )  # fmt: skip
    assert desk.loop.quarantined == []


def test_only_the_last_five_are_there_and_the_refusal_lists_them(desk):
    promoted(desk)
    (refused,) = desk.command("restore", generation=77)
    now = desk.act.generation
    there = ", ".join(str(generation) for generation in range(max(1, now - 5), now))
    assert refused.kind == "reject_command"
    assert refused.reason.endswith(there)


def test_a_generation_whose_model_is_no_longer_declared_is_not_there(desk):
    promoted(desk)
    kept = tuple(model for model in desk.declared.models if model.name in ("tiny", "small"))
    desk.declare(models=kept, incumbent="tiny", revision=2)
    (refused,) = desk.command("restore", generation=1)
    assert "not among the last five" in refused.reason


def test_a_return_works_while_frozen_as_going_back_always_does(desk):
    desk.started()
    desk.command("freeze")
    (back,) = desk.command("restore", generation=1)
    assert back.kind == "restore"


def test_a_return_of_what_waits_for_a_yes_drops_it(desk):
    desk.declare()
    desk.started(autonomy="approve", revision=2)
    (back,) = desk.command("restore", generation=1)
    assert (back.kind, desk.statuses) == ("restore", ["awaiting_approval", "aborted"])
