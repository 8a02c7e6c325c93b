"""Units that met both arms of a generation are told; those that callers keep apart never are."""

from random import Random

import msgspec
import numpy as np
import pytest

from optimizer.act.assign import bucket
from optimizer.orient.health.crossover import ALLOWED, ALPHA
from optimizer.orient.trial import Met
from optimizer.orient.windows.buffer import BufferedCell, united
from optimizer.orient.windows.sums import Sums
from optimizer.stats.bottom_k import K, overlap, place, smallest
from optimizer.stats.proportion import at_least


def cell(hand, arm, units, *, generation=1, segment=None):
    told = {} if segment is None else {"segment": segment}
    made = hand.cell(len(units), arm=arm, ms=100, usd=0.01, generation=generation, **told)
    return msgspec.structs.replace(made, units=smallest(map(place, units)))


def unwell(findings):
    return [f for f in findings if f.metric == "crossover"]


def names(first, last):
    return [f"user-{i}" for i in range(first, last)]


def test_units_that_meet_both_arms_make_the_comparisons_worthless(world, hand):
    w = world(hand.target())
    cells = cell(hand, "candidate", names(0, 100)), cell(hand, "control", names(50, 150))
    (found,) = unwell(w.minute_by_minute(1, *cells)[0])
    assert (found.kind, found.role, found.verdict, found.variant_id) == (
        "health",
        "health",
        "error",
        hand.cheap,
    )
    assert found.margin == ALLOWED
    assert found.low > ALLOWED
    assert found.estimate == pytest.approx(1 / 3, abs=0.15)
    assert "met candidate and control in one generation" in found.reason
    assert found.counterfactual


def test_a_few_shared_names_are_not_worth_a_word(world, hand):
    w = world(hand.target())
    cells = cell(hand, "candidate", names(0, 32)), cell(hand, "control", names(28, 60))
    assert unwell(w.minute_by_minute(1, *cells)[0]) == []


def test_mirrored_calls_are_of_the_same_units_by_right(world, hand):
    w = world(hand.target())
    cells = cell(hand, "shadow", names(0, 100)), cell(hand, "control", names(0, 100))
    assert unwell(w.minute_by_minute(1, *cells)[0]) == []


def test_the_next_generation_may_give_the_control_s_units_to_the_candidate(world, hand):
    w = world(hand.target())
    first = cell(hand, "candidate", names(0, 100)), cell(hand, "control", names(100, 200))
    second = (
        cell(hand, "candidate", names(0, 150), generation=2),
        cell(hand, "control", names(150, 200), generation=2),
    )
    said = w.minute_by_minute(1, *first) + w.minute_by_minute(1, *first, *second, first=1)
    assert [unwell(found) for found in said] == [[], []]


def test_the_same_unit_may_meet_another_arm_in_another_segment(world, hand):
    w = world(hand.target())
    cells = cell(hand, "candidate", names(0, 100)), cell(hand, "control", names(0, 100), segment="law")
    assert unwell(w.minute_by_minute(1, *cells)[0]) == []


def test_panes_without_units_say_nothing(world, hand):
    w = world(hand.target())
    cells = hand.cell(100, arm="candidate", ms=100), hand.cell(100, arm="control", ms=100)
    assert unwell(w.minute_by_minute(1, *cells)[0]) == []


def test_parts_merge_their_samples_in_any_order():
    dice = Random(3)
    parts = [
        BufferedCell(
            "other", "control", 1, "v", Sums(calls=1), smallest(dice.randrange(2**32) for _ in range(n))
        )
        for n in (0, 5, 40, 200)
    ]
    whole = smallest(x for part in parts for x in part.units)
    for _ in range(6):
        dice.shuffle(parts)
        copies = [msgspec.structs.replace(part, sums=Sums(calls=1)) for part in parts]
        (one,) = united(copies)
        assert one.units == whole
        met = Met()
        for part in parts:
            met.add(part)
        assert met.control == whole
    assert len(whole) == K


def test_honest_callers_are_never_accused():
    # 40 worlds of 2,000 users, ten calls each, 5 % against 5 %, growing to 25 % and to 50 %; 40 looks a step.
    dice, alarms, seen = Random(5), 0, 0
    for number in range(40):
        users = [f"{number}-{i}" for i in range(2000)]
        where = {user: bucket(f"t{number}", "other", user) for user in users}
        for generation, weight in enumerate((500, 2500, 5000)):
            met = Met()
            for _ in range(40):
                some = dice.choices(users, k=100)
                low = [user for user in some if where[user] < weight]
                high = [user for user in some if where[user] >= 10_000 - weight]
                for arm, units in (("candidate", low), ("control", high)):
                    met.add(BufferedCell("other", arm, generation, "v", Sums(), smallest(map(place, units))))
                found = overlap(met.candidate, met.control)
                seen += found.count
                alarms += at_least(found, alpha=ALPHA) > ALLOWED
    assert (alarms, seen > 40 * 3 * 40 * 16) == (0, True)


def accused(rng, *, both, units=4000, looks=50):
    """Whether a trial with this share of its units in both arms is accused at any look, as units arrive."""
    shared = round(2 * units * both / (1 + both))
    places = np.unique(rng.integers(0, 2**32, 2 * units))[: 2 * units - shared]
    rng.shuffle(places)
    arms = [rng.permutation(places[:units]), rng.permutation(places[len(places) - units :])]
    first, second, step = [], [], units // looks
    for look in range(looks):
        first, second = (
            smallest(known, arm[look * step : (look + 1) * step].tolist())
            for known, arm in zip((first, second), arms, strict=True)
        )
        if at_least(overlap(first, second), alpha=ALPHA) > ALLOWED:
            return True
    return False


@pytest.mark.parametrize(
    ("both", "least", "most"), [(0.01, 0.0, 0.01), (0.05, 0.1, 0.5), (0.2, 0.98, 1.0)], ids=str
)
def test_accuses_hardly_at_the_tolerance_and_surely_far_beyond(both, least, most):
    # 200 trials of 50 looks each; Monte-Carlo error at most 3.5 %, at the ends under 1 %.
    rng = np.random.default_rng(20251128)
    assert least <= np.mean([accused(rng, both=both) for _ in range(200)]) <= most
