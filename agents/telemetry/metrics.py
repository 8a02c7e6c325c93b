"""Every number a process of ours shows to Prometheus: its name, its unit, and what to do when it rises.

A number that is not listed here cannot be shown, and `docs/metrics.md` is drawn from the list. Nothing is
counted here: sources are asked when somebody scrapes, so that the hot path pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec import Struct
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

Name = Literal[
    "llmopt_starts_total",
    "llmopt_partitions_owned",
    "llmopt_lag_records",
    "llmopt_event_time_age_seconds",
    "llmopt_records_total",
    "llmopt_left_out_total",
    "llmopt_quarantined_total",
    "llmopt_emitted_total",
    "llmopt_crash_places",
    "llmopt_checkpoints_total",
    "llmopt_checkpoint_age_seconds",
    "llmopt_checkpoint_seconds",
    "llmopt_rows",
    "llmopt_row_bytes_max",
]


class Meaning(Struct, frozen=True):
    """The meaning of one number."""

    kind: Literal["counter", "gauge"]
    unit: str
    labels: tuple[str, ...]
    says: str
    rises: str
    """What to do when it rises."""


METRICS: dict[Name, Meaning] = {
    "llmopt_starts_total": Meaning(
        "counter", "starts", (),
        "How often this instance was started on this state folder, this time included.",
        "It ends by itself: the last log line before each start names the place (runbook: a worker exits 70).",
    ),
    "llmopt_partitions_owned": Meaning(
        "gauge", "partitions", ("stage",),
        "Input partitions this worker owns.",
        "Nothing; the sum over all workers is the partition count. Less: nobody folds some of them.",
    ),
    "llmopt_lag_records": Meaning(
        "gauge", "records", ("stage", "partition"),
        "Records of the input that this worker knows of and has not folded.",
        "More load than one core folds: start another worker, up to one a partition. One partition alone: a hot key.",
    ),
    "llmopt_event_time_age_seconds": Meaning(
        "gauge", "seconds", ("stage", "partition"),
        "How far event time is behind this machine's clock: observe's last tick, others' watermark. +Inf: none yet.",
        "Time stands still: see whether observe runs everywhere and a clock ticks (`llmopt doctor`; runbook: time "
        "stands still). Downstream it steps from one pane to the next, 15 s old at least.",
    ),
    "llmopt_records_total": Meaning(
        "counter", "records", ("stage", "became"),
        "Input records by what became of them: folded; skipped, as folded before; dropped, as a repetition.",
        "folded is the throughput. skipped and dropped rise after restarts of this stage and of the one before it.",
    ),
    "llmopt_left_out_total": Meaning(
        "counter", "calls and feedback", ("stage", "reason"),
        "What observe left out of its panes, or of its own cell, as panes and watermarks say it: `duplicates`; `late` "
        "and `late_feedback`, behind the watermark; `spans`, of a target "
        "counted by its exporter's metrics; `folded`, into `other`, as cells are bounded; `unattributed`, of "
        "nobody's call or target; `unjoined`, of a call that is not known; `instances`, too many consumers.",
        "folded: a caller invents segments or variants. late: a slow producer, or its clock. duplicates: retries. "
        "unattributed, unjoined: a caller that loses tokens, or a target nobody declared.",
    ),
    "llmopt_quarantined_total": Meaning(
        "counter", "records", ("stage", "cause"),
        "Records put into quarantine, by the kind of their reason.",
        "`llmopt quarantine list` has topic, place and reason; clock: `llmopt doctor` (runbook: the quarantine fills).",
    ),
    "llmopt_emitted_total": Meaning(
        "counter", "events", ("stage",),
        "Events this stage has published.",
        "Nothing. It stands still: see the age of event time.",
    ),
    "llmopt_crash_places": Meaning(
        "gauge", "places", ("stage",),
        "Places of the input on which the stage raised, in this life and earlier ones, as far as they are noted.",
        "A defect of ours: keep the log's traceback (runbook: a stage raises on a record).",
    ),
    "llmopt_checkpoints_total": Meaning(
        "counter", "checkpoints", ("stage",),
        "Checkpoints made durable.",
        "Nothing.",
    ),
    "llmopt_checkpoint_age_seconds": Meaning(
        "gauge", "seconds", ("stage",),
        "Since the last checkpoint was durable, or since the start.",
        "A crash folds so much again. Beyond a minute with input waiting: the broker does not acknowledge.",
    ),
    "llmopt_checkpoint_seconds": Meaning(
        "gauge", "seconds", ("stage",),
        "How long the last checkpoint took.",
        "The broker's acknowledgements are slow, or rows have become large.",
    ),
    "llmopt_rows": Meaning(
        "gauge", "rows", ("stage",),
        "Rows of state held: one a partition in observe, one a target in the others.",
        "Targets: expected as they are declared. Otherwise see who makes up names.",
    ),
    "llmopt_row_bytes_max": Meaning(
        "gauge", "bytes", ("stage",),
        "The largest row, as it was last written.",
        "900 kB is the end of it: rows are bounded before that by folding into `other`. See left_out, folded.",
    ),
}  # fmt: skip


class Sample(NamedTuple):
    """One number at one moment."""

    name: Name
    value: float
    labels: tuple[str, ...] = ()
    """Values of the labels, in the order of `METRICS`."""


Source = Callable[[], Iterable[Sample]]


class PortTaken(RuntimeError):
    """Nobody can listen where the settings say."""


class _Sources(Collector):
    """Asks its sources when it is scraped."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self.sources = tuple(sources)

    def collect(self) -> Iterator[Metric]:
        families: dict[Name, CounterMetricFamily | GaugeMetricFamily] = {}
        for source in self.sources:
            for sample in source():
                if sample.name not in families:
                    families[sample.name] = _family(sample.name)
                families[sample.name].add_metric(sample.labels, sample.value)
        yield from families.values()


def _family(name: Name) -> CounterMetricFamily | GaugeMetricFamily:
    meaning = METRICS[name]
    kind = CounterMetricFamily if meaning.kind == "counter" else GaugeMetricFamily
    return kind(name, f"{meaning.says} Unit: {meaning.unit}.", labels=meaning.labels)


def registry(*sources: Source) -> CollectorRegistry:
    """The registry of what is shown: the samples of the sources, and memory, CPU and start time of this process."""
    made = CollectorRegistry()
    ProcessCollector(registry=made)
    made.register(_Sources(sources))
    return made


def serve(address: str, port: int, *sources: Source) -> WSGIServer:
    """Answer `GET /metrics` from a thread of its own until the process ends; the server, for its port.

    Raises:
        PortTaken: Nobody can listen there; the message names the setting.
    """
    try:
        server, _thread = start_http_server(port, address, registry(*sources))
    except OSError as error:
        raise PortTaken(f"metrics cannot be served on {address}:{port}: {error.strerror or error}") from None
    return server


def as_markdown() -> str:
    """`docs/metrics.md`."""
    lines = [
        "# Metrics",
        "",
        "Drawn from `agents/telemetry/metrics.py` by `make accept`. A worker serves them for Prometheus where",
        "`LLMOPT_METRICS_PORT` is set, on `LLMOPT_METRICS_HOST` (loopback unless you say otherwise: there is no",
        "log-in). With `llmopt run --workers N` each worker takes the next port. Beside these there are the",
        "process's own: `process_resident_memory_bytes`, `process_cpu_seconds_total`, `process_start_time_seconds`",
        "and their like. They say what this process did since it began; `llmopt doctor` looks at the whole.",
        "",
        "| name | kind | unit | labels | what it says | when it rises |",
        "|---|---|---|---|---|---|",
    ]
    for name, meaning in METRICS.items():
        labels = ", ".join(f"`{label}`" for label in meaning.labels) or "–"
        cells = (f"`{name}`", meaning.kind, meaning.unit, labels, meaning.says, meaning.rises)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
