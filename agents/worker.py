"""Assembles what a process runs: any set of stages as Faust apps on one event loop, and the audit sink.

Each stage is an app of its own (consumer group `<prefix>-<stage>`), so that stages scale alone. The
members of a group are static: a worker that comes back under the same instance name before its session
ends gets its partitions again at once, and one that was replaced is fenced by the broker.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from signal import Signals
from typing import TYPE_CHECKING, Any

import faust
import uvloop
from faust.worker import Worker

from agents.host import clock, scrape
from agents.host.garbage import collect_seldom
from agents.host.host import EXIT_CRASHED, Host
from agents.host.instance import claimed
from agents.host.rows import RowTable
from agents.host.watchdog import Heartbeat, Progress
from agents.stages import act, decide, observe, orient
from agents.telemetry import metrics
from agents.wire.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agents.settings.settings import Settings

log = logging.getLogger("llmopt.app")

WIRE = {"observe": observe.wire, "orient": orient.wire, "decide": decide.wire, "act": act.wire}
STAGES = (*WIRE, "audit")


STOP_S = 10.0
"""An orderly stop takes one or two seconds; supervisors grow impatient after thirty."""


class _QuietWorker(Worker):
    """Faust's worker without its terminal spinner: our logs say what happens."""

    def __init__(self, *apps: faust.App, begun: Callable[[], None]) -> None:
        """Run `apps`; `begun` is called on the event loop before any of them starts."""
        super().__init__(*apps, redirect_stdouts=False, quiet=True, override_logging=False)
        self.spinner = None
        self.begun = begun

    def _schedule_shutdown(self, signal: Signals) -> None:
        """Stop in order; where that does not come to an end, as without a broker, just end.

        Nothing is lost either way: the next start folds again what was not durable.
        """
        hurry = threading.Timer(STOP_S, os._exit, (EXIT_CRASHED,))
        hurry.daemon = True
        hurry.start()
        super()._schedule_shutdown(signal)

    async def on_start(self) -> None:
        """Watch from here on: apps start one after another, and the first folds while others recover."""
        self.begun()
        await super().on_start()


def faust_app(stage: str, settings: Settings, instance: str) -> faust.App:
    """A Faust app for one stage; every setting that differs from Faust's default has its reason here."""
    datadir = settings.state_dir / settings.prefix / instance / stage
    datadir.mkdir(parents=True, exist_ok=True)
    return faust.App(
        f"{settings.prefix}-{stage}",
        broker=";".join(f"kafka://{address}" for address in settings.bootstrap().split(",")),
        broker_credentials=_credentials(settings),
        store="rocksdb://",
        datadir=str(datadir),
        Table=RowTable,
        consumer_group_instance_id=instance,
        consumer_auto_offset_reset="earliest",
        topic_partitions=settings.partitions,
        topic_disable_leader=True,  # no leader timers are used
        table_standby_replicas=0,  # Faust loses standby records in a rebalance
        web_enabled=False,  # it would serve the tables unauthenticated
        broker_session_timeout=settings.session_timeout_s,  # 60 s would leave a killed worker's partitions idle
        broker_heartbeat_interval=settings.heartbeat_s,
        broker_rebalance_timeout=settings.rebalance_timeout_s,
        broker_max_poll_records=settings.max_poll_records,
        broker_commit_interval=settings.commit_s,  # the committed offset is only a report: see delivery.py
        broker_commit_livelock_soft_timeout=3600.0,  # its warning cannot know that commits follow checkpoints
        stream_buffer_maxsize=256,  # batches, not records: delivery.py bounds them earlier
        stream_wait_empty=False,  # a stop drops what is in memory; the next start folds it again
        stream_recovery_delay=0.0,  # nothing is gained by waiting before recovery
        producer_linger=settings.linger_ms / 1000,  # one request carries many emissions
        producer_max_batch_size=524_288,  # at 16 kB each pane waited for the answer to the one before
        producer_max_request_size=16_777_216,  # what the quarantine topic takes: a poison record goes there whole
        producer_acks=-1,
        cython_optimizations=True,
    )


def _credentials(settings: Settings) -> Any:
    """How Faust logs in; None where the broker asks for nothing."""
    if settings.kafka_security_protocol == "PLAINTEXT":
        return None
    if settings.kafka_security_protocol == "SSL":
        return faust.SSLCredentials(settings.ssl_context())
    arguments = settings.aiokafka()
    return faust.SASLCredentials(
        username=arguments["sasl_plain_username"],
        password=arguments["sasl_plain_password"],
        ssl_context=settings.ssl_context(),
        mechanism=arguments["sasl_mechanism"],
    )


def build(
    stages: Sequence[str],
    settings: Settings,
    instance: str,
    *,
    host: type[Host] = Host,
    at: Callable[[str, str], None] = lambda _stage, _point: None,
) -> list[Host]:
    """One host per Faust stage among `stages`; `at(stage, point)` is called at points of its checkpoints."""
    catalogue = load(settings.prefix)
    hosts = []
    for stage in stages:
        if stage not in WIRE:
            continue
        app = faust_app(stage, settings, instance)
        wiring = WIRE[stage](settings, catalogue)

        def point(name: str, stage: str = stage) -> None:
            at(stage, name)

        hosts.append(host(wiring, app=app, partitions=settings.partitions, at=point))
    return hosts


def run(
    stages: Sequence[str],
    settings: Settings,
    *,
    instance: str,
    with_clock: bool = True,
    host: type[Host] = Host,
    at: Callable[[str, str], None] = lambda _stage, _point: None,
) -> None:
    """Run stages until the process is told to stop (SIGTERM, Ctrl-C) or ends itself (exit 70).

    Args:
        stages: names of `STAGES`.
        settings: everything else; names the broker and, where `audit` is among the stages, the database.
        instance: the name of this worker; no two on a cluster may share it.
        with_clock: whether this worker ticks when it owns partition 0 of `metrics`.
        host: the class that hosts a stage; chaos tests take rules away.
        at: called at named points of every checkpoint; chaos tests kill the process there.

    Raises:
        InstanceInUse: another process of this machine runs under this name.
        PortTaken: the metrics cannot be served where the settings say.
    """
    with claimed(settings.state_dir / settings.prefix / instance) as starts:
        sink = None
        if "audit" in stages:
            from agents.ledger import sink as audit  # noqa: PLC0415 - a database's libraries, which other workers do without

            sink = audit.Audit(settings)
            if not set(stages) & set(WIRE):
                _show([], starts, settings)
                sink.run(audit.stopped_by_signals())
                return
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        hosts = build(stages, settings, instance, host=host, at=at)
        _show(hosts, starts, settings)
        for one in hosts:
            _attend(one, settings, with_clock=with_clock)
        hosts[-1].app.task(_collect_seldom)  # the apps start one after another: then all is loaded

        def heartbeat() -> None:
            Heartbeat(asyncio.get_running_loop(), settings.session_timeout_s / 2, hosts[0].fatal).start()

        stop = threading.Event()
        thread = threading.Thread(target=sink.run, args=(stop,), name="audit") if sink else None
        if thread:
            thread.start()
        try:
            _QuietWorker(*[one.app for one in hosts], begun=heartbeat).execute_from_commandline()
        except (Exception, SystemExit) as exc:
            if isinstance(exc, SystemExit) and not exc.code:
                raise
            hosts[0].fatal(exc, "worker")  # Faust gave up: a fresh start is what is proven
        finally:
            stop.set()
            if thread:
                thread.join(timeout=10)


def _show(hosts: Sequence[Host], starts: int, settings: Settings) -> None:
    """Serve the metrics of this worker, where the settings name a port."""
    if settings.metrics_port is not None:
        sources = (scrape.of_instance(starts), *(scrape.of_host(host) for host in hosts))
        metrics.serve(settings.metrics_host, settings.metrics_port, *sources)


def _attend(host: Host, settings: Settings, *, with_clock: bool) -> None:
    """Watch a host's progress, and give observe its clock."""

    async def progress(_app: Any) -> None:
        await Progress(host, settings.stall_s).watch()

    async def ticking(_app: Any) -> None:
        await clock.run(host, settings.partitions, settings.tick_s)

    host.app.task(progress)
    if with_clock and host.stage.name == "observe":
        host.app.task(ticking)


async def _collect_seldom(_app: Any) -> None:
    """Faust calls it once, when the app's tables are recovered."""
    collect_seldom()
