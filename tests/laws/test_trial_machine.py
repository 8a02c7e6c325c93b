"""Every phase × event pair of a trial either follows the table or explains itself, for one candidate and for eight."""

import os
from itertools import product
from typing import get_args

import pytest

from optimizer.decide.record.state import TrialPhase
from optimizer.decide.trials.machine import (
    ASKED,
    BANNING,
    ENDS,
    EVENTS,
    GROWING,
    MEANS,
    PHASES,
    SERVED,
    TRANSITIONS,
    advance,
    mermaid,
    table,
)
from optimizer.errors import IllegalTransition

BACK = ("harmed", "alerted", "taken_back", "aborted", "forbidden", "undeclared")


def reachable(phase, seen=frozenset()):
    nexts = set(TRANSITIONS[phase].values()) - seen
    return {phase}.union(*(reachable(one, seen | {phase} | nexts) for one in nexts))


@pytest.mark.parametrize(("phase", "event"), list(product(PHASES, EVENTS)))
def test_every_pair_is_decided(phase, event):
    if event in TRANSITIONS[phase]:
        assert advance(phase, event) == TRANSITIONS[phase][event]
    else:
        with pytest.raises(IllegalTransition, match=f"a {phase} rollout does not hear"):
            advance(phase, event)


def test_every_phase_and_every_event_is_used():
    assert set(PHASES) == reachable("proposed") == set(MEANS)
    assert set(EVENTS) == {event for heard in TRANSITIONS.values() for event in heard}


def test_what_is_kept_is_what_is_neither_over_nor_only_proposed():
    assert set(get_args(TrialPhase)) == set(PHASES) - ENDS - {"proposed"}


def test_harm_a_person_and_what_is_forbidden_lead_back_from_every_phase_that_is_not_over():
    begun = set(PHASES) - ENDS - {"proposed", "awaiting"}
    assert all(TRANSITIONS[phase][event] == "rolled_back" for phase in begun for event in BACK)
    assert set(BACK).isdisjoint(GROWING), "a freeze never stops a way back"


def test_a_freeze_stops_whatever_lets_more_users_meet_an_arm_or_ends_in_a_winner():
    assert {event for event in EVENTS if event.startswith(("approved", "passed", "promoted"))} <= GROWING
    assert {"paused", "resumed", "arm_taken_out"}.isdisjoint(GROWING)


def test_nothing_is_promoted_that_was_not_served():
    assert {phase for phase, heard in TRANSITIONS.items() if "promoted" in heard} == SERVED


def test_what_waits_for_a_yes_hears_answers_and_a_person_but_no_verdict():
    assert set(TRANSITIONS["awaiting"]) == ASKED | {"taken_back", "aborted", "undeclared"}


def test_whoever_says_no_or_proves_harm_bans_and_whoever_aborts_does_not():
    assert BANNING == {"rejected", "harmed", "alerted", "taken_back"}


def test_the_diagram_and_the_phases_in_the_documents_are_the_table_s(checkout):
    path = checkout / "docs" / "rollouts.md"
    begin, end = "<!-- the table of a trial -->", "<!-- end of the table -->"
    before, _, rest = path.read_text().partition(begin)
    _, _, after = rest.partition(end)
    drawn = f"{before}{begin}\n\n```mermaid\n{mermaid()}\n```\n\n{table()}\n\n{end}{after}"
    if "ACCEPT" in os.environ:
        path.write_text(drawn)
    assert drawn == path.read_text(), (
        "docs/rollouts.md: read the difference; if it is right, ACCEPT=1 this test"
    )
