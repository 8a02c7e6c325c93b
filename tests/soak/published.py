"""What observe has published, read from its topic as plain JSON, and how it differs from the books."""

import json
from collections import Counter
from statistics import quantiles
from typing import NamedTuple

from agents.wire.quarantined import ID
from tests.soak.books import LATE, SUMS, WATERMARK_DELAY_MS, Place
from tests.support import records

EXAMPLES = 3


class Published(NamedTuple):
    """The panes and watermarks of a run; what was published twice is here once."""

    panes: dict
    """Place → (cells as in the books, late as in the books)."""
    counts: Counter
    """(Source partition, reason) → records that observe left out."""
    lags_ms: list
    """Of every watermark: how long after the instant it could have been published it was."""
    repeated: int
    wrong: list


def gather(aggregates, until_ms):
    """What the records of `aggregates` say; `until_ms`: watermarks beyond have no honest instant."""
    seen, panes, counts, lags, repeated, wrong = {}, {}, Counter(), [], 0, []
    for record in aggregates:
        event = json.loads(record.value)
        kind = event["type"].removeprefix("llmopt.").removesuffix(".v1")
        if kind not in ("pane", "watermark"):
            continue
        name, text = (event["id"], record.partition), hash(record.value)
        if name in seen:
            repeated += 1
            if seen[name] != text:
                wrong.append(f"{event['id']} was published twice with different bytes")
            continue
        seen[name] = text
        data = event["data"]
        if kind == "pane":
            _add(panes, Place(event["subject"], data["start_at"], data["partition"]), data)
        elif record.partition == 0:
            for reason, n in data.get("counts", {}).items():
                counts[data["partition"], reason] += n
            if data["passed_at"] + WATERMARK_DELAY_MS <= until_ms:
                lags.append(record.timestamp_ms - data["passed_at"] - WATERMARK_DELAY_MS)
    return Published(panes, counts, lags, repeated, wrong)


def _add(panes, place, data):
    """Several panes of one place merge, as they do in orient: what is published under two ids counts twice."""
    cells, late = panes.setdefault(place, ({}, [0] * len(LATE)))
    for i, name in enumerate(LATE):
        late[i] += (data.get("late") or {}).get(name, 0)
    for cell in data.get("cells", []):
        key = cell["generation"], cell["variant_id"], cell["arm"], cell["segment"]
        sums, latency = cells.setdefault(key, ([0] * len(SUMS), Counter()))
        told = cell | {"errors": sum(cell.get("errors", {}).values())}
        for i, name in enumerate(SUMS):
            sums[i] += told.get(name, 0)
        for bucket, n in cell.get("latency_us", {}).items():
            latency[int(bucket)] += n


def differences(found, books):
    """Sentences; none when every sum of every pane is what it must be."""
    said = list(found.wrong)
    expected = {
        place: (books.cells.get(place, {}), books.late.get(place, [0] * len(LATE)))
        for place in books.cells.keys() | books.late.keys()
    }
    missing, added = expected.keys() - found.panes.keys(), found.panes.keys() - expected.keys()
    if missing or added:
        example = min(missing or added)
        said.append(f"panes: {len(missing)} missing, {len(added)} too many, such as {example}")
    wrong = [
        place
        for place in sorted(expected.keys() & found.panes.keys())
        if expected[place] != found.panes[place]
    ]
    said += [
        f"{place}: {_first_difference(found.panes[place], expected[place])}" for place in wrong[:EXAMPLES]
    ]
    if wrong:
        said.append(f"panes: {len(wrong)} of {len(expected)} differ")
    duplicates = {number: n for (number, reason), n in found.counts.items() if reason == "duplicates"}
    if duplicates != dict(books.repeated):
        said.append(f"duplicates left out: {duplicates}, sent: {dict(books.repeated)}")
    return said


def _first_difference(found, expected):
    (cells, late), (wanted, wanted_late) = found, expected
    if late != wanted_late:
        return f"late {late}, must be {wanted_late}"
    for key in sorted(cells.keys() | wanted.keys()):
        if cells.get(key) != wanted.get(key):
            return f"cell {key} holds {cells.get(key)}, must hold {wanted.get(key)}"
    return "nothing"


def poison_faults(cluster, sent):
    """What quarantine has too much or too little, record by record."""
    kept = {}
    for record in records.read(cluster.bootstrap, cluster.topic("quarantine")):
        kept[dict(record.headers)[ID]] = record.value
    found, wanted = Counter(kept.values()), Counter(sent)
    return (
        []
        if found == wanted
        else [f"quarantine: {(wanted - found).total()} missing, {(found - wanted).total()} too many"]
    )


def percentiles(values):
    """Median, 99th percentile and maximum; None of nothing."""
    if len(values) < 2:
        return None
    cut = quantiles(values, n=100, method="inclusive")
    return {"p50": cut[49], "p99": cut[98], "max": max(values), "n": len(values)}
