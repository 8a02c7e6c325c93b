"""Assembles what a process runs: any set of stages as Faust apps on one event loop, and the audit sink."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import uvloop

from agents.host import clock, scrape
from agents.host.app import QuietWorker, faust_app
from agents.host.garbage import collect_seldom
from agents.host.host import Host
from agents.host.instance import claimed
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


def build(
    stages: Sequence[str],
    settings: Settings,
    instance: str,
    *,
    host: type[Host] = Host,
    at: Callable[[str, str], None] = lambda _stage, _point: None,
) -> list[Host]:
    """One host per Faust stage among `stages`; `at(stage, point)` is called at points of its checkpoints."""
    catalogue = load(settings.host.prefix)
    hosts = []
    for stage in stages:
        if stage not in WIRE:
            continue
        app = faust_app(stage, settings, instance)
        wiring = WIRE[stage](settings, catalogue)

        def point(name: str, stage: str = stage) -> None:
            at(stage, name)

        hosts.append(host(wiring, app=app, partitions=settings.host.partitions, at=point))
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
    with claimed(settings.host.state_dir / settings.host.prefix / instance) as starts:
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
            Heartbeat(asyncio.get_running_loop(), settings.host.session_timeout_s / 2, hosts[0].fatal).start()

        stop = threading.Event()
        thread = threading.Thread(target=sink.run, args=(stop,), name="audit") if sink else None
        if thread:
            thread.start()
        try:
            QuietWorker(*[host.app for host in hosts], begun=heartbeat).execute_from_commandline()
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
    if settings.operations.metrics_port is not None:
        sources = (scrape.of_instance(starts), *(scrape.of_host(host) for host in hosts))
        metrics.serve(settings.operations.metrics_host, settings.operations.metrics_port, *sources)


def _attend(host: Host, settings: Settings, *, with_clock: bool) -> None:
    """Watch a host's progress, and give observe its clock."""

    async def progress(_app: Any) -> None:
        await Progress(host, settings.host.watchdog_s).watch()

    async def ticking(_app: Any) -> None:
        await clock.run(host, settings.host.partitions, settings.host.tick_s)

    host.app.task(progress)
    if with_clock and host.stage.name == "observe":
        host.app.task(ticking)


async def _collect_seldom(_app: Any) -> None:
    """Faust calls it once, when the app's tables are recovered."""
    collect_seldom()
