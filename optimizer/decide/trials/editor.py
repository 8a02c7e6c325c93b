"""One segment, taken up once per decision: what is known of it, what it admits, and what is on trial in it."""

from optimizer.decide.admission.checks import Admission
from optimizer.decide.evidence.facts import SegmentEvidence
from optimizer.decide.record.hand import InHand
from optimizer.decide.record.state import DecideState
from optimizer.decide.trials.transitions import TrialEditor
from optimizer.declaration.declared import Declared


class SegmentEditor(InHand):
    """The segment in hand with its parts, each of which owns its verbs."""

    def __init__(self, state: DecideState, name: str, declared: Declared) -> None:
        """Take up the segment `name` of a declared target."""
        super().__init__(state, name, declared)
        self.evidence = SegmentEvidence(self)
        self.admission = Admission(self, self.evidence)
        self.trial = TrialEditor(self)
