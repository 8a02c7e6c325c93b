"""What a cell holds beside its counts: sums that merge to the digit, histograms, and who told the cost."""

from random import Random

import msgspec
import numpy as np
import pytest

from optimizer.model.call import Assignment, Quality
from optimizer.model.pane import LEAST_PROPENSITY, Covariates, Joint, Weighted
from optimizer.observe.cells import BASE, HISTOGRAMS, CellRows
from optimizer.observe.columns import MOST_GATHERED, Column, Pending, totals
from optimizer.observe.folding import CHUNK
from optimizer.observe.joins import CountedCell
from optimizer.observe.openpanes import Anchor, OpenPane, Partial
from optimizer.observe.stage import Observe
from optimizer.observe.tally import Tally
from optimizer.prices import NO_PRICES, Match, Override, Price, PriceList, Rates
from optimizer.stats.bottom_k import place
from optimizer.stats.histogram import BUCKETS, EDGES, bucket_of


def drawn(random, n):
    """Calls of every kind: some without a score, a cost, a covariate, a token; some failed."""
    for _ in range(n):
        maybe = lambda value: value if random.random() < 0.7 else None  # noqa: E731 - one line, used below
        yield {
            "latency_ms": random.lognormvariate(6, 2),
            "first_token_ms": maybe(random.lognormvariate(4, 1)),
            "cost_usd": maybe(random.random() * random.choice((1e-9, 1e-3, 1e5))),
            "input_tokens": maybe(random.randrange(10**9)),
            "output_tokens": maybe(random.randrange(4000)),
            "cached_input_tokens": maybe(random.randrange(100)),
            "cache_write_input_tokens": maybe(random.randrange(100)),
            "reasoning_tokens": maybe(random.randrange(100)),
            "quality": maybe(Quality(score=random.random())),
            "covariate": maybe(random.choice((-1e9, 1e9, random.uniform(-1e4, 1e4)))),
            "error_type": None if random.random() < 0.9 else "timeout",
            "assignment": Assignment(3, "v", "candidate", "short", random.choice((1.0, 0.3, 1e-5))),
        }


def of(calls, name, scale):
    """A field of each call in whole parts; None where it is unknown."""
    return [None if call[name] is None else round(call[name] * scale) for call in calls]


@pytest.fixture(scope="module")
def calls():
    return list(drawn(Random(1), 500))


@pytest.fixture
def cell(log, calls):
    for call in calls:
        log.call(1, **call)
    log.tick(15)
    (cell,) = log.cells().values()
    return cell


def scores(calls):
    return [None if call["quality"] is None else round(call["quality"].score * 1e6) for call in calls]


def product_sums(rows, *pairs):
    return [sum(np.prod([row[i] for i in pair], dtype=object) for row in rows) for pair in pairs]


def test_tokens_and_costs_add_up(cell, calls):
    for name in ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_input_tokens"):
        assert sum(call[name] or 0 for call in calls) == getattr(cell, name)
    assert sum(call["reasoning_tokens"] or 0 for call in calls) == cell.reasoning_tokens
    costs = [cost for cost in of(calls, "cost_usd", 1e9) if cost is not None]
    assert (len(calls), len(costs), 0) == (cell.calls, cell.costed, cell.listed)
    assert (sum(costs), sum(c * c for c in costs)) == (cell.cost_nano_usd, cell.cost_squares)


def test_joint_moments_are_those_of_the_calls_with_a_score_and_a_cost(cell, calls):
    latencies = of(calls, "latency_ms", 1e3)
    rows = [
        r for r in zip(scores(calls), of(calls, "cost_usd", 1e9), latencies, strict=True) if None not in r
    ]
    pairs = ((), (0,), (1,), (2,), (0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
    assert Joint(*product_sums(rows, *pairs)) == cell.joint


def test_weights_are_inverse_propensities_bounded_below(cell, calls):
    weights = [round(1e6 / max(c["assignment"].propensity, LEAST_PROPENSITY)) for c in calls]
    clipped = sum(c["assignment"].propensity < LEAST_PROPENSITY for c in calls)
    expected = [len(calls), clipped, sum(weights), sum(w * w for w in weights)]
    for values in (scores(calls), of(calls, "cost_usd", 1e9)):
        rows = [row for row in zip(weights, values, strict=True) if None not in row]
        expected += product_sums(rows, (0,), (0, 0), (0, 1), (0, 0, 1), (0, 0, 1, 1))
    assert clipped > 0
    assert Weighted(*expected) == cell.weighted


def test_covariates_are_summed_with_the_score_and_with_the_cost(cell, calls):
    xs = of(calls, "covariate", 1e6)
    expected = product_sums([(x,) for x in xs if x is not None], (), (0,), (0, 0))
    for values in (scores(calls), of(calls, "cost_usd", 1e9)):
        rows = [row for row in zip(xs, values, strict=True) if None not in row]
        expected += product_sums(rows, (), (0,), (0, 0), (1,), (1, 1), (0, 1))
    assert Covariates(*expected) == cell.covariates


def test_three_histograms_hold_the_calls_that_succeeded_and_tell(cell, calls):
    succeeded = [call for call in calls if call["error_type"] is None]
    for histogram, name, scale in (
        (cell.latency_us, "latency_ms", 1e3),
        (cell.first_token_us, "first_token_ms", 1e3),
        (cell.output_lengths, "output_tokens", 1),
    ):
        told = [value for value in of(succeeded, name, scale) if value is not None]
        buckets, counts = np.unique(bucket_of(np.array(told)), return_counts=True)
        assert dict(zip(buckets.tolist(), counts.tolist(), strict=True)) == histogram
        assert list(histogram) == sorted(histogram)


def test_what_no_call_tells_is_not_there(log):
    log.call(1, output_tokens=3)
    log.tick(15)
    (cell,) = log.cells().values()
    assert (cell.joint, cell.weighted, cell.covariates, cell.first_token_us, cell.costed) == (
        None, None, None, {}, 0,
    )  # fmt: skip


def test_a_cost_that_is_not_reported_is_the_lists_and_one_that_nobody_knows_is_unknown(new_log):
    price = Price(rates=Rates(input=2 * 10**18, output=10**19))
    prices = PriceList("2026-01", overrides=(Override(Match("equals", "priced"), price),))
    log = new_log(Observe(1, prices=prices))
    log.tick(0)
    log.declare()
    log.declare("chat")
    log.call(1, model="priced", input_tokens=1000, output_tokens=10)
    log.call(1, model="priced", input_tokens=1000, output_tokens=10, cost_usd=1.0)
    log.call(1, model="priced")
    log.call(1, model="unheard", input_tokens=1000, output_tokens=10)
    log.call(1, model="unheard", target="chat")
    log.tick(15)
    log.call(2, model="priced", input_tokens=1000, output_tokens=10)
    log.tick(25)
    first, second = log.panes()
    (cell,) = first.cells
    assert (cell.calls, cell.costed, cell.listed, cell.cost_nano_usd) == (4, 2, 1, 1_000_000_000 + 2_100_000)
    assert (second.late.costed, second.late.cost_nano_usd) == (1, 2_100_000)
    assert [pane.prices for pane in (first, second, *log.panes("chat"))] == ["2026-01", "2026-01", None]


def test_so_many_calls_that_they_are_summed_in_parts_are_the_same_cells(log, new_log):
    written = [log.call(1 + n % 19, **call) for n, call in enumerate(drawn(Random(2), 300))]
    n = MOST_GATHERED + 5000
    events = [msgspec.structs.replace(written[i % 300], offset=i + 2, id=f"{i}") for i in range(n)]
    other = new_log()
    other.fold([*log.events[:2], *events])
    other.fold([msgspec.structs.replace(log.tick(40), offset=n + 2)])
    tokens = sum(event.data.input_tokens or 0 for event in events)
    cells = [cell for pane in other.panes() for cell in pane.cells]
    assert (sum(cell.calls for cell in cells), sum(cell.input_tokens for cell in cells)) == (
        len(events),
        tokens,
    )
    failed = sum(event.data.error_type is not None for event in events)
    assert sum(sum(cell.latency_us.values()) for cell in cells) == len(events) - failed


def test_as_many_calls_as_are_summed_at_once_may_each_have_a_cell_of_their_own(log):
    event = log.call(1, **next(drawn(Random(5), 1)))
    n, pane, pending = MOST_GATHERED + CHUNK - 1, OpenPane(Anchor(0, None, None, 0, None)), Pending()
    groups = [
        pane.group(Partial(0), CellRows(), CountedCell("t", 1, "v", "control", "s", 0, 0)) for _ in range(n)
    ]
    for group in groups:
        group.samples_units = True
    token = Assignment(3, "v", "control", "s", 0.5, unit_id="u")
    told = msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, assignment=token))
    for begin in range(0, n, 1000):
        some = groups[begin : begin + 1000]
        pending.put([told] * len(some), some, NO_PRICES)
    pending.add({0: pane})
    assert {(group.cell.base[0], tuple(group.cell.units), group.number) for group in groups} == {
        (1, (place("u"),), -1)
    }


def test_what_a_cell_holds_is_published_under_its_own_names():
    numbers, sums = iter(range(1, 100)), CellRows()
    sums.base = [next(numbers) for _ in BASE]
    sums.errors, sums.feedback, sums.units = {"timeout": 1}, {"thumbs": 2}, [3]
    for name in HISTOGRAMS:
        setattr(sums, name, {next(numbers): 1})
    parts = {"joint": Joint, "weighted": Weighted, "covariates": Covariates}
    for name, part in parts.items():
        setattr(sums, name, [next(numbers) for _ in part.__struct_fields__])
    cell = sums.cell((1, "v", "control", "s"))
    assert (cell.generation, cell.variant_id, cell.arm, cell.segment) == (1, "v", "control", "s")
    assert [getattr(cell, name) for name in BASE] == sums.base
    for name in ("errors", "feedback", "units", *HISTOGRAMS):
        assert getattr(cell, name) == getattr(sums, name)
    for name, part in parts.items():
        assert getattr(cell, name) == part(*getattr(sums, name))


def test_sums_of_products_are_exact_however_large():
    random = Random(3)
    for bits in ((5, 5), (62, 1), (40, 40), (62, 62, 62), (30, 31, 47, 47)):
        factors = [[random.randrange(-(2**b), 2**b) for _ in range(100)] for b in bits]
        columns = [Column(np.array(f, np.int64), max(map(abs, f))) for f in factors]
        starts = np.array([0, 1, 40])
        products = [np.prod(row, dtype=object) for row in zip(*[map(int, f) for f in factors], strict=True)]
        expected = [products[0], sum(products[1:40]), sum(products[40:])]
        assert expected == totals(starts, *columns)


def test_a_tally_counts_the_same_however_often_it_is_compacted(monkeypatch):
    random = Random(4)
    codes = [random.randrange(3 * BUCKETS) for _ in range(5000)]
    expected = {cell: {} for cell in range(3)}
    for code in sorted(codes):
        into = expected[code // BUCKETS]
        into[code % BUCKETS] = into.get(code % BUCKETS, 0) + 1
    for limit in (1, 700, 10**6):
        monkeypatch.setattr("optimizer.observe.tally.COMPACTED", limit)
        tally = Tally()
        for begin in range(0, 5000, 250):
            tally.add(np.array(codes[begin : begin + 250], np.int64))
        assert expected == dict(tally.histograms())


def test_every_edge_has_its_bucket():
    values = sorted({max(0, edge + d) for edge in EDGES for d in (-1, 0, 1)})
    expected = np.minimum(np.searchsorted(np.array(EDGES), values), BUCKETS - 1)
    assert expected.tolist() == bucket_of(np.array(values, np.int64)).tolist()
