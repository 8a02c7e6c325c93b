"""Clocks: this machine's and the ticking worker's against the broker's, and how far each topic has come.

The topic `metrics` stamps what arrives with the broker's time. So whatever is written while we look says
what time it is there, and a tick says beside it what time its writer believes it is. Nothing is
written for it; where nothing arrives, the answer is that it cannot be told.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from agents.doctor.broker import UNSETTLED, offsets
from agents.doctor.check import Check, bad, counted, good, unknown
from agents.wire.catalogue import load
from agents.wire.codec import Decoder, UnreadableRecord
from agents.wire.consumer import bystander, is_end
from optimizer.model.wording import about

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents.settings.settings import Settings

ANSWER_S = 3.0
READ_S = 2.0
"""The time for which the ends of the topics are read."""
LISTEN_S = 2.5
"""The time for which a record is waited for that arrives while we look: two ticks and a half."""
TAIL = 1_000
"""Records at the end of each partition among which the newest tick and watermark are looked for."""
OFF_S = 5.0
"""A clock further away than this spoils verdicts; what a busy machine delays stays below."""
SILENT_S = 10.0
"""Ticks come every second: after so long without one there is no clock."""
STALLED_S = 60.0
"""Beyond a pane and the watermark delay, by which a watermark is behind the ticks in any case."""


class Heard(NamedTuple):
    """An instant that an event names, and when the broker had it; milliseconds since the epoch."""

    at: int
    appended_at: int


class TopicEnds:
    """The ticks and watermarks at the ends of the topics."""

    def __init__(self) -> None:
        self.ticks: dict[int, Heard] = {}
        """Partition of `metrics` → its newest tick."""
        self.watermarks: dict[str, dict[int, int]] = {}
        """Topic → who speaks (source partition, or partition handed on) → the instant passed."""
        self.newest_at = -1
        """The broker's time on the newest record of `metrics`; -1: none."""
        self.ahead_s: float | None = None
        """By how much this machine's clock is ahead of the broker's; None where nothing arrived."""


def checks(settings: Settings) -> Iterator[Check]:
    """Both clocks, the ticks, and the watermark of each topic."""
    seen = look(settings)
    yield _this_machine(seen)
    yield from _ticks(settings, seen)
    yield from _watermarks(settings, seen)


def _this_machine(seen: TopicEnds) -> Check:
    remedy = "set the clocks by NTP, on this machine and on the brokers"
    if seen.ahead_s is not None:
        which = "ahead of" if seen.ahead_s > 0 else "behind"
        found = f"this machine is {about(seen.ahead_s)} {which} the broker"
        if abs(seen.ahead_s) > OFF_S:
            return bad("clock", found, remedy)
        return good("clock", f"{found}, delivery included")
    if (behind_s := seen.newest_at / 1000 - time.time()) > OFF_S:
        return bad("clock", f"this machine is at least {about(behind_s)} behind the broker", remedy)
    return unknown(
        "clock", f"nothing arrived on metrics for {LISTEN_S:g} s that would tell the broker's time"
    )


def _ticks(settings: Settings, seen: TopicEnds) -> Iterator[Check]:
    start = "run observe where it should run, its clock on (`llmopt run observe`)"
    if not seen.ticks:
        if seen.newest_at < 0:
            yield unknown("ticks", "nothing is on metrics yet")
        else:
            found = f"no tick among the last {counted(TAIL, 'record')} of any partition of metrics"
            yield bad("ticks", found, start)
        return
    newest = max(seen.ticks.values(), key=lambda tick: tick.appended_at)
    # Both times are the broker's own where something has arrived; what this machine believes does not matter.
    now_s = time.time() - (seen.ahead_s or 0.0)
    silent_s = now_s - newest.appended_at / 1000
    without = [str(n) for n in range(settings.host.partitions) if n not in seen.ticks]
    if silent_s > max(SILENT_S, 3 * settings.host.tick_s):
        yield bad(
            "ticks", f"the newest tick is {about(silent_s)} old: no clock ticks, time stands still", start
        )
    elif without:
        numbers = ", ".join(without)
        yield bad("ticks", f"a clock ticks, and not into partition {numbers} of metrics", "see observe's log")
    else:
        yield good("ticks", f"a clock ticks, the newest tick arrived {about(silent_s)} ago")
    off_s = (newest.at - newest.appended_at) / 1000
    if abs(off_s) > OFF_S + settings.host.tick_s:
        which = "ahead of" if off_s > 0 else "behind"
        yield bad(
            "ticks",
            f"the clock that ticks is {about(off_s)} {which} the broker's: calls at the right time are late or refused",
            "set the clock of the worker that owns partition 0 of metrics by NTP; a demo does it on purpose",
        )


def _watermarks(settings: Settings, seen: TopicEnds) -> Iterator[Check]:
    if not seen.ticks:
        yield unknown("watermarks", "no tick to compare them with")
        return
    tick_at = max(tick.at for tick in seen.ticks.values())
    allowed_s = settings.host.pane_s + settings.host.watermark_delay_s + STALLED_S
    for topic, passed in seen.watermarks.items():
        if not passed:
            yield unknown("watermarks", f"none at the end of {topic}")
            continue
        slowest = min(passed, key=lambda number: passed[number])
        behind_s = (tick_at - passed[slowest]) / 1000
        found = f"{topic} is {about(behind_s)} behind the ticks"
        missing = [str(n) for n in range(settings.host.partitions) if n not in passed]
        if behind_s > allowed_s:
            yield bad(
                "watermarks",
                f"{found}, at partition {slowest}: time stands still there",
                "see whether the stage that writes it runs, and its log; runbook: time stands still",
            )
        elif missing:
            yield bad(
                "watermarks",
                f"{found}, and no word of partition {', '.join(missing)} is among its last records",
                "wait a minute and ask again; then see whether every partition has an owner",
            )
        else:
            yield good("watermarks", found)


def look(settings: Settings) -> TopicEnds:
    """Read the ends of the topics that carry ticks and watermarks, then listen on `metrics` for a moment.

    Raises:
        KafkaException: The broker does not answer.
    """
    catalogue, seen = load(settings.host.prefix), TopicEnds()
    metrics = catalogue.name("metrics")
    carriers = [name for name, topic in catalogue.ours().items() if "watermark" in topic.types]
    seen.watermarks = {name: {} for name in carriers}
    tails = _tails(settings, [metrics, *carriers])
    if tails:
        with bystander(settings, "doctor") as consumer:
            consumer.assign(tails)
            _read(consumer, seen, tails, metrics)
    return seen


def _tails(settings: Settings, names: list[str]) -> list[TopicPartition]:
    """The places where the last records of each partition begin."""
    admin = AdminClient(settings.kafka.librdkafka() | {"log_level": 0})
    listed = admin.list_topics(timeout=ANSWER_S).topics
    places = [
        TopicPartition(name, number) for name in names if name in listed for number in listed[name].partitions
    ]
    if not places:
        return []
    latest = offsets(admin, places, OffsetSpec.latest())
    first = offsets(admin, places, OffsetSpec.earliest())
    return [TopicPartition(*place, max(first[place], end - TAIL)) for place, end in latest.items()]


def _read(consumer: Consumer, seen: TopicEnds, tails: list[TopicPartition], metrics: str) -> None:
    """Read up to the ends; then until something arrives on `metrics`, which says the broker's time."""
    decoders = {metrics: Decoder(("tick",))}
    left = {(tp.topic, tp.partition) for tp in tails}
    deadline_s = time.monotonic() + READ_S
    is_listening = False
    while time.monotonic() < deadline_s and seen.ahead_s is None:
        for message in consumer.consume(500, 0.1):
            place = (message.topic(), message.partition())
            if (error := message.error()) is not None:
                if is_end(error):
                    left.discard(place)
                elif error.code() not in UNSETTLED:
                    raise KafkaException(error)
                continue
            _note(seen, message, decoders.get(place[0]) or Decoder(("watermark",)), metrics)
            kind, appended_at = message.timestamp()
            if place[0] == metrics and place not in left and kind == TIMESTAMP_LOG_APPEND_TIME:
                seen.ahead_s = time.time() - appended_at / 1000
        if not left and not is_listening:
            is_listening, deadline_s = True, time.monotonic() + LISTEN_S


def _note(seen: TopicEnds, message: Any, decoder: Decoder, metrics: str) -> None:
    """Remember a tick or a watermark; everything else is passed over without being decoded."""
    topic, number = message.topic(), message.partition()
    _, appended_at = message.timestamp()
    if topic == metrics:
        seen.newest_at = max(seen.newest_at, appended_at)
    name = b"llmopt.tick.v1" if topic == metrics else b"llmopt.watermark.v1"
    headers = message.headers() or ()
    if name not in (message.value() or b"") and not any(name == text for _, text in headers):
        return
    try:
        event: Any = decoder.decode(message.value(), headers)
    except UnreadableRecord:
        return  # it only quotes the name
    if topic == metrics:
        heard = Heard(round(event.time.timestamp() * 1000), appended_at)
        seen.ticks[number] = max(heard, seen.ticks.get(number, heard), key=lambda tick: tick.appended_at)
        return
    passed = seen.watermarks[topic]
    speaker = event.data.partition if event.data.of > 1 else number
    passed[speaker] = max(event.data.passed_at, passed.get(speaker, event.data.passed_at))
