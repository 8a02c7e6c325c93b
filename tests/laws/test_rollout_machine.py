"""Every phase × event pair either follows the table or explains itself."""

from itertools import product

import pytest

from optimizer.act.machine import (
    ENDS,
    FINAL,
    OODA,
    SERVING,
    TRANSITIONS,
    Phase,
    RolloutEvent,
    advance,
    mermaid,
)
from optimizer.errors import IllegalTransition

LIVE = set(Phase) - ENDS


def reachable(phase, seen=frozenset()):
    nexts = set(TRANSITIONS[phase].values()) - seen
    return {phase}.union(*(reachable(n, seen | {phase} | nexts) for n in nexts))


@pytest.mark.parametrize(("phase", "event"), list(product(Phase, RolloutEvent)), ids=lambda v: v.value)
def test_every_pair_is_decided(phase, event):
    if event in TRANSITIONS[phase]:
        assert advance(phase, event) is TRANSITIONS[phase][event]
    else:
        with pytest.raises(IllegalTransition, match=f"a {phase} rollout does not hear"):
            advance(phase, event)


def test_every_phase_and_every_event_is_used():
    assert set(Phase) == reachable(Phase.PLANNED)
    assert set(RolloutEvent) == {event for heard in TRANSITIONS.values() for event in heard}


def test_every_live_phase_can_reach_an_end():
    assert all(reachable(phase) & FINAL for phase in Phase)


def test_every_phase_in_which_users_meet_the_candidate_goes_back_at_once():
    assert all(TRANSITIONS[phase][RolloutEvent.FAILED] is Phase.ROLLING_BACK for phase in SERVING)


def test_every_phase_before_users_meet_the_candidate_can_be_left_without_a_trace():
    unserved = LIVE - SERVING - {Phase.ROLLING_BACK}
    assert all({Phase.ABORTED, Phase.EXPIRED} <= set(TRANSITIONS[phase].values()) for phase in unserved)


def test_nothing_is_promoted_that_was_not_served():
    before = {phase for phase, heard in TRANSITIONS.items() if Phase.PROMOTED in heard.values()}
    assert before == SERVING


def test_going_back_leads_nowhere_but_back():
    assert reachable(Phase.ROLLING_BACK) == {Phase.ROLLING_BACK, Phase.ROLLED_BACK}


def test_every_phase_has_a_state_of_the_specification():
    specified = {
        "IDLE", "OBSERVING", "ANALYZING", "DECIDING", "VALIDATING", "DEPLOYING", "MONITORING", "ROLLING_BACK",
        "COMPLETE",
    }  # fmt: skip
    assert set(Phase) == set(OODA)
    assert set(OODA.values()) <= specified


def test_the_diagram_in_the_documents_is_the_table(checkout):
    text = (checkout / "docs" / "rollouts.md").read_text()
    assert f"```mermaid\n{mermaid()}\n```" in text, "docs/rollouts.md: paste what machine.mermaid() returns"


def test_the_phases_in_the_documents_are_the_machine_s(checkout):
    text = (checkout / "docs" / "rollouts.md").read_text()
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert {phase.value for phase in Phase} <= set(rows)
    assert all(OODA[phase] in rows[phase.value] for phase in Phase)
