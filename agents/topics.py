"""Creates the catalogue's topics on a broker, and says where a broker differs from the catalogue."""

import time
from typing import TYPE_CHECKING, Any, Literal

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic
from msgspec import Struct

from agents.catalogue import Topic, load
from agents.settings import Settings

if TYPE_CHECKING:
    from concurrent.futures import Future

ANSWER_S = 15.0
"""A broker that has not answered by then is not there."""
VISIBLE_S = 30.0
"""A created topic has a leader for every partition by then, also on a busy machine."""


class Problem(Struct, frozen=True):
    """One difference between the broker and the catalogue."""

    topic: str
    kind: Literal["missing", "partitions", "property"]
    expected: str
    found: str

    def __str__(self) -> str:
        if self.kind == "missing":
            return f"topic {self.topic} is missing"
        return f"topic {self.topic} must have {self.expected}, has {self.found}"


class NotVisible(RuntimeError):
    """The broker accepted topics and does not serve them."""


def create(settings: Settings, bootstrap: str | None = None) -> list[str]:
    """Create the catalogue's topics that are missing; their names, once every partition has a leader.

    Topics that exist are left as they are; `verify` says what is different about them. The
    replication factor is the broker's default.

    Raises:
        KafkaException: The broker does not answer or refuses.
        NotVisible: A created topic has no leader after half a minute.
    """
    settings = settings.at(bootstrap=bootstrap)
    admin = _admin(settings)
    wanted = load(settings.prefix).ours()
    present = _partitions(admin)
    missing = [
        NewTopic(name, settings.partitions, -1, config=topic.properties())
        for name, topic in wanted.items()
        if name not in present
    ]
    created = []
    if missing:
        answers = admin.create_topics(missing, operation_timeout=ANSWER_S, request_timeout=ANSWER_S)
        created = [name for name, answer in answers.items() if _is_new(answer)]
    _await_visible(admin, wanted)
    return created


def verify(settings: Settings, bootstrap: str | None = None) -> list[Problem]:
    """Every difference between the broker and the catalogue, in the catalogue's order; none is good.

    Raises:
        KafkaException: The broker does not answer or refuses.
    """
    settings = settings.at(bootstrap=bootstrap)
    admin = _admin(settings)
    wanted = load(settings.prefix).ours()
    present = _partitions(admin)
    resources = {name: ConfigResource(ConfigResource.Type.TOPIC, name) for name in wanted if name in present}
    described = (
        admin.describe_configs(list(resources.values()), request_timeout=ANSWER_S) if resources else {}
    )
    problems = []
    for name, topic in wanted.items():
        if name not in present:
            problems.append(Problem(name, "missing", f"{settings.partitions} partitions", ""))
            continue
        count = present[name]
        if count != settings.partitions:
            problems.append(Problem(name, "partitions", f"{settings.partitions} partitions", f"{count}"))
        problems += _differences(name, topic, described[resources[name]].result())
    return problems


def _differences(name: str, topic: Topic, entries: Any) -> list[Problem]:
    """The properties of one topic that are not the catalogue's."""
    return [
        Problem(name, "property", f"{key}={value}", entries[key].value if key in entries else "none")
        for key, value in topic.properties().items()
        if key not in entries or entries[key].value != value
    ]


def _admin(settings: Settings) -> AdminClient:
    # What goes wrong is raised; librdkafka's own lines about it would only be in the way.
    return AdminClient(settings.librdkafka() | {"socket.timeout.ms": int(ANSWER_S * 1000), "log_level": 0})


def _partitions(admin: AdminClient) -> dict[str, int]:
    """Topic → how many partitions it has."""
    topics = admin.list_topics(timeout=ANSWER_S).topics
    return {name: len(topic.partitions) for name, topic in topics.items()}


def _led(admin: AdminClient) -> set[str]:
    """Topics each of whose partitions has a leader."""
    topics = admin.list_topics(timeout=ANSWER_S).topics
    return {
        name
        for name, topic in topics.items()
        if topic.partitions and all(partition.leader >= 0 for partition in topic.partitions.values())
    }


def _is_new(answer: "Future[None]") -> bool:
    """Whether we created it; False where somebody else was faster."""
    try:
        answer.result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise
    return True


def _await_visible(admin: AdminClient, wanted: dict[str, Topic]) -> None:
    deadline = time.monotonic() + VISIBLE_S
    while unseen := sorted(set(wanted) - _led(admin)):
        if time.monotonic() > deadline:
            raise NotVisible(f"{', '.join(unseen)}: created, but without a leader after {VISIBLE_S:.0f} s")
        time.sleep(0.1)
