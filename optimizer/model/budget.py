"""The budget of a target, its limits of change, and who must agree to them."""

from typing import Annotated

from msgspec import Meta, Struct

Usd = Annotated[float, Meta(gt=0, le=1_000_000_000)]
Bps = Annotated[int, Meta(ge=0, le=10_000)]


class Budget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money for all calls of a target, in event time; days and months are those of UTC."""

    usd_per_day: Usd | None = None
    usd_per_month: Usd | None = None
    trials_bps: Bps = 1000
    """The share of a day's money that candidates may cost more than their controls would have."""
    warn_bps: Bps = 8000
    """The share of a day's or a month's money at which a warning is given."""

    @property
    def trials_usd_per_day(self) -> float:
        """The money that candidates may cost beyond their controls on one day, US dollars; a thirtieth of a month's."""
        month = (self.usd_per_month or 0.0) / 30
        return (self.usd_per_day or month) * self.trials_bps / 10_000


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits of what may change at once."""

    parameter_changes_bps: Bps | None = None
    """The share of a target's levers (its parameters in each of its segments) that may be tried otherwise within
    24 h; at least one may, and with 10,000 any number. None: after a change for good a segment's parameters
    rest until less than 5 % of its levers change in a day; what is tried and taken back is no change."""
    starts_per_day: Annotated[int, Meta(ge=1, le=60)] | None = None
    """The number of candidates may be started within 24 h, in all segments together; None: any number."""
    max_exposure_bps: Annotated[int, Meta(ge=1, le=10_000)] = 10_000
    """The share of the target's calls that candidates may answer at once, in all segments together."""
    require_power: bool = False
    """True if a candidate is refused that the first step's traffic cannot tell from its margins."""


class Approvals(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules by which a person's yes is asked for."""

    needed: Annotated[int, Meta(ge=1, le=5)] = 1
    """The number of different people who must say yes to a start, or to a promotion by hand."""
    expires_s: Annotated[int, Meta(ge=60, le=31_536_000)] | None = None
    """How long the answer is waited for; None: as long as a step may last."""
