"""A producer for receivers: many requests at once, and each waits until the broker has its events.

`agents.wire.publisher` settles one person's events at a time; here hundreds of requests share one producer.
A thread of its own polls librdkafka and wakes the event loop once per poll, however many records
were acknowledged in it. What is not acknowledged yet is bounded: past that, callers are told to come
back (`Busy`) instead of filling the memory.

A request that fails may be sent again as it is: events keep their ids, so that what had arrived
all the same is a duplicate.
"""

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress

from confluent_kafka import KafkaError, KafkaException, Message

from agents.settings.settings import Settings
from agents.wire.catalogue import load
from agents.wire.codec import MAX_BYTES, encode, headers_for
from agents.wire.publisher import DELIVERY_S, NotDelivered, producer_of
from optimizer.model.event import Event

MAX_WAITING_KB = 262_144
"""A second bound, for large records: 256 MiB of them are as many as a small machine can hold."""
RETRY_AFTER_S = 1.0
"""A full queue is worked off in a second, if at all."""
_UNANSWERED = (
    f"the broker did not acknowledge within {DELIVERY_S:.0f} s: see that Kafka runs, then send the same again"
)
_Record = tuple[bytes, bytes | None, list[tuple[str, bytes]]]
"""Value, key, headers."""
BROKER_RETRY_S = 5.0
"""A broker that did not answer for ten seconds is asked no more often than that."""
ANSWER_S = 3.0
"""A broker that takes longer to list its topics is in trouble."""
POLL_S = 0.1
"""How long a poll waits when nothing is acknowledged; also what `close` takes at least."""


class Busy(RuntimeError):
    """Too much waits for the broker already; of a request with large events a part may be published.

    `retry_after_s` is the time, in seconds, after which to send it again.
    """

    def __init__(self, retry_after_s: float = RETRY_AFTER_S) -> None:
        super().__init__(
            f"more waits for the broker than may wait: send the same again in {retry_after_s:g} s"
        )
        self.retry_after_s = retry_after_s


class NotAcknowledged(NotDelivered):
    """The broker did not take every event in time, or refused one; the sentence says what to do.

    `retryable` says whether the same events may be taken later.
    """

    def __init__(self, sentence: str, *, retryable: bool = True) -> None:
        super().__init__(sentence)
        self.retryable = retryable


class AsyncPublisher:
    """A producer whose every record is acknowledged, for the requests of one event loop."""

    def __init__(self, settings: Settings, *, max_waiting: int | None = None) -> None:
        """Publish to the settings' broker, under their prefix.

        At most `max_waiting` records wait for an answer; None: as many as the settings say.

        Raises:
            SettingsError: no broker is named.
        """
        self.max_waiting = settings.gateway.ingest_max_pending if max_waiting is None else max_waiting
        self.waiting = 0
        """Records handed over and not answered yet."""
        self.fatal: str | None = None
        """The reason why this producer will never publish again, which only a new one changes; None: it works."""
        self._topics = load(settings.host.prefix)
        self.answered_records = 0
        self.answered_requests: list[_Request] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = threading.Event()
        self._producer = producer_of(
            settings,
            {
                "queue.buffering.max.messages": 0,  # `max_waiting` bounds them
                "queue.buffering.max.kbytes": MAX_WAITING_KB,
                # What the codec takes, with key and headers; librdkafka's default is a little less.
                "message.max.bytes": self._topics["metrics"].max_message_bytes,
                # Sooner than a record expires, so that it is told what is missing.
                "topic.metadata.propagation.max.ms": int(DELIVERY_S * 500),
                "error_cb": self._note,
            },
        )
        self._poller = threading.Thread(target=self._poll, name="publisher", daemon=True)
        self._poller.start()

    async def publish(self, topic: str, events: Sequence[Event]) -> None:
        """Publish on a topic of the catalogue, by subject; return when the broker has acknowledged all.

        A request larger than `max_waiting` passes when nothing else waits. Call it from one event loop
        only. When it is cancelled, what was handed over is published all the same.

        Raises:
            Busy: at once, when more would wait than may.
            NotAcknowledged: the broker did not take everything within ten seconds, or refused something.
            RuntimeError: it is closed.
        """
        if self._closing.is_set():
            raise RuntimeError("this publisher is closed; make another")
        if self.fatal is not None:
            raise NotAcknowledged(f"{self.fatal}: restart this process")
        if not events:
            return
        if self.waiting and self.waiting + len(events) > self.max_waiting:
            raise Busy
        # Encoded before the first is handed over: what cannot be sent leaves no half of a request behind.
        records = [(encode(event), _key(event), list(headers_for(event))) for event in events]
        for value, _, _ in records:
            if len(value) > MAX_BYTES:
                raise NotAcknowledged(
                    f"an event must have at most {MAX_BYTES:,} bytes, got {len(value):,}", retryable=False
                )
        self._loop = asyncio.get_running_loop()
        request = _Request(self, self._loop.create_future(), len(records))
        self._hand_over(self._topics.name(topic), records, request)
        await request.done  # comes for certain: librdkafka reports what has expired, within a second

    async def trouble(self) -> str | None:
        """The reason why nothing can be published now; None when the broker answers and has the topics."""
        if self.fatal is not None:
            return f"{self.fatal}: restart this process"
        try:
            listed = await asyncio.to_thread(self._producer.list_topics, timeout=ANSWER_S)
        except KafkaException as error:
            return f"the broker does not answer: {error.args[0].str()}"
        missing = [
            name for name in map(self._topics.name, ("metrics", "findings")) if name not in listed.topics
        ]
        return f"{missing[0]} is missing: make the topics with `llmopt topics create`" if missing else None

    async def close(self) -> None:
        """Wait until everything handed over is answered, eleven seconds at most, and end the thread."""
        self._closing.set()
        await asyncio.to_thread(self._poller.join)

    def _hand_over(self, name: str, records: list[_Record], request: "_Request") -> None:
        produce, answer, handed = self._producer.produce, request.answer, 0
        try:
            for value, key, headers in records:
                produce(name, value, key, on_delivery=answer, headers=headers)
                handed += 1
        except BufferError:
            raise Busy from None
        except KafkaException as error:
            raise NotAcknowledged(_sentence(error.args[0], name)) from None
        finally:
            self.waiting += handed

    def _poll(self) -> None:
        """Serve delivery reports; wake the loop once for all that one poll brought."""
        while not self._closing.is_set() or len(self._producer):
            self._producer.poll(POLL_S)
            if self.answered_records and self._loop is not None:
                records, self.answered_records = self.answered_records, 0
                requests, self.answered_requests = self.answered_requests, []
                with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                    self._loop.call_soon_threadsafe(self._settle, records, requests)

    def _settle(self, records: int, requests: list["_Request"]) -> None:
        self.waiting -= records
        for request in requests:
            request.settle()

    def _note(self, error: KafkaError) -> None:
        if error.fatal():
            self.fatal = error.str()


class _Request:
    """The records of one call of `publish`; counted down by the polling thread, settled by the loop."""

    __slots__ = ("_error", "_left", "_publisher", "_topic", "done")

    def __init__(self, publisher: AsyncPublisher, done: "asyncio.Future[None]", records: int) -> None:
        self._publisher, self.done, self._left = publisher, done, records
        self._error: KafkaError | None = None
        self._topic = ""

    def answer(self, error: KafkaError | None, message: Message) -> None:
        self._publisher.answered_records += 1
        self._left -= 1
        if error is not None and self._error is None:
            self._error, self._topic = error, message.topic()
        if not self._left:
            self._publisher.answered_requests.append(self)

    def settle(self) -> None:
        if self.done.done():  # its caller was cancelled
            return
        if self._error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(NotAcknowledged(_sentence(self._error, self._topic)))


def _key(event: Event) -> bytes | None:
    return event.subject.encode() if event.subject else None


def _sentence(error: KafkaError, topic: str) -> str:
    if error.code() == KafkaError._MSG_TIMED_OUT:  # noqa: SLF001 - the client's name for its own codes
        return _UNANSWERED
    if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):  # noqa: SLF001 - as above
        return f"{topic} is missing: make the topics with `llmopt topics create`, then send the same again"
    return f"the broker did not take it ({error.str()}): see its log, then send the same again"
