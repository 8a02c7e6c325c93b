"""Reads the topics of others as a consumer group, and puts what they say onto ours.

At least once: the group's offsets are committed after the broker has acknowledged everything that was
made of the records. Ending in between makes the same events again, with the same ids: observe drops the
calls and feedback among them as duplicates, within its `dedupe_records`. Records that cannot be read go
to quarantine, whole; what is dropped of the others is counted. Topics that are not there yet are waited
for.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, get_args

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from agents.connectors import sentinel
from agents.settings.group import SettingsError
from agents.settings.settings import Settings
from agents.wire.catalogue import load
from agents.wire.codec import UnreadableRecord
from agents.wire.consumer import member
from agents.wire.otlp.decoding import Signal, Undecodable, read
from agents.wire.otlp.sealed import opened
from agents.wire.publisher import Publisher
from agents.wire.quarantined import record as quarantined
from optimizer.model.event import AlertEvent, name_of
from optimizer.otlp.normalise import Normaliser

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable

    from agents.wire.codec import Headers

RECORDS = 200
"""Taken at once: a collector's record holds hundreds of spans."""
POLL_S = 0.5
"""How long to wait for records: also how soon a stop is noticed."""
UNSETTLED = 10_000
"""Events given to the producer and not acknowledged: a tenth of what its queue takes."""
PREFETCH_KB = 32_768
REFRESH_MS = 10_000
"""How soon a topic that was missing is noticed."""
_MISSING = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})  # noqa: SLF001 - the client's name
_FORBIDDEN = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED})
_MOVED = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError._NO_OFFSET, KafkaError._STATE,  # noqa: SLF001 - the client's names
    }
)  # fmt: skip
"""A commit that comes too late: whoever has the partition now reads the records again."""

log = logging.getLogger("llmopt.bridge")


class Bridge:
    """The one consumer group `<prefix>-ingest`; as many processes run it as the topics have partitions."""

    def __init__(self, settings: Settings) -> None:
        """Read the topics that the settings name.

        Raises:
            SettingsError: no broker is named, or two of the topics have one name.
        """
        self._settings = settings
        self.topics = (
            settings.gateway.otlp_spans_topic,
            settings.gateway.otlp_metrics_topic,
            settings.gateway.otlp_logs_topic,
            settings.gateway.sentinel_anomalies_topic,
            settings.gateway.sentinel_drift_topic,
            settings.gateway.sentinel_alerts_topic,
        )
        self._signals: dict[str, Signal] = dict(zip(self.topics, get_args(Signal), strict=False))
        self._catalogue = load(settings.host.prefix)
        self._check_names()
        self._normaliser = Normaliser(opened=opened)
        self._counts: Counter[str] = Counter()
        self._missing: set[str] = set()
        self._unsettled = 0

    def counters(self) -> dict[str, int]:
        """The counts of records read, made, dropped (with the reason) and quarantined since this process began."""
        return dict(self._counts)

    def run(self, stop: threading.Event) -> None:
        """Carry records across until `stop` is set; everything that was committed is on our topics.

        May be called again after it has raised: it begins anew where it last committed.

        Raises:
            NotDelivered: the broker did not take what was made of records.
            KafkaException: the broker did not answer, or refuses us.
        """
        publisher = Publisher(self._settings, most_bytes=self._catalogue["quarantine"].max_message_bytes)
        consumer = member(
            self._settings,
            "ingest",
            {
                "queued.max.messages.kbytes": PREFETCH_KB,
                "topic.metadata.refresh.interval.ms": REFRESH_MS,
                "log_level": 0,  # what matters is raised or said here
            },
        )
        consumer.subscribe(list(self.topics))
        self._unsettled = 0
        try:
            while not stop.is_set():
                messages = self._readable(consumer.consume(RECORDS, POLL_S))
                for message in messages:
                    self._carry(message, publisher)
                if messages:
                    self._settle(publisher)
                    _commit(consumer, messages)
        finally:
            consumer.close()

    def _check_names(self) -> None:
        ours = self._catalogue.ours()
        for name, times in Counter(self.topics).items():
            if times > 1 or name in ours:
                raise SettingsError(
                    f"the topic {name!r} is named for two purposes",
                    "give each of otlp_*_topic and sentinel_*_topic a name of its own",
                )

    def _readable(self, messages: Iterable[Any]) -> list[Any]:
        """The records among what was polled; says once which topic is not there."""
        records = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(message)
            elif error.code() in _MISSING:
                if message.topic() not in self._missing:
                    self._missing.add(message.topic())
                    log.info("%s is not there: waiting for it", message.topic())
            elif error.fatal() or error.code() in _FORBIDDEN:
                raise KafkaException(error)
            else:
                log.warning("the broker has trouble: %s", error.str())
        return records

    def _carry(self, message: Any, publisher: Publisher) -> None:
        self._counts[f"records of {message.topic()}"] += 1
        try:
            events = self._read(message)
        except UnreadableRecord as why:
            self._put_aside(message, why.reason, why.field, publisher)
            return
        except Undecodable as why:
            reason = str(why)
            self._put_aside(message, reason, reason.partition(":")[0], publisher)
            return
        except Exception as error:  # one record that meets a mistake of ours must not hold up the others
            log.exception("%s could not be read, and goes to quarantine", _origin(message))
            self._put_aside(message, f"value: reading it failed: {error!r}", "value", publisher)
            return
        for event in events:
            publisher.put("findings" if isinstance(event, AlertEvent) else "metrics", event)
            self._counts[name_of(type(event))] += 1
        self._sent(len(events), publisher)

    def _read(self, message: Any) -> list[Any]:
        """The events in one record.

        Raises:
            Undecodable: it is not OTLP of its signal.
            Unreadable: it is no alarm of Sentinel's.
        """
        value, signal = message.value(), self._signals.get(message.topic())
        if signal is None:
            return list(
                sentinel.alerts(
                    value, _headers(message), origin=_origin(message), at_ms=message.timestamp()[1]
                )
            )
        body = value or b""
        # A request begins with its first field, 0x0a, which is also a line break: none is stripped.
        request = read(signal, body, json=body.lstrip(b" \t\r")[:1] == b"{")
        if body and not request.ListFields():
            raise Undecodable(f"body: OTLP {signal}, got {len(body):,} bytes without any")
        out = getattr(self._normaliser, signal)(request)
        self._counts.update({f"dropped, {why}": n for why, n in out.dropped.items()})
        self._counts.update({f"unread, {field}": n for field, n in out.unread.items()})
        return list(out.events)

    def _put_aside(self, message: Any, reason: str, field: str, publisher: Publisher) -> None:
        key, value, headers = quarantined(
            topic=message.topic(),
            partition=message.partition(),
            offset=message.offset(),
            timestamp=message.timestamp()[1],
            key=message.key(),
            value=message.value(),
            headers=_headers(message),
            reason=reason,
            field=field,
        )
        publisher.send(self._catalogue.name("quarantine"), value, key, headers=headers)
        self._counts["quarantined"] += 1
        self._sent(1, publisher)

    def _sent(self, number: int, publisher: Publisher) -> None:
        self._unsettled += number
        if self._unsettled >= UNSETTLED:
            self._settle(publisher)

    def _settle(self, publisher: Publisher) -> None:
        publisher.settle()
        self._unsettled = 0


def _origin(message: Any) -> str:
    """The place of a record; the timestamp tells a topic from its namesake made later."""
    return f"{message.topic()}/{message.partition()}/{message.offset()}@{message.timestamp()[1]}"


def _headers(message: Any) -> Headers:
    try:
        found: Headers = message.headers()
    except UnicodeDecodeError:  # a name that is not UTF-8: the client gives none of them
        return None
    return found


def _commit(consumer: Any, messages: Iterable[Any]) -> None:
    """Commit what comes after the last of these records, partition by partition."""
    after = {(m.topic(), m.partition()): m.offset() + 1 for m in messages}
    offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in after.items()]
    try:
        consumer.commit(offsets=offsets, asynchronous=False)
    except KafkaException as error:
        if error.args[0].code() not in _MOVED:
            raise
        log.info("partitions moved before their offsets were committed: %s", error.args[0].str())
