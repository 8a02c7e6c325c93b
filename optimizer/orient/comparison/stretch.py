"""The calls of a trial since its watch for harm last began anew: see `optimizer.stats.restarts`."""

from msgspec import Struct, field

from optimizer.orient.windows.sums import Sums


class Stretch(Struct, kw_only=True, omit_defaults=True):
    """What both arms amount to since an instant after the trial's beginning."""

    number: int
    """It is the so many-th to begin anew, from 1 on."""
    since_at: int
    candidate: Sums = field(default_factory=Sums)
    control: Sums = field(default_factory=Sums)
