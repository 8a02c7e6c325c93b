"""ADWIN, Page-Hinkley and KSWIN: the published stream, false alarms, delays, bounds."""

import math
import random

import msgspec
import numpy as np
import pytest
from scipy import stats

from optimizer.errors import NotFinite, OutOfRange
from optimizer.stats.adwin import WIDTH, Adwin
from optimizer.stats.kswin import Kswin, distance_steps, p_of_steps
from optimizer.stats.page_hinkley import PageHinkley

DETECTORS = [Adwin, PageHinkley, Kswin]


def documented():
    """The stream of river's docstrings: fair coins, from index 1000 on whole numbers from 4 to 7."""
    dice = random.Random(12345)
    return dice.choices([0, 1], k=1000) + dice.choices(range(4, 8), k=1000)


def alarms(detector, values):
    return [i for i, value in enumerate(values) if detector.update(float(value))]


# KSWIN draws by chance in river and evenly spaced here: the same alarm, two values earlier.
@pytest.mark.parametrize(("detector", "expected"), [(Adwin, 1023), (PageHinkley, 1006), (Kswin, 1014)])
def test_the_documented_change_is_the_only_alarm(detector, expected):
    assert alarms(detector(), documented()) == [expected]


class TestAdwin:
    @pytest.mark.parametrize("law", ["coin", "uniform"])
    def test_unchanged_streams_alarm_less_often_than_delta_per_check(self, law):
        # 20 streams of 3,200 values, 100 checks each: 2,000 checks at delta .002, so 4 at most expected;
        # 10 would come by chance once in 120 runs.
        rng, found = np.random.default_rng(20251122), 0
        for _ in range(20):
            values = rng.integers(0, 2, 3200) if law == "coin" else rng.random(3200)
            found += len(alarms(Adwin(), values))
        assert found <= 10

    def test_a_shift_of_a_fifth_is_found_within_some_hundred_values(self):
        # 50 streams: .5 against .7 of hits.
        rng, delays = np.random.default_rng(7), []
        for _ in range(50):
            values = np.concatenate([rng.random(1000) < 0.5, rng.random(1000) < 0.7])
            delays.append(next((i - 1000 for i in alarms(Adwin(), values) if i >= 1000), 1000))
        assert np.median(delays) < 300
        assert np.mean(np.array(delays) < 1000) >= 0.95

    def test_its_buckets_are_the_window(self):
        detector, values = Adwin(), np.random.default_rng(3).random(777)
        assert alarms(detector, values) == []
        assert (detector.count, detector.mean) == (777, pytest.approx(values.mean()))
        assert Adwin().mean is None

    def test_its_state_grows_with_the_logarithm(self):
        detector = Adwin()
        for i in range(20_000):
            detector.update(float(i % 2))
        assert all(len(row) <= WIDTH for row in detector.rows)
        assert len(msgspec.json.encode(detector)) < 2500


class TestPageHinkley:
    def test_unchanged_streams_are_hardly_called_changed(self):
        # 20 streams of 5,000 standard normal values at the default threshold of 50; no law of its error
        # is known, so the measured rate is held: at most one alarm in 10,000 values.
        rng = np.random.default_rng(20251122)
        assert sum(len(alarms(PageHinkley(), rng.normal(0, 0.3, 5000))) for _ in range(20)) <= 10

    @pytest.mark.parametrize("step", [1.0, -1.0])
    def test_a_step_is_found_on_either_side(self, step):
        # 50 streams, threshold 50: a step of one needs about 50 values.
        rng, delays = np.random.default_rng(8), []
        for _ in range(50):
            values = np.concatenate([rng.normal(0, 0.3, 500), rng.normal(step, 0.3, 500)])
            delays.append(next((i - 500 for i in alarms(PageHinkley(), values) if i >= 500), 500))
        assert 40 <= np.median(delays) <= 60


class TestKswin:
    def test_the_exact_p_value_is_scipys(self):
        rng = np.random.default_rng(4)
        for n in (5, 17, 30):
            for shift in (0.0, 0.5, 2.0):
                a, b = rng.normal(0, 1, n), rng.normal(shift, 1, n)
                found = stats.ks_2samp(a, b, method="exact")
                steps = distance_steps(list(a), list(b))
                assert steps == pytest.approx(found.statistic * n)
                assert p_of_steps(steps, n) == pytest.approx(found.pvalue, rel=1e-9)

    def test_ties_are_compared_after_all_of_them(self):
        a, b = [1.0, 1.0, 2.0, 2.0], [1.0, 2.0, 2.0, 3.0]
        assert distance_steps(a, b) == pytest.approx(stats.ks_2samp(a, b).statistic * 4)

    def test_unchanged_streams_alarm_about_as_often_as_alpha(self):
        # 20,000 values at alpha .001: 20 expected if the looks were independent, fewer as they overlap.
        values = np.random.default_rng(20251122).normal(0, 1, 20_000)
        assert len(alarms(Kswin(alpha=0.001), values)) <= 20

    def test_another_shape_is_found_though_the_mean_stays(self):
        rng = np.random.default_rng(9)
        values = np.concatenate([rng.normal(0, 1, 300), rng.choice([-2, -2, -2, -2, 8], 200)])
        assert 300 <= alarms(Kswin(), values)[0] <= 360

    def test_a_window_too_short_is_refused(self):
        with pytest.raises(OutOfRange):
            Kswin(length=50, recent=30)


@pytest.mark.parametrize("detector", DETECTORS)
class TestAll:
    def test_a_constant_stream_is_silent(self, detector):
        assert alarms(detector(), [5.0] * 3000) == []

    def test_the_state_survives_encoding_at_any_place(self, detector):
        values, whole, halved = documented(), detector(), detector()
        expected = alarms(whole, values)
        found = []
        for i, value in enumerate(values):
            if i % 500 == 250:
                halved = msgspec.json.decode(msgspec.json.encode(halved), type=detector)
            if halved.update(float(value)):
                found.append(i)
        assert expected == found
        assert halved == whole

    def test_what_is_no_number_is_refused(self, detector):
        with pytest.raises(NotFinite):
            detector().update(math.nan)
