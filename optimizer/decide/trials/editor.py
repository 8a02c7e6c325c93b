"""One segment, taken up once per decision: what is known of it, what it admits, and what is on trial in it."""

from optimizer.decide.guardrails import Admission
from optimizer.decide.hand import InHand
from optimizer.decide.known import Evidence
from optimizer.decide.moves import TrialEditor
from optimizer.decide.state import Deciding
from optimizer.declaration.declared import Declared


class SegmentEditor(InHand):
    """The segment in hand with its parts, each of which owns its verbs."""

    def __init__(self, state: Deciding, name: str, declared: Declared) -> None:
        """Take up the segment `name` of a declared target."""
        super().__init__(state, name, declared)
        self.evidence = Evidence(self)
        self.admission = Admission(self, self.evidence)
        self.trial = TrialEditor(self)
