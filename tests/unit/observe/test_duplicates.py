"""A record counts once, exactly, within the last N offsets."""

from random import Random

import msgspec
import pytest

from optimizer.observe.duplicates import CHUNK, SOURCES, Duplicates
from optimizer.observe.stage import Observe


def records(call, random, n, names, sources=3):
    """n records with offsets that grow by 1 or more, named by a few names that come back."""
    offset, written = 0, []
    for _ in range(n):
        offset += random.choice((1, 1, 1, 2, 40))
        name = random.randrange(names)
        written.append(
            msgspec.structs.replace(call, offset=offset, id=f"{name}", source=f"/{name % sources}")
        )
    return written


def by_definition(written, reach):
    """The offsets of records whose name occurred at most `reach` offsets before."""
    found = set()
    for i, record in enumerate(written):
        for earlier in reversed(written[:i]):
            if record.offset - earlier.offset > reach:
                break
            if (earlier.id, earlier.source) == (record.id, record.source):
                found.add(record.offset)
                break
    return found


@pytest.mark.parametrize("sources", [1, 3, 2 * SOURCES])
@pytest.mark.parametrize(("reach", "names"), [(100, 30), (700, 900), (3000, 2000)])
def test_duplicates_are_those_of_the_definition_wherever_batches_end(log, reach, names, sources):
    random = Random(reach)
    written = records(log.call(1), random, 3000, names, sources)
    expected = by_definition(written, reach)
    assert 0 < len(expected) < 3000
    for sizes in ((1,), (1, 2, 5, 30), (500, 2000)):
        duplicates, found, rest = Duplicates(reach), set(), written
        while rest:
            size = random.choice(sizes)
            found |= duplicates.repeated(rest[:size])
            rest = rest[size:]
        assert expected == found


def test_the_last_records_alone_make_the_filter(log):
    written = records(log.call(1), Random(2), 3000, 600)
    whole = Duplicates(500)
    whole.repeated(written[:2000])
    begin = written[2000].offset - 500
    again = Duplicates(500)
    again.repeated([record for record in written[:2000] if record.offset >= begin])
    expected = whole.repeated(written[2000:])
    assert expected
    assert expected == again.repeated(written[2000:])


def test_the_filter_holds_the_last_records_and_no_more(log):
    call, duplicates, batch, reach = log.call(1), Duplicates(1000), 20, 1000
    for begin in range(0, 20_000, batch):
        duplicates.repeated(
            [
                msgspec.structs.replace(call, offset=n, id=f"{n}", source=f"/{n}")
                for n in range(begin, begin + batch)
            ]
        )
        assert len(duplicates) <= reach + CHUNK + batch
        assert len(duplicates._last) <= SOURCES + 1
    assert len(duplicates) >= reach


def test_a_duplicate_is_counted_once_and_reported(log):
    call, feedback = log.call(1), log.feedback(2, 1.0, log.assigned())
    log.again(call)
    log.again(call)
    log.again(feedback)
    log.tick(15)
    assert (sum(c.calls for c in log.cells().values()), sum(c.scored for c in log.cells().values())) == (1, 1)
    assert log.counts() == {"duplicates": 3}


def test_a_duplicate_that_comes_late_does_not_count_in_the_books(log):
    call = log.call(1)
    log.tick(15)
    log.again(call)
    log.tick(25)
    assert [pane.late for pane in log.panes()] == [None]


def test_the_same_id_from_another_source_is_another_record(log):
    log.again(msgspec.structs.replace(log.call(1), source="/elsewhere"))
    log.tick(15)
    assert [cell.calls for cell in log.cells().values()] == [2]


def test_beyond_its_reach_a_name_may_come_back_and_a_duplicate_extends_the_reach(new_log):
    log = new_log(Observe(1, dedupe_records=3))
    log.tick(0)
    log.declare()
    call = log.call(1)
    for _ in range(2):
        log.tick(0)
    log.again(call)  # 3 offsets later: a duplicate
    for _ in range(2):
        log.tick(0)
    log.again(call)  # 6 after the first, 3 after the second
    for _ in range(3):
        log.tick(0)
    log.again(call)  # 4 later: news
    log.tick(15)
    assert [cell.calls for cell in log.cells().values()] == [2]
    assert log.counts() == {"duplicates": 2}
