"""The laws of optimizer/orient/analyzers/contract.py, for every file in optimizer/orient/analyzers."""

import copy
import importlib
import math
import pkgutil
from random import Random

import msgspec
import numpy as np
import pytest

from optimizer.model.segments import WHOLE
from optimizer.orient import analyzers
from optimizer.orient.analyzers.contract import Margins, Watched
from optimizer.orient.state import STEADY_BYTES
from optimizer.orient.windows.sums import Sums
from optimizer.orient.windows.windows import LENGTHS_MS
from optimizer.stats.dense import COARSE, FINE, dense

BEGIN_AT = 1_772_323_200_000
SEEDS = (0, 1)
LIVES = ("usual", "hostile", "constant")
SUBJECTS = 24
"""An analyzer says at most so many things of a window: alarms are kept by subject."""
encode = msgspec.json.encode


def usual(dice, number):
    """Calls of a quiet day, with a storm every now and then."""
    n, storm = dice.randrange(30, 400), 3 if number % 37 > 33 else 1
    costs = [dice.randrange(10**5, 10**7) * storm for _ in range(n)]
    scores = [dice.randrange(10**6) // storm for _ in range(n // 2)]
    return Sums(
        calls=n, errors=n // 9 if storm > 1 else n // 90, costed=n, cost_nano_usd=sum(costs),
        cost_squares=sum(c * c for c in costs), input_tokens=n * 900 * storm, output_tokens=n * 40,
        scored=len(scores), quality_millionths=sum(scores), quality_squares=sum(s * s for s in scores),
        latency=dense({600 + 40 * storm: n - n // 9 - 5, 612 + 40 * storm: 5}, FINE), listed=0,
        cached_input_tokens=n * 300, first_token=dense({560: n // 2, 632: 1}, COARSE), output=[40, n],
        failed_as=[n // 20 if storm > 1 else 0, 0, 0], retried=n // 50,
    )  # fmt: skip


def hostile(dice, _number):
    """What merges without protest and means little: nothing, one call, all failed, giants, and free calls."""
    return dice.choice((
        Sums(),
        Sums(calls=1, latency=[0, 1]),
        Sums(calls=10**9, errors=10**9, failed_as=[10**9, 0, 0]),
        Sums(calls=10**6, costed=10**6, latency=[1383, 10**6], output=[0, 10**6], first_token=[172, 10**6]),
        Sums(calls=10**12, costed=10**12, cost_nano_usd=10**30, cost_squares=10**48, input_tokens=10**30,
             output_tokens=1, latency=[0, 10**12], retried=10**13),
        Sums(calls=50, scored=10**9, quality_millionths=10**15, quality_squares=10**21, latency=[5, 50]),
        Sums(calls=50, scored=50, output_tokens=10**30, latency=dense({5: 25, 1305: 25}, FINE)),
    ))  # fmt: skip


def constant(_dice, _number):
    """One value, a million times."""
    n = 10**6
    return Sums(
        calls=n, costed=n, cost_nano_usd=5 * n, cost_squares=25 * n, input_tokens=7 * n, output_tokens=n,
        scored=n, quality_millionths=n * 10**6, quality_squares=n * 10**12, latency=[700, n], output=[0, n],
        first_token=[50, n],
    )  # fmt: skip


def windows(analyzer, life, *, seed, count=100):
    dice, make = Random(seed), {"usual": usual, "hostile": hostile, "constant": constant}[life]
    length, at, margins = (
        analyzer.lengths_ms[0],
        BEGIN_AT,
        Margins(latency_limit_ms=900.0, spend_usd_per_day=1.0),
    )
    for number in range(count):
        sums = make(dice, number)
        segment = WHOLE if seed or not analyzer.per_segment else "a"
        yield Watched(at, at + length, segment, sums, number, margins)
        at += length * (dice.choice((1, 1, 1, 50)) if life == "hostile" else 1)


SHARED = {"contract", "baseline", "readings"}
"""What analyzers have in common."""


def said(analyzer, shown, state=None):
    state = analyzer.initial() if state is None else state
    return state, [analyzer.update(state, window) for window in shown]


def test_every_file_of_the_package_holds_an_analyzer_that_is_registered():
    files = {module.name for module in pkgutil.iter_modules(analyzers.__path__)} - SHARED
    classes = {type(one).__module__.rpartition(".")[2] for one in analyzers.ANALYZERS}
    assert files == classes
    assert {one.name for one in analyzers.ANALYZERS} == files
    for name in files:
        assert importlib.import_module(f"{analyzers.__name__}.{name}").__doc__


def test_all_states_together_fit_into_half_of_a_row():
    of_segment = sum(one.bytes_max * len(one.lengths_ms) for one in analyzers.ANALYZERS if one.per_segment)
    of_whole = sum(one.bytes_max * len(one.lengths_ms) for one in analyzers.ANALYZERS)
    assert 17 * of_segment + of_whole <= STEADY_BYTES // 2


@pytest.mark.parametrize("analyzer", analyzers.ANALYZERS, ids=lambda one: one.name)
class TestAnalyzerLaws:
    def test_it_wants_windows_that_there_are(self, analyzer):
        assert set(analyzer.lengths_ms) <= set(LENGTHS_MS)
        assert analyzer.lengths_ms

    @pytest.mark.parametrize("life", LIVES)
    @pytest.mark.parametrize("seed", SEEDS)
    def test_equal_windows_give_equal_sayings_and_stay_as_they_were(self, analyzer, life, seed):
        shown = list(windows(analyzer, life, seed=seed))
        before = copy.deepcopy(shown)
        first = said(analyzer, shown)[1]
        assert repr(first) == repr(said(analyzer, shown)[1])
        assert before == shown
        assert life != "usual" or seed == 1 or any(first)

    @pytest.mark.parametrize("life", LIVES)
    def test_a_state_that_was_written_and_read_goes_on_the_same_way(self, analyzer, life):
        shown = list(windows(analyzer, life, seed=1))
        state, _ = said(analyzer, shown[:50])
        again = msgspec.json.decode(encode(state), type=analyzer.state_type)
        assert encode(again) == encode(state)
        assert repr(said(analyzer, shown[50:], again)[1]) == repr(said(analyzer, shown[50:], state)[1])

    @pytest.mark.parametrize("life", LIVES)
    def test_its_state_stays_small(self, analyzer, life):
        state = analyzer.initial()
        for window in windows(analyzer, life, seed=1, count=200):
            analyzer.update(state, window)
            assert len(encode(state)) <= analyzer.bytes_max

    @pytest.mark.parametrize("life", LIVES)
    def test_a_window_without_calls_raises_nothing(self, analyzer, life):
        state = analyzer.initial()
        for window in windows(analyzer, life, seed=1):
            quiet = analyzer.update(copy.deepcopy(state), window._replace(sums=Sums()))
            assert all(saying.score <= 1 or saying.is_learning for saying in quiet)
            analyzer.update(state, window)

    @pytest.mark.parametrize("life", LIVES)
    def test_whatever_it_says_is_said_in_a_sentence_and_numpy_does_not_warn(self, analyzer, life):
        with np.errstate(all="raise"):
            sayings = [one for some in said(analyzer, windows(analyzer, life, seed=1))[1] for one in some]
        for saying in sayings:
            assert saying.reason
            assert saying.subject
            assert len(saying.subject) <= 64
            assert len(saying.reason) <= 400
            assert not math.isnan(saying.score)
        assert len({saying.subject for saying in sayings}) <= SUBJECTS

    def test_one_value_for_ever_raises_nothing_about_itself(self, analyzer):
        shown = windows(analyzer, "constant", seed=1, count=200)
        margins = Margins()
        state = analyzer.initial()
        for window in shown:
            for saying in analyzer.update(state, window._replace(margins=margins)):
                assert saying.score <= 1 or saying.is_learning, saying.reason
