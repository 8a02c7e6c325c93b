"""The topics of the loop as `topics/catalogue.toml` has them: names, types, keys, retention, readers.

Topics are asked for by their short name: `metrics` is `llmopt.metrics` under the default prefix.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from agents import resources
from optimizer.model.event import BY_DATA, BY_NAME

DEFAULT_PREFIX = "llmopt"
WORLD = "world"
"""Whoever writes or reads a topic outside this repository."""
STAGES = ("observe", "orient", "decide", "act")
"""Those that keep rows, in the order an event meets them."""
CHANGELOG = {
    # A frozen owner's late record must not be the only one left when compaction has run: see rows.py.
    "min.compaction.lag.ms": str(6 * 3600 * 1000),
    "max.message.bytes": "4000000",
}
"""How the changelog of a stage's rows differs from any other compacted topic."""
_DAY_MS = 86_400_000
_UNIT_MS = {"d": _DAY_MS, "y": 365 * _DAY_MS}


class CatalogueError(ValueError):
    """The catalogue contradicts itself or the code, or was asked for what it does not list."""


class Topic(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One topic."""

    purpose: str
    """One sentence, or two."""
    types: tuple[str, ...]
    """The event types on it, by their names in `optimizer.model.event`; none: no events."""
    key: str
    cleanup: Literal["delete", "compact"]
    retention: str
    """`7d`, `1y`, `forever`; of external topics whatever their owner says."""
    written_by: tuple[str, ...]
    read_by: tuple[str, ...]
    max_message_bytes: int = 1_048_588
    """The broker's limit for a batch of records; Kafka's own default, a little above the codec's."""
    config: dict[str, str] = {}
    """Further properties of the topic."""
    external: bool = False
    """Somebody else creates it, under a name that takes no prefix."""

    def retention_ms(self) -> int:
        """The time for which records are kept, milliseconds; -1: for ever.

        Raises:
            CatalogueError: The retention is no number of days or years.
        """
        if self.retention == "forever":
            return -1
        number, unit = self.retention[:-1], self.retention[-1:]
        if not number.isdigit() or unit not in _UNIT_MS:
            raise CatalogueError(f"retention must be `forever` or like `7d`, `1y`; got {self.retention!r}")
        return int(number) * _UNIT_MS[unit]

    def properties(self) -> dict[str, str]:
        """Everything Kafka is told about the topic beside its partition count."""
        return {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(self.retention_ms()),
            "max.message.bytes": str(self.max_message_bytes),
            **self.config,
        }


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    topic: dict[str, Topic]


class Catalogue:
    """All topics, under one prefix."""

    def __init__(self, topics: Mapping[str, Topic], prefix: str = DEFAULT_PREFIX) -> None:
        """Take topics by short name.

        Raises:
            CatalogueError: A type is unknown.
        """
        self.topics = dict(topics)
        self.prefix = prefix
        for short, topic in self.topics.items():
            if unknown := [name for name in topic.types if name not in BY_NAME]:
                raise CatalogueError(
                    f"{short}: no event type is called {unknown[0]}; there are {', '.join(BY_NAME)}"
                )

    def __getitem__(self, short: str) -> Topic:
        """The topic of this short name.

        Raises:
            CatalogueError: There is none.
        """
        try:
            return self.topics[short]
        except KeyError:
            raise CatalogueError(f"no topic {short!r}; there are {', '.join(self.topics)}") from None

    def name(self, short: str) -> str:
        """The name on the broker: `metrics` → `llmopt.metrics`, or as it is where the topic is not ours."""
        return short if self[short].external else f"{self.prefix}.{short}"

    def types_on(self, short: str) -> tuple[str, ...]:
        """The event types a topic carries."""
        return self[short].types

    def topic_of(self, type_name: str, writer: str) -> str:
        """The name of the topic to which `writer` sends an event type.

        Raises:
            CatalogueError: It sends that type to no topic, or to several.
        """
        shorts = [
            s for s, topic in self.topics.items() if type_name in topic.types and writer in topic.written_by
        ]
        if len(shorts) != 1:
            where = " and ".join(shorts) or "no topic"
            raise CatalogueError(f"{writer} must write {type_name} to one topic; the catalogue says {where}")
        return self.name(shorts[0])

    def routes(self, stage: str) -> dict[type, str]:
        """Payload class → the name of the topic to which this stage sends it.

        Raises:
            CatalogueError: A type would have two topics.
        """
        written = {
            name for topic in self.topics.values() if stage in topic.written_by for name in topic.types
        }
        data_of = {event: data for data, event in BY_DATA.items()}
        return {data_of[BY_NAME[name]]: self.topic_of(name, stage) for name in sorted(written)}

    def ours(self) -> dict[str, Topic]:
        """The topics we create, by their names on the broker."""
        return {self.name(short): topic for short, topic in self.topics.items() if not topic.external}

    def changelogs(self) -> dict[str, str]:
        """The topic that keeps the rows of each stage, by the stage's name; Faust gives it its name."""
        return {stage: f"{self.prefix}-{stage}-rows-changelog" for stage in STAGES}

    def properties(self) -> dict[str, dict[str, str]]:
        """The properties of each topic that we create, changelogs last, by names on the broker."""
        kept = {"cleanup.policy": "compact", **CHANGELOG}
        return {name: topic.properties() for name, topic in self.ours().items()} | dict.fromkeys(
            self.changelogs().values(), kept
        )


def load(prefix: str = DEFAULT_PREFIX, path: Path | None = None) -> Catalogue:
    """The catalogue that ships with this code, or the file at `path`.

    Raises:
        CatalogueError: The file is no catalogue; the message names the place.
    """
    file = path or resources.path("topics/catalogue.toml")
    try:
        listed = msgspec.toml.decode(file.read_bytes(), type=_File).topic
    except (ValueError, msgspec.MsgspecError) as error:
        raise CatalogueError(f"{file}: {error}") from None
    return Catalogue(
        {name.removeprefix(f"{DEFAULT_PREFIX}."): topic for name, topic in listed.items()}, prefix
    )


def as_markdown(catalogue: Catalogue) -> str:
    """`topics/README.md`: the catalogue as a table and, per topic, what it is for."""
    lines = [
        "# Topics",
        "",
        "Drawn from `catalogue.toml` by `make accept`; `llmopt topics create` makes them and",
        "`llmopt topics verify` compares a broker with them. The prefix and the partition count",
        "are settings (`llmopt settings`).",
        "",
        "| topic | key | cleanup | types | written by | read by |",
        "|---|---|---|---|---|---|",
    ]
    for short, topic in catalogue.topics.items():
        kept = topic.cleanup if topic.cleanup == "compact" else f"{topic.cleanup}, {topic.retention}"
        cells = (
            f"`{catalogue.name(short)}`",
            topic.key,
            kept,
            ", ".join(f"[`{name}`](../schemas/{name}/v1.avsc)" for name in topic.types) or "–",
            ", ".join(topic.written_by) or "–",
            ", ".join(topic.read_by) or "–",
        )
        lines.append(f"| {' | '.join(cells)} |")
    for short, topic in catalogue.topics.items():
        lines += ["", f"## {catalogue.name(short)}", "", topic.purpose]
        if not topic.external:
            properties = ", ".join(f"`{name}={value}`" for name, value in topic.properties().items())
            lines += ["", properties]
    return "\n".join(lines) + "\n"
