"""Crossover: checks that no unit of a trial met both arms, which the rule of assignment forbids.

Within one generation a unit has one arm. Callers that draw anew for every call, or by a salt of their own, let it
meet candidate and control in turns: then both arms are the same people, habits learnt in one are acted out in the
other, and a difference shrinks. The cells of both arms carry the smallest places of their units (`bottom_k`).

    error  where more than ALLOWED of the units met both arms beyond doubt (`at_least`, risk ALPHA)

Only the newest generation with calls is looked at: the next one may move units by right. Beyond one half a growing
candidate takes over what was its control, and arms of a mix exchange their shares. Calls that tell no unit say
nothing here. Of honest callers no unit is in both, so that there is no chance for a false alarm but that
of two names with one place.
"""

from optimizer.model.finding import Finding
from optimizer.model.wording import count, percent
from optimizer.orient.findings.finding import About, FindingWindow, Measured, finding
from optimizer.orient.trial import Met
from optimizer.stats.bottom_k import overlap
from optimizer.stats.proportion import at_least

ALPHA = 0.001
"""Risk of each look. Sketches change slowly, but a trial may be looked at for days."""
ALLOWED = 0.01
"""Share of units that may meet both arms: shared accounts, a name given twice."""


def findings(about: About, name: str, met: Met, window: FindingWindow) -> list[Finding]:
    """The finding that units met both arms, if they did; `about` names the trial, `name` its model."""
    seen = overlap(met.candidate, met.control)
    surely = at_least(seen, alpha=ALPHA)
    if surely <= ALLOWED or seen.share is None:
        return []
    reason = (
        f"crossover of {name} in {about.segment}: {count(seen.hits)} of {count(seen.count)} units sampled by "
        f"their hash met candidate and control in one generation, at least {percent(surely)} of all: its "
        f"comparisons cannot be trusted; check whether callers assign by unit, with the configuration's salt, and "
        f"once for all calls of one"
    )
    measured = Measured(
        estimate=seen.share,
        low=surely,
        level=1 - ALPHA,
        unit="share",
        n=len(met.candidate),
        n_control=len(met.control),
        n_effective=float(seen.count),
        margin=ALLOWED,
    )
    counterfactual = (
        f"nothing is said unless more than {percent(ALLOWED)} of the units are proven to have met both arms"
    )
    return [finding(about, window, "error", measured=measured, reason=reason, counterfactual=counterfactual)]
