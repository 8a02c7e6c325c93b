"""A target's newest configuration, held in memory and used for assignments."""

import os
import socket
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any, Self
from uuid import uuid4

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from llm_auto_optimizer_client import events
from llm_auto_optimizer_client.assignment import Assigned, Router, bucket, hashed, read_token
from llm_auto_optimizer_client.configuration import Arm, Configuration, read
from llm_auto_optimizer_client.sending import Counts, Sender, Stats, log

RETRY_S = 0.5
"""Between two looks for a broker or a topic that is not there yet."""

ANSWER_S = 1.0
"""How long one look takes at most."""

POLL_S = 0.1
"""How long `close` may wait for the thread that reads."""

CONSUMER: dict[str, Any] = {
    "enable.auto.commit": False,  # every follower reads everything: there is no group
    "auto.offset.reset": "earliest",
    "fetch.wait.max.ms": 100,
}


def now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


class Follower:
    """Follows one target; safe to share between threads, made once per process.

    `default` is the model that serves while no configuration is known. `clock` says when
    something happened where the event itself does not. Further settings go to the Kafka client.

    Raises:
        KafkaException: a setting of the Kafka client is unknown or wrong. Only here: a broker that is not
            there is waited for in the background.
    """

    def __init__(
        self,
        target: str,
        bootstrap: str,
        *,
        prefix: str = "llmopt",
        instance: str | None = None,
        default: str = "",
        clock: Callable[[], datetime] = now,
        **kafka: Any,
    ) -> None:
        self.target, self.default = target, default
        self.instance = instance or f"{socket.gethostname()}-{os.getpid()}"
        self._clock = clock
        self._source = f"/llmopt-client/{self.instance}"
        self._run, self._numbers = uuid4().hex[:12], count(1)
        self._counts = Counts()
        self._router: Router | None = None
        self._newest = 0
        self._known, self._closing = threading.Event(), threading.Event()
        settings = {"bootstrap.servers": bootstrap, "client.id": self.instance, **kafka}
        self._sender = Sender(f"{prefix}.metrics", settings, self._counts)
        self._topic = f"{prefix}.configurations"
        self._consumer = Consumer(
            {
                **CONSUMER,
                **settings,
                "group.id": f"llmopt-client-{self._run}",
                "error_cb": self._troubled,
            },
            logger=log,
        )
        self._thread = threading.Thread(target=self._follow, name=f"llmopt-{target}", daemon=True)
        self._thread.start()

    # What a request needs.

    def assign(
        self, unit: str, segment: str | None = None, *, attributes: Mapping[str, str] | None = None
    ) -> Assigned:
        """The variant that serves this unit: the same for the same unit until the configuration moves it.

        The segment is the one given, or what `attributes` say under the target's attribute, or `other`.
        """
        router, call_id = self._router, f"{self._run}-{next(self._numbers)}"
        if router is None:
            return Assigned(target=self.target, model=self.default, call_id=call_id)
        held = router.configuration
        if segment is None and attributes is not None and held.segmented_by is not None:
            segment = attributes.get(held.segmented_by)
        served = router.segment_of(segment)
        arm = router.arm_of(served, bucket(held.salt, served, unit))
        if arm is None:
            return Assigned(target=self.target, model=self.default, call_id=call_id, segment=served)
        propensity, name = router.propensity(served, arm), hashed(self.target, unit)

        def assigned(arm: Arm, call_id: str, mirror: Assigned | None = None) -> Assigned:
            return Assigned(
                target=self.target,
                model=arm.model,
                call_id=call_id,
                provider=arm.provider,
                parameters=arm.parameters,
                variant_id=arm.variant_id,
                arm=arm.arm,
                segment=served,
                generation=held.generation,
                propensity=propensity,
                unit_id=name,
                prompt=arm.prompt,
                caching=arm.caching,
                batching=arm.batching,
                rate_limit=arm.rate_limit,
                cascade=arm.cascade,
                mirror=mirror,
            )

        shadow = router.mirrored_to(served, arm)
        return assigned(arm, call_id, assigned(shadow, f"{call_id}-shadow") if shadow else None)

    def report(
        self,
        assigned: Assigned,
        *,
        latency_ms: float,
        at: datetime | None = None,
        quality: float | None = None,
        quality_source: str = "judge",
        **measured: Any,
    ) -> bool:
        """Publish how a call went; whether it was taken into the queue.

        `latency_ms` in milliseconds, `at` the instant at which the call ended, `quality` from 0 to 1.
        `measured`: any of input_tokens, output_tokens, cached_input_tokens, reasoning_tokens,
        first_token_ms, cost_usd, error_type, covariate, attributes, provider.
        """

        def record() -> bytes:
            call = events.Call(
                call_id=assigned.call_id,
                latency_ms=latency_ms,
                model=assigned.model,
                assignment=events.assignment_of(assigned),
                quality=None if quality is None else events.Quality(quality, quality_source),
                **{"provider": assigned.provider or None, **measured},
            )
            return self._event(call, at)

        return self._sender.send(assigned.unit_id or assigned.call_id, record, events.HEADERS)

    def feedback(
        self, token: str, score: float, kind: events.FeedbackKind = "thumbs", *, at: datetime | None = None
    ) -> bool:
        """Publish later news of a call, from 0 to 1; whether it was taken into the queue."""

        def record() -> bytes:
            call = read_token(token)
            news = events.Feedback(
                call_id=call.call_id, kind=kind, score=score, assignment=events.assignment_of(call)
            )
            return self._event(news, at)

        return self._sender.send(self.target, record, events.HEADERS)

    # What the operator of a caller needs.

    @property
    def configuration(self) -> Configuration | None:
        """The configuration in use; None while none is known."""
        router = self._router
        return router.configuration if router else None

    def ready(self) -> bool:
        """True if a configuration is known."""
        return self._router is not None

    def wait_ready(self, timeout: float | None = None) -> bool:
        """Wait until a configuration is known, at most `timeout` seconds; whether it is."""
        return self._known.wait(timeout)

    @property
    def stats(self) -> Stats:
        """The counts of what was sent, dropped and read so far."""
        return self._counts.stats(waiting=self._sender.waiting(), generation=self._newest)

    def close(self, timeout: float = 10.0) -> int:
        """Stop following and send what waits, within `timeout` seconds; how many records remain unsent.

        Once closed, a follower stays closed; closing it again does nothing.
        """
        if self._closing.is_set():
            return self._sender.waiting()
        self._closing.set()
        self._thread.join(timeout)
        return self._sender.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The thread that reads.

    def _follow(self) -> None:
        try:
            while not self._closing.is_set() and not self._take_partitions():
                self._sender.poll()
                self._closing.wait(RETRY_S)
            while not self._closing.is_set():
                message = self._consumer.poll(POLL_S)
                self._sender.poll()
                if message is not None:
                    self._take(message)
        finally:
            self._consumer.close()

    def _take_partitions(self) -> bool:
        """Read every partition from its beginning; False while broker or topic cannot be seen."""
        try:
            found = self._consumer.list_topics(self._topic, timeout=ANSWER_S).topics[self._topic]
        except KafkaException as error:
            self._counts.last_error = str(error)
            return False
        if found.error is not None or not found.partitions:
            self._counts.last_error = f"topic {self._topic} is not there yet"
            return False
        self._consumer.assign([TopicPartition(self._topic, p, OFFSET_BEGINNING) for p in found.partitions])
        return True

    def _take(self, message: Message) -> None:
        if message.error() is not None:
            self._counts.last_error = str(message.error())
            return
        if message.key() != self.target.encode():
            return
        value = message.value()
        if value is None:  # a tombstone: the target was withdrawn
            self._router = None
            self._known.clear()
            return
        try:
            configuration = read(value, message.headers())
        except msgspec.MsgspecError as error:
            self._counts.add("refused", error)
            return
        if configuration is not None and configuration.target == self.target:
            self._use(configuration)

    def _use(self, configuration: Configuration) -> None:
        """Take a configuration into use and say so, unless a newer one is held."""
        if configuration.generation <= self._newest:
            self._counts.add("refused", f"generation {configuration.generation} after {self._newest}")
            return
        self._router, self._newest = Router(configuration), configuration.generation
        self._known.set()
        self._counts.add("configurations")
        applied = events.Applied(configuration.generation, self.instance)
        self._sender.send(self.target, lambda: self._event(applied, None), events.HEADERS)

    def _event(self, data: events.Call | events.Feedback | events.Applied, at: datetime | None) -> bytes:
        return events.encode(
            data,
            subject=self.target,
            source=self._source,
            id_=f"{self._run}-e{next(self._numbers)}",
            at=at or self._clock(),
        )

    def _troubled(self, error: object) -> None:
        self._counts.last_error = str(error)
