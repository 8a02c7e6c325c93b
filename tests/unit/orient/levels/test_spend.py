"""What a minute has cost is told beside those who paid for it, and only where somebody asks."""

from optimizer.model.fixed_point import NANO_USD
from optimizer.model.pane import Cell
from optimizer.orient.findings.finding import FindingWindow
from optimizer.orient.levels.spend import MOST_VARIANTS, add, findings
from optimizer.orient.windows.buffer import BufferedCell
from optimizer.orient.windows.offsets import Offsets
from optimizer.orient.windows.sums import Sums

WINDOW = FindingWindow(0, 60_000, Offsets())


def part(arm, variant, calls=10, costed=10, usd=1, segment="other"):
    cell = Cell(
        generation=1, variant_id=variant, arm=arm, segment=segment, calls=calls, costed=costed,
        cost_nano_usd=usd * NANO_USD,
    )  # fmt: skip
    return BufferedCell(segment, arm, 1, variant, Sums.of(cell))


def told(*parts):
    minute = {}
    add(minute, parts)
    return [
        (f.variant_id, f.estimate, f.n, f.n_control, f.n_effective) for f in findings("t", minute, WINDOW)
    ]


def test_those_not_on_trial_are_one_and_each_variant_on_trial_is_another():
    assert told(
        part("incumbent", "a"), part("control", "a"), part("holdback", "b"), part("candidate", "c", usd=3)
    ) == [(None, 3.0, 30, 30, 30.0), ("c", 3.0, 10, 10, 10.0)]


def test_a_shadow_costs_although_it_answers_nobody():
    assert [("c", 2.0, 10, 0, 10.0)] == told(part("shadow", "c", usd=2))


def test_calls_of_unknown_cost_are_counted_and_not_free():
    assert [(None, None, 10, 10, 0.0)] == told(part("incumbent", "a", costed=0, usd=0))
    assert [(None, 1.0, 10, 10, 4.0)] == told(part("incumbent", "a", costed=4))


def test_there_is_room_for_so_many_variants():
    minute = {}
    add(minute, [part("candidate", f"v{i:02}") for i in range(50)])
    assert len(minute["other"]) <= MOST_VARIANTS + 1
    assert 50.0 == sum(found.estimate for found in findings("t", minute, WINDOW))


def test_every_finding_has_an_id_of_its_own():
    minute = {}
    add(minute, [part("incumbent", "a"), part("candidate", "c"), part("incumbent", "a", segment="code")])
    ids = [found.finding_id for found in findings("t", minute, WINDOW)]
    assert len(ids) == len(set(ids)) == 3
