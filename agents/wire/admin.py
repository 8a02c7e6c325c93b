"""Creates the catalogue's topics on a broker, and says where a broker differs from the catalogue.

The changelogs of the stages' rows are made here too: a worker that finds none makes its own, with one
replica whatever the broker's default is.
"""

import time
from typing import TYPE_CHECKING, Any, Literal

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic
from msgspec import Struct

from agents.settings.settings import Settings
from agents.wire.catalogue import load

if TYPE_CHECKING:
    from concurrent.futures import Future

ANSWER_S = 15.0
"""A broker that has not answered by then is not there."""
VISIBLE_S = 30.0
"""A created topic has a leader for every partition by then, also on a busy machine."""


class TopicProblem(Struct, frozen=True):
    """One difference between the broker and the catalogue."""

    topic: str
    kind: Literal["missing", "changelog", "partitions", "property"]
    """`changelog`: one is missing, which a worker would make."""
    expected: str
    found: str

    def __str__(self) -> str:
        if self.kind == "missing":
            return f"topic {self.topic} is missing"
        if self.kind == "changelog":
            return f"changelog {self.topic} is missing; a worker would make it, with one replica"
        return f"topic {self.topic} must have {self.expected}, has {self.found}"

    @property
    def forbids_running(self) -> bool:
        """True if no worker may start: what a site has changed by hand, such as a retention, is its own business."""
        return self.kind in ("missing", "partitions")


class NotVisible(RuntimeError):
    """The broker accepted topics and does not serve them."""


def create(settings: Settings, bootstrap: str | None = None) -> list[str]:
    """Create the catalogue's topics and changelogs that are missing; their names, once every partition has a leader.

    Topics that exist are left as they are; `verify` says what is different about them. The
    replication factor is the broker's default.

    Raises:
        KafkaException: The broker does not answer or refuses.
        NotVisible: A created topic has no leader after half a minute.
    """
    settings = settings.at(bootstrap=bootstrap)
    admin = _admin(settings, ANSWER_S)
    wanted = load(settings.host.prefix).properties()
    present = admin.list_topics(timeout=ANSWER_S).topics
    missing = [
        NewTopic(name, settings.host.partitions, -1, config=properties)
        for name, properties in wanted.items()
        if name not in present
    ]
    created = []
    if missing:
        answers = admin.create_topics(missing, operation_timeout=ANSWER_S, request_timeout=ANSWER_S)
        created = [name for name, answer in answers.items() if _is_new(answer)]
    _await_visible(admin, set(wanted))
    return created


def verify(
    settings: Settings, bootstrap: str | None = None, *, answer_s: float | None = None
) -> list[TopicProblem]:
    """Every difference between the broker and the catalogue, in the catalogue's order; none is good.

    Each of the broker's answers is awaited for `answer_s` seconds, by default 15.

    Raises:
        KafkaException: The broker does not answer or refuses.
    """
    settings, answer_s = settings.at(bootstrap=bootstrap), answer_s or ANSWER_S
    admin, catalogue = _admin(settings, answer_s), load(settings.host.prefix)
    wanted, changelogs = catalogue.properties(), set(catalogue.changelogs().values())
    topics = admin.list_topics(timeout=answer_s).topics
    described = _described(admin, [name for name in wanted if name in topics], answer_s)
    replicas = max((_replicas(topics[name]) for name in described if name not in changelogs), default=1)
    problems = []
    for name, properties in wanted.items():
        if name not in described:
            kind: Literal["missing", "changelog"] = "changelog" if name in changelogs else "missing"
            problems.append(TopicProblem(name, kind, f"{settings.host.partitions} partitions", ""))
            continue
        if (count := len(topics[name].partitions)) != settings.host.partitions:
            problems.append(
                TopicProblem(name, "partitions", f"{settings.host.partitions} partitions", f"{count}")
            )
        if name in changelogs and (copies := _replicas(topics[name])) < replicas:
            problems.append(
                TopicProblem(name, "property", f"{replicas} replicas, as the other topics", f"{copies}")
            )
        problems += _differences(name, properties, described[name])
    return problems


def _described(admin: AdminClient, names: list[str], answer_s: float) -> dict[str, Any]:
    """Topic → its properties; without those that were deleted a moment ago."""
    asked = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    described = {}
    for resource, answer in admin.describe_configs(asked, request_timeout=answer_s).items() if asked else ():
        try:
            described[resource.name] = answer.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
    return described


def _replicas(topic: Any) -> int:
    """The number of copies there are of that partition of a topic which has the fewest."""
    return min((len(partition.replicas) for partition in topic.partitions.values()), default=0)


def _differences(name: str, properties: dict[str, str], entries: Any) -> list[TopicProblem]:
    """The properties of one topic that are not the catalogue's."""
    return [
        TopicProblem(name, "property", f"{key}={value}", entries[key].value if key in entries else "none")
        for key, value in properties.items()
        if key not in entries or entries[key].value != value
    ]


def _admin(settings: Settings, answer_s: float) -> AdminClient:
    # What goes wrong is raised; librdkafka's own lines about it would only be in the way.
    return AdminClient(
        settings.kafka.librdkafka() | {"socket.timeout.ms": int(answer_s * 1000), "log_level": 0}
    )


def _led(admin: AdminClient) -> set[str]:
    """Topics each of whose partitions has a leader."""
    topics = admin.list_topics(timeout=ANSWER_S).topics
    return {
        name
        for name, topic in topics.items()
        if topic.partitions and all(partition.leader >= 0 for partition in topic.partitions.values())
    }


def _is_new(answer: "Future[None]") -> bool:
    """True if we created it; False where somebody else was faster."""
    try:
        answer.result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise
    return True


def _await_visible(admin: AdminClient, wanted: set[str]) -> None:
    deadline = time.monotonic() + VISIBLE_S
    while unseen := sorted(wanted - _led(admin)):
        if time.monotonic() > deadline:
            raise NotVisible(f"{', '.join(unseen)}: created, but without a leader after {VISIBLE_S:.0f} s")
        time.sleep(0.1)
