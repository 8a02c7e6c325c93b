"""The metrics of a hosted stage, read from the host's memory when somebody scrapes."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from faust.exceptions import ConsumerNotStarted
from faust.types import TP

from agents.telemetry.metrics import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents.host.host import Host
    from agents.host.partition import Partition
    from agents.telemetry.metrics import Source


def of_host(host: Host) -> Source:
    """The numbers of one hosted stage.

    They are read from another thread than the one that folds: each is right by itself, and two of
    them may be a batch apart.
    """
    stage = (host.stage.name,)

    def samples() -> Iterator[Sample]:
        parts = list(host.assigned.values())
        yield Sample("llmopt_partitions_owned", len(parts), stage)
        for became, count in list(host.counts.items()):
            yield Sample("llmopt_records_total", count, (*stage, became))
        for reason, count in list(host.outbox.left_out.items()):
            yield Sample("llmopt_left_out_total", count, (*stage, reason))
        for cause, count in list(host.outbox.aside.items()):
            yield Sample("llmopt_quarantined_total", count, (*stage, cause))
        yield Sample("llmopt_emitted_total", host.outbox.emitted, stage)
        checkpoints = host.checkpoints
        yield Sample("llmopt_checkpoints_total", checkpoints.taken, stage)
        yield Sample("llmopt_checkpoint_age_seconds", time.monotonic() - checkpoints.ended_s, stage)
        yield Sample("llmopt_checkpoint_seconds", checkpoints.lasted_s, stage)
        yield Sample("llmopt_crash_places", sum(len(part.crashes) for part in parts), stage)
        yield Sample("llmopt_rows", sum(len(part.rows) for part in parts), stage)
        sizes = [size for part in parts for size in list(part.sizes.values())]
        yield Sample("llmopt_row_bytes_max", max(sizes, default=0), stage)
        for part in parts:
            where = (*stage, str(part.number))
            yield Sample("llmopt_event_time_age_seconds", _age_s(host, part), where)
            if (lag := _lag(host, part)) is not None:
                yield Sample("llmopt_lag_records", lag, where)

    return samples


def of_instance(starts: int) -> Source:
    """The numbers of a worker as such."""
    return lambda: [Sample("llmopt_starts_total", starts)]


def _age_s(host: Host, part: Partition) -> float:
    """The lag of event time in this partition behind this machine's clock, seconds; infinite before any."""
    row = part.rows.get(str(part.number))
    event_time = None if row is None else host.stage.event_time(row.state)
    if event_time is None and part.watermark() >= 0:
        event_time = part.watermark()
    return math.inf if event_time is None else time.time() - event_time / 1000


def _lag(host: Host, part: Partition) -> int | None:
    """Records that were not folded; None where the end of the log is not known.

    Only for an assigned partition: before that, asking for the consumer would make one, on this thread.
    """
    consumer = host.consumer
    if consumer is None:
        return None
    with suppress(AssertionError, ConsumerNotStarted):  # revoked meanwhile; stopping
        end = consumer.highwater(TP(host.source, part.number))
        return None if end is None else max(0, end - part.folded - 1)
    return None
