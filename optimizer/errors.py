"""The errors that the core raises on purpose.

A message says what must hold and what was found, so that
the reader of a log line at night needs no second look-up.
"""


class OptimizerError(Exception):
    """Base of every error the core raises on purpose."""


class NotFinite(OptimizerError):
    """A number that must be finite is not."""

    def __init__(self, *, what: str, got: float) -> None:
        super().__init__(f"{what} must be a finite number, got {got!r}")
        self.what, self.got = what, got


class IllegalTransition(OptimizerError):
    """An event for which the rollout's phase has no transition."""

    def __init__(self, *, phase: str, event: str, heard: tuple[str, ...]) -> None:
        heard_text = ", ".join(heard) or "nothing: it is final"
        super().__init__(f"a {phase} rollout does not hear {event!s}; it hears {heard_text}")
        self.phase, self.event, self.heard = phase, event, heard


class OutOfRange(OptimizerError):
    """A number lies outside the range in which it means something."""

    def __init__(self, *, what: str, got: float, must: str) -> None:
        super().__init__(f"{what} must be {must}, got {got!r}")
        self.what, self.got, self.must = what, got, must


class DifferentUnits(OptimizerError):
    """Two sums held in different fixed points were to be added."""

    def __init__(self, *, left: int, right: int) -> None:
        super().__init__(f"sums must share one fixed point to be added, got scales {left} and {right}")
        self.left, self.right = left, right
