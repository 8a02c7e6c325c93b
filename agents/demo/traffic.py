"""When calls arrive: second by second as in an hour of two production services.

compose/demo/arrivals.csv counts the requests of the Azure LLM inference trace 2023 in each of
3,600 seconds (origin and licence beside it). The hour is repeated as often as needed and scaled
to the rate asked for; each second's count is drawn from a Poisson distribution around it.
"""

import csv

import numpy as np

from agents import resources
from agents.declarations.outcomes import Floats

BEGIN_S = 300
"""Where in the hour the demo begins: by then both services are under way."""


class Arrivals:
    """The expected number of calls in each second, periodic."""

    def __init__(self, calls_per_s: float) -> None:
        """Arrivals at `calls_per_s` on average over an hour.

        Raises:
            MissingDataError: compose/demo/ did not come with the installation.
        """
        with resources.path("compose/demo/arrivals.csv").open(newline="") as file:
            counts = np.array([int(row["code"]) + int(row["conv"]) for row in csv.DictReader(file)])
        self._expected: Floats = _smoothed(counts.astype(np.float64))
        self._expected *= calls_per_s / self._expected.mean()

    def expected(self, second: int) -> float:
        """The number of calls to expect in a second; the mean over an hour is the rate asked for."""
        return float(self._expected[(BEGIN_S + second) % self._expected.size])


def _smoothed(counts: Floats, over_s: int = 5) -> Floats:
    """A running mean, wrapped around: scaled up, the bursts of single seconds would be floods."""
    turns = [np.roll(counts, shift - over_s // 2) for shift in range(over_s)]
    return np.asarray(np.mean(turns, axis=0), dtype=np.float64)
