"""python -m tests.bench.pieces [CALLS]: where observe's time goes, in one process and without a broker.

The calls of the drain in record batches of Kafka's, as a broker would hand them over: read (checksum and
records), decoded, folded, let go. Processor time in µs per call; the least of five turns, as whatever else
the machine does only adds to it.
"""

import sys
import time
from datetime import timedelta
from random import Random
from types import SimpleNamespace

from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from agents.host.batches import Fetched, Unread
from agents.host.garbage import collect_seldom
from agents.stages.observe import AT_ONCE
from agents.wire.codec import Decoder, encode
from optimizer.observe.stage import Observe
from tests.bench import load

TURNS = 5
RECORDS, TAKEN = 1000, 2000
"""Of a record batch, as the drain's producer makes them; and of a fetch, as the settings have it."""
PIECES = ("read", "decode", "fold", "let go")


def written(calls):
    """The values of one partition's log."""
    dice, rate = Random(3), load.RATE // load.PARTITIONS
    cut = [shape for shape in load.shapes(dice) if shape.partition == 0]
    values = [encode(event) for event in (*load.declarations(), load.tick(load.EPOCH))]
    for i in range(calls):
        late = dice.randrange(load.OUT_OF_ORDER_US)
        at = load.EPOCH + timedelta(microseconds=i * 1_000_000 // rate - late)
        values.append(load.stamped(cut[i % len(cut)], i, at))
        if i % rate == rate - 1:
            values.append(encode(load.tick(load.EPOCH + timedelta(seconds=(i + 1) // rate))))
    return values


def fetched(values):
    """A fetch for each record batch."""
    for begin in range(0, len(values), RECORDS):
        some = values[begin : begin + RECORDS]
        batch = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, sum(map(len, some)) * 2)
        for number, value in enumerate(some):
            batch.append(number, 0, None, value, load.HEADERS)
        held = bytearray(batch.build())
        held[:8] = begin.to_bytes(8, "big")
        yield SimpleNamespace(
            _records=Fetched(bytes(held)), _check_crcs=True, _isolation_level=READ_COMMITTED, _tp=None,
            next_fetch_offset=begin, _aborted_producers=set(), _consume_aborted_up_to=lambda _offset: None,
        )  # fmt: skip


def turn(values):
    """Seconds that each piece took."""
    stage, spent, now = Observe(load.PARTITIONS), dict.fromkeys(PIECES, 0.0), time.process_time
    state, decoder = stage.initial("0"), Decoder(("call", "tick", "target.declared"))
    for fetch in fetched(values):
        began = now()
        batch = Unread(fetch).take(TAKEN)
        headers, offsets = batch.headers, batch.offsets
        spent["read"] += now() - began
        for begin in range(0, len(batch), AT_ONCE):
            some = slice(begin, begin + AT_ONCE)
            times = [now()]
            events, unreadable = decoder.decode_batch(batch[some], headers[some], offsets[some])
            times.append(now())
            step = stage.fold(state, events)
            times.append(now())
            assert not unreadable
            assert not step.rejected
            del events, step
            times.append(now())
            for piece, a, b in zip(PIECES[1:], times, times[1:], strict=False):
                spent[piece] += b - a
        began = now()
        del batch, headers, offsets
        spent["let go"] += now() - began
    return spent


def main(calls):
    values = written(calls)
    collect_seldom()
    least = min((turn(values) for _ in range(TURNS)), key=lambda spent: sum(spent.values()))
    for piece, seconds in (*least.items(), ("together", sum(least.values()))):
        print(f"{piece:9}{seconds / calls * 1e6:6.2f} µs per call")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
