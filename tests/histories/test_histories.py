"""Recorded input logs, folded again: what the loop makes of them is what was accepted, byte for byte.

A history is `NAME.jsonl.gz`: one line a record, its bytes in base64 with the partition of `metrics` that it
lay on (null: all of them), or with the target that it declares or commands. `NAME.golden.json` holds what
the loop published: the decisions word for word, and of every topic the number of records and their hash.
`make accept` writes the golden file anew, never a recording; read the difference before committing.
"""

import base64
import gzip
import json
import os
from hashlib import sha256
from pathlib import Path

import pytest

from agents.wire.catalogue import load
from agents.wire.codec import Decoder, encode
from optimizer.act.stage import Act
from optimizer.decide.stage import Decide
from optimizer.loop import TOPICS, Loop
from optimizer.model.decision import Decision
from optimizer.observe.stage import Observe
from optimizer.orient.stage import Orient
from tests.support import recording

HERE = Path(__file__).parent
CLOSED_LOOP = HERE / "closed_loop.jsonl.gz"
ACCEPT = "ACCEPT" in os.environ
MINUTES, RATE = 3, 10
BYTES = 300_000
"""So large a recording may be: it lies in the repository."""


def recorded():
    """The lines of a recording of the chaos runs' world, small: three minutes in which something is decided."""
    made = recording.record(minutes=MINUTES, rate=RATE)
    for subject, value in (*made.declarations, *made.commands):
        yield {"target": subject, "value": base64.b64encode(value).decode()}
    for second in made.seconds:
        for number, value in second:
            yield {"partition": number, "value": base64.b64encode(value).decode()}


if ACCEPT and not CLOSED_LOOP.exists():
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in recorded())
    CLOSED_LOOP.write_bytes(gzip.compress(text.encode(), mtime=0))

HISTORIES = sorted(HERE.glob("*.jsonl.gz"))


def lines_of(path):
    for line in gzip.decompress(path.read_bytes()).splitlines():
        told = json.loads(line)
        yield told, base64.b64decode(told["value"])


def folded(path):
    """The loop after the whole log, and the records that it could not read, with why."""
    loop = Loop(
        [Observe(recording.P, dedupe_records=recording.DEDUPE_RECORDS), Orient(), Decide(), Act()],
        recording.P,
    )
    catalogue, unreadable = load("llmopt"), []
    decoder = Decoder({*catalogue.types_on("metrics"), *catalogue.types_on("findings")})
    for number, (told, value) in enumerate(lines_of(path)):
        events, refused = decoder.decode_batch([value], [None], [-1])
        unreadable += [f"line {number}: {why.reason}" for _offset, why in refused]
        loop.feed(events, partition=told.get("partition"))
    return loop, unreadable


def published(topic):
    """The bytes of a topic, partition by partition, in order of offset."""
    return [b"%d %d %s\n" % (number, e.offset, encode(e)) for number, log in enumerate(topic) for e in log]


def summary(loop, unreadable):
    """What is compared: every byte by its hash, decisions and refusals in full."""
    topics = {}
    for name in TOPICS:
        records = published(loop.topics[name])
        topics[name] = {"records": len(records), "sha256": sha256(b"".join(records)).hexdigest()}
    decisions = [e for log in loop.topics["decisions"] for e in log if isinstance(e.data, Decision)]
    return {
        "topics": topics,
        "decisions": [json.loads(encode(event)) for event in decisions if event.data.kind != "declare"],
        "rejected": [f"{topic}/{number}@{one.offset}: {one.reason}" for topic, number, one in loop.quarantined],
        "unreadable": unreadable,
    }  # fmt: skip


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.name.removesuffix(".jsonl.gz"))
class TestHistory:
    def test_folding_it_again_gives_the_accepted_bytes(self, path):
        golden = path.with_name(path.name.replace(".jsonl.gz", ".golden.json"))
        found = summary(*folded(path))
        if ACCEPT:
            golden.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        accepted = json.loads(golden.read_text())
        for part, expected in accepted.items():
            assert expected == found[part], f"{part}: read the difference; if it is right, `make accept`"
        assert accepted == found

    def test_folding_it_twice_in_one_process_gives_the_same(self, path):
        assert summary(*folded(path)) == summary(*folded(path))

    def test_it_is_small(self, path):
        assert path.stat().st_size <= BYTES


def test_the_closed_loop_decides_something():
    loop, unreadable = folded(CLOSED_LOOP)
    kinds = {e.data.kind for log in loop.topics["decisions"] for e in log if isinstance(e.data, Decision)}
    assert {"declare", "start", "rollback"} <= kinds
    assert unreadable
