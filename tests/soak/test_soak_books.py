"""The soak's own arithmetic, against observe in memory, and that it would notice what it is there to notice."""

import json
from collections import defaultdict
from copy import deepcopy
from types import SimpleNamespace

import pytest

from agents.wire import catalogue
from agents.wire.codec import STRUCTURED, Decoder, encode
from optimizer import stage as contract
from optimizer.observe.stage import Observe
from tests.soak import published
from tests.soak.books import SUMS, Books
from tests.soak.traffic import NAMES, Traffic
from tests.support.records import Record

P, RATE, SECONDS, BEGAN = 3, 300, 60, 1_800_000_000
STEPS = 20


@pytest.fixture(scope="module")
def run():
    """A minute of traffic without a broker: its books, and observe's panes as records of `aggregates`."""
    logs, books = defaultdict(list), Books(NAMES)

    def put(topic, number, value, _key=None):
        if topic == "metrics":
            logs[number].append(value)

    traffic = Traffic(put, books, seed=3, rate=RATE, partitions=P)
    traffic.start(BEGAN)
    for step in range(1, SECONDS * STEPS):
        traffic.until(BEGAN + step / STEPS)
    traffic.finish()
    return SimpleNamespace(traffic=traffic, books=books, records=list(observed(logs)))


def observed(logs):
    stage, decoder = Observe(P), Decoder(catalogue.load("soak").types_on("metrics"))
    for number, values in sorted(logs.items()):
        events, _ = decoder.decode_batch(values, [STRUCTURED] * len(values), range(len(values)))
        for n, emit in enumerate(stage.fold(stage.initial(str(number)), events).emitted):
            event = contract.published(emit, f"/llmopt/observe/{number}", n)
            yield Record(0, n, None, encode(event), (), emit.at)


def faults(run, records=None, books=None):
    return published.differences(published.gather(records or run.records, 0), books or run.books)


def test_the_books_hold_what_observe_publishes(run):
    assert faults(run) == []


def test_the_traffic_has_everything_that_a_bad_day_has(run):
    assert run.traffic.sent == pytest.approx(RATE * SECONDS, rel=0.01)
    assert run.traffic.poison
    assert sum(run.books.repeated.values()) > 100
    assert sum(late[0] for late in run.books.late.values()) > 50
    assert {place.target for place in run.books.cells} == {*NAMES, "undeclared"}


@pytest.mark.parametrize("name", SUMS)
def test_a_sum_that_is_off_by_one_is_noticed(run, name):
    books = deepcopy(run.books)
    place = next(iter(books.cells))
    sums, _ = next(iter(books.cells[place].values()))
    sums[SUMS.index(name)] += 1
    assert len(faults(run, books=books)) == 2


def test_a_latency_in_the_next_bucket_is_noticed(run):
    books = deepcopy(run.books)
    _, latency = next(iter(next(iter(books.cells.values())).values()))
    bucket = next(iter(latency))
    latency[bucket] -= 1
    latency[bucket + 1] += 1
    assert len(faults(run, books=books)) == 2


def test_a_late_call_that_is_missing_is_noticed(run):
    books = deepcopy(run.books)
    next(iter(books.late.values()))[0] += 1
    assert len(faults(run, books=books)) == 2


def test_a_pane_that_is_missing_is_noticed(run):
    gone = next(one for one in run.records if name_of(one) == "llmopt.pane.v1")
    kept = [one for one in run.records if one != gone]
    assert any("1 missing, 0 too many" in said for said in faults(run, kept))


def name_of(record):
    return json.loads(record.value)["type"]


def test_a_pane_under_a_second_id_is_noticed(run):
    pane = next(one for one in run.records if name_of(one) == "llmopt.pane.v1")
    again = pane._replace(value=pane.value.replace(json.loads(pane.value)["id"].encode(), b"another"))
    assert any("1 of" in said for said in faults(run, [*run.records, again]))


def test_a_repeat_with_other_bytes_is_noticed(run):
    again = run.records[0]._replace(value=run.records[0].value + b" ")
    assert any("different bytes" in said for said in faults(run, [*run.records, again]))


def test_a_repeat_with_the_same_bytes_is_only_counted(run):
    again = [*run.records, run.records[0]]
    assert faults(run, again) == []
    assert published.gather(again, 0).repeated == 1


def test_a_duplicate_that_was_counted_twice_is_noticed(run):
    books = deepcopy(run.books)
    books.repeated[0] += 1
    assert any("duplicates" in said for said in faults(run, books=books))
