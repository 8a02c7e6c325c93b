"""The broker: whether it answers, has the topics, lets us read and write, and whether the stages follow."""

from __future__ import annotations

import time
from concurrent.futures import wait
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import (
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AclOperation, AdminClient, OffsetSpec

from agents.doctor import version
from agents.doctor.check import Check, bad, counted, good, unknown
from agents.settings.group import SettingsError
from agents.wire import admin as topics
from agents.wire.catalogue import WORLD, load
from agents.wire.consumer import bystander

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents.settings.settings import Settings
    from agents.wire.catalogue import Catalogue

REACH_S = 3.0
"""A broker that has not answered by then is not there."""
ANSWER_S = 4.0
"""The time for which each answer of a broker that is there is awaited."""
TRIES = 5
UNSETTLED = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.FENCED_LEADER_EPOCH,
)
"""What is answered while a topic is made or moved, or a leader follows another; a second later it is over."""


def reach(settings: Settings) -> Check:
    """The check whether a broker answers, at most three seconds later."""
    said: list[str] = []
    try:
        told = settings.kafka.librdkafka() | {
            "error_cb": lambda error: said.append(error.str()),  # the client itself tries for ever
            "socket.timeout.ms": int(REACH_S * 1000),
            "log_level": 0,
        }
        admin, began_s = AdminClient(told), time.monotonic()
    except SettingsError as error:
        return bad("broker", error.message, error.remedy)
    try:
        found = admin.list_topics(timeout=REACH_S)
    except KafkaException as error:
        admin.poll(0.1)  # what the client has to say about it
        reason = next((text for text in said if "brokers are down" not in text), error.args[0].str())
        return bad(
            "broker",
            f"no Kafka answers at {settings.kafka.broker()}: {reason}",
            "start one here with `llmopt up`, or correct LLMOPT_KAFKA_BOOTSTRAP and its neighbours",
        )
    took_ms = (time.monotonic() - began_s) * 1000
    brokers = counted(len(found.brokers), "broker")
    return good(
        "broker", f"{settings.kafka.broker()} answers after {took_ms:.0f} ms: {brokers}{_release(settings)}"
    )


def _release(settings: Settings) -> str:
    """`, Kafka 4.4 (metadata.version 33)`; "" where the broker does not tell."""
    first = settings.kafka.broker().split(",")[0].strip()
    try:
        level = version.settled_level(first, settings.kafka.ssl_context(), REACH_S / 2)
    except (OSError, ValueError):
        return ""
    return "" if level is None else f", Kafka {version.release(level)} (metadata.version {level})"


def checks(settings: Settings) -> Iterator[Check]:
    """Topics, permissions and the groups of the stages."""
    catalogue = load(settings.host.prefix)
    problems = topics.verify(settings, answer_s=ANSWER_S)
    yield from _topics(settings, catalogue, problems)
    admin = AdminClient(
        settings.kafka.librdkafka() | {"socket.timeout.ms": int(ANSWER_S * 1000), "log_level": 0}
    )
    gone = {problem.topic for problem in problems if problem.kind in ("missing", "changelog")}
    yield _permissions(admin, catalogue, gone)
    for member in _readers(catalogue):
        yield _stage(admin, settings, member, gone)


def _topics(settings: Settings, catalogue: Catalogue, problems: list[topics.TopicProblem]) -> Iterator[Check]:
    missing = [problem.topic for problem in problems if problem.kind == "missing"]
    if missing:
        yield bad("topics", f"missing: {', '.join(missing)}", "`llmopt topics create` makes them")
    unmade = [problem.topic for problem in problems if problem.kind == "changelog"]
    if unmade:
        found = f"missing changelogs, a worker would make them with one replica: {', '.join(unmade)}"
        yield bad("topics", found, "`llmopt topics create` makes them with the broker's default replication")
    remedies = {
        "partitions": "correct LLMOPT_PARTITIONS, on every worker; runbook: wrong partition count",
        "property": "set it with your broker's tools; `topics create` never changes what exists",
    }
    for problem in problems:
        if problem.kind in remedies:
            yield bad("topics", str(problem), remedies[problem.kind])
    if not problems:
        count = f"{counted(len(catalogue.ours()), 'topic')} and {counted(len(catalogue.changelogs()), 'changelog')}"
        yield good("topics", f"{count} as the catalogue has them, {settings.host.partitions} partitions each")


def _permissions(admin: AdminClient, catalogue: Catalogue, gone: set[str]) -> Check:
    """The check of what the broker says we may do; nothing is tried."""
    needs = _needs(catalogue, gone)
    if not needs:
        return unknown("permissions", "no topic is there yet")
    described = admin.describe_topics(
        TopicCollection(list(needs)), include_authorized_operations=True, request_timeout=ANSWER_S
    )
    wait(described.values())
    lacking = []
    for name, answer in described.items():
        try:
            allowed = answer.result().authorized_operations
        except KafkaException as error:
            lacking.append(f"see {name} ({error.args[0].str()})")
            continue
        if allowed is None:
            return unknown("permissions", "the broker does not say what we may do")
        lacking += [f"{op.name.lower()} {name}" for op in needs[name] if op not in allowed]
    if lacking:
        more = f", and {len(lacking) - 3} more" if len(lacking) > 3 else ""  # noqa: PLR2004 - a line's worth
        return bad(
            "permissions",
            f"this user may not {', '.join(lacking[:3])}{more}",
            "grant them with your broker's tools; .github/SECURITY.md has who needs what",
        )
    return good("permissions", f"may read and write {counted(len(needs), 'topic')} as the stages do")


def _needs(catalogue: Catalogue, gone: set[str]) -> dict[str, list[AclOperation]]:
    """Topic → what our processes do with it."""
    needs = {}
    for name, topic in catalogue.ours().items():
        reads = [AclOperation.READ] if set(topic.read_by) - {WORLD} else []
        writes = [AclOperation.WRITE] if set(topic.written_by) - {WORLD} else []
        needs[name] = reads + writes
    for name in catalogue.changelogs().values():
        needs[name] = [AclOperation.READ, AclOperation.WRITE]
    return {name: needed for name, needed in needs.items() if name not in gone}


class _ConsumerGroup(NamedTuple):
    """A consumer group of ours, and what it reads."""

    stage: str
    sources: list[str]


def _readers(catalogue: Catalogue) -> list[_ConsumerGroup]:
    rooms = {stage: stage for stage in catalogue.changelogs()} | {"audit": "ledger"}
    ours = catalogue.ours().items()
    return [
        _ConsumerGroup(stage, [name for name, topic in ours if room in topic.read_by])
        for stage, room in rooms.items()
    ]


def _stage(admin: AdminClient, settings: Settings, reader: _ConsumerGroup, gone: set[str]) -> Check:
    """The check whether anybody runs a stage, and how far it has folded."""
    name, group = f"stage {reader.stage}", f"{settings.host.prefix}-{reader.stage}"
    if gone & set(reader.sources):
        return unknown(name, "its input is missing")
    described = admin.describe_consumer_groups([group], request_timeout=ANSWER_S)
    try:
        members = len(described[group].result().members)
    except KafkaException:  # a group nobody has ever joined; what else may be wrong, the next answer says
        members = 0
    places = _places(admin, reader.sources)
    try:
        committed = _committed(settings, reader.stage, places)
    except KafkaException as error:
        return bad(name, f"group {group} cannot be read: {error.args[0].str()}", "see the permissions above")
    lag = _lag(admin, places, committed)
    waiting = f"{counted(sum(lag), 'record')} not durable yet"
    if members:
        return good(name, f"{counted(members, 'member')}, {waiting}, {max(lag):,} in one partition")
    if not committed:
        return unknown(name, f"has not run under {settings.host.prefix!r}")
    if sum(lag):
        return bad(name, f"nobody runs it, {waiting}", f"`llmopt run {reader.stage}`")
    return unknown(name, "nobody runs it; it has read all there is")


def _places(admin: AdminClient, sources: list[str]) -> list[TopicPartition]:
    listed = admin.list_topics(timeout=ANSWER_S).topics
    return [TopicPartition(name, number) for name in sources for number in listed[name].partitions]


def _committed(settings: Settings, group: str, places: list[TopicPartition]) -> dict[tuple[str, int], int]:
    """(topic, partition) → the position that a group of ours has reported, where it has.

    A consumer is asked that never joins the group: the admin client's own call ends the process with a
    segmentation fault when the group's coordinator is about to move (librdkafka has no group there).
    """
    with bystander(settings, group) as consumer:
        told = consumer.committed(places, timeout=ANSWER_S)
    return {(tp.topic, tp.partition): tp.offset for tp in told if tp.offset >= 0}


def _lag(
    admin: AdminClient, places: list[TopicPartition], committed: dict[tuple[str, int], int]
) -> list[int]:
    """Records behind the reported position, a number for each partition."""
    ends, firsts = (offsets(admin, places, spec) for spec in (OffsetSpec.latest(), OffsetSpec.earliest()))
    return [max(0, end - max(committed.get(place, 0), firsts[place])) for place, end in ends.items()]


def offsets(admin: AdminClient, places: list[TopicPartition], spec: OffsetSpec) -> dict[tuple[str, int], int]:
    """(topic, partition) → the offset that `spec` means there.

    Raises:
        KafkaException: The broker does not answer, or a partition stays without a leader.
    """
    for attempt in range(TRIES):
        answers = admin.list_offsets(dict.fromkeys(places, spec), request_timeout=ANSWER_S)
        wait(answers.values())  # a client must not be let go of while it owes an answer
        try:
            return {(tp.topic, tp.partition): answer.result().offset for tp, answer in answers.items()}
        except KafkaException as error:
            if attempt == TRIES - 1 or error.args[0].code() not in UNSETTLED:
                raise
        time.sleep(0.2)
    raise AssertionError("the last try returns or raises")
