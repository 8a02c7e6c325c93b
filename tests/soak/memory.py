"""Resident memory of the lives of a worker: sampled, and fitted so that single samples do not matter."""

from typing import NamedTuple

import psutil
from scipy import stats

EVERY_S = 2.0
WARM_UP_S = 240.0
"""Until the duplicate filter is full (800,000 records at 5,000/s: 160 s), and RocksDB's buffers."""
SAMPLES = 20
"""With fewer a slope would be made of noise."""


class Sample(NamedTuple):
    at_s: float
    life: int
    rss_mb: float


class Memory:
    """Samples of all lives, the last one being the longest: nobody is killed in it."""

    def __init__(self):
        self.samples, self._next = [], 0.0

    def sample(self, at_s, life, pid):
        if at_s < self._next:
            return
        self._next = at_s + EVERY_S
        try:
            self.samples.append(Sample(at_s, life, psutil.Process(pid).memory_info().rss / 1e6))
        except psutil.NoSuchProcess:
            return

    def summary(self):
        """Theil-Sen's slope of the last life after its warm-up, with its 95 % interval; None of a short life."""
        most = max(sample.rss_mb for sample in self.samples)
        last = [sample for sample in self.samples if sample.life == self.samples[-1].life]
        lived_s = last[-1].at_s - last[0].at_s
        after = [sample for sample in last if sample.at_s >= last[0].at_s + WARM_UP_S]
        told = {
            "max_mb": most, "last_mb": last[-1].rss_mb, "fitted_s": max(0.0, lived_s - WARM_UP_S),
            "samples": len(after), "slope_mb_per_h": None, "low": None, "high": None,
        }  # fmt: skip
        if len(after) >= SAMPLES:
            fit = stats.theilslopes([s.rss_mb for s in after], [s.at_s / 3600 for s in after])
            told |= {
                "slope_mb_per_h": float(fit.slope),
                "low": float(fit.low_slope),
                "high": float(fit.high_slope),
            }
        return told
