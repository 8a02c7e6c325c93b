"""What must hold for every verdict, so that a new one cannot be forgotten where verdicts are told apart."""

from typing import get_args

from agents.cli.records.explanation import COLOURS
from optimizer.model.finding import WORST_FIRST, Verdict
from optimizer.stats import verdict


def test_every_verdict_has_a_rank_and_a_colour():
    words = get_args(Verdict)
    assert sorted(words) == sorted(WORST_FIRST)
    assert set(words) == set(COLOURS)


def test_every_verdict_of_a_comparison_is_one_of_a_finding():
    assert set(get_args(verdict.Verdict)) <= set(get_args(Verdict))
