"""One stage as a Faust app, and the Faust worker that runs several of them on one event loop.

Each stage is an app of its own (consumer group `<prefix>-<stage>`), so that stages scale alone. The
members of a group are static: a worker that comes back under the same instance name before its session
ends gets its partitions again at once, and one that was replaced is fenced by the broker.
"""

from __future__ import annotations

import os
import threading
from signal import Signals
from typing import TYPE_CHECKING, Any

import faust
from faust.worker import Worker

from agents.host.host import EXIT_CRASHED
from agents.host.rows import RowTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.settings.settings import Settings

STOP_S = 10.0
"""An orderly stop takes one or two seconds; supervisors grow impatient after thirty."""


class QuietWorker(Worker):
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
    datadir = settings.host.state_dir / settings.host.prefix / instance / stage
    datadir.mkdir(parents=True, exist_ok=True)
    return faust.App(
        f"{settings.host.prefix}-{stage}",
        broker=";".join(f"kafka://{address}" for address in settings.kafka.broker().split(",")),
        broker_credentials=_credentials(settings),
        store="rocksdb://",
        datadir=str(datadir),
        Table=RowTable,
        consumer_group_instance_id=instance,
        consumer_auto_offset_reset="earliest",
        topic_partitions=settings.host.partitions,
        topic_disable_leader=True,  # no leader timers are used
        table_standby_replicas=0,  # Faust loses standby records in a rebalance
        web_enabled=False,  # it would serve the tables unauthenticated
        broker_session_timeout=settings.host.session_timeout_s,  # 60 s would leave a killed worker's partitions idle
        broker_heartbeat_interval=settings.host.heartbeat_s,
        broker_rebalance_timeout=settings.host.rebalance_timeout_s,
        broker_max_poll_records=settings.host.max_poll_records,
        broker_commit_interval=settings.host.commit_s,  # the committed offset is only a report: see delivery.py
        broker_commit_livelock_soft_timeout=3600.0,  # its warning cannot know that commits follow checkpoints
        stream_buffer_maxsize=256,  # batches, not records: delivery.py bounds them earlier
        stream_wait_empty=False,  # a stop drops what is in memory; the next start folds it again
        stream_recovery_delay=0.0,  # nothing is gained by waiting before recovery
        producer_linger=settings.host.linger_ms / 1000,  # one request carries many emissions
        producer_max_batch_size=524_288,  # at 16 kB each pane waited for the answer to the one before
        producer_max_request_size=16_777_216,  # what the quarantine topic takes: a poison record goes there whole
        producer_acks=-1,
        cython_optimizations=True,
    )


def _credentials(settings: Settings) -> Any:
    """The credentials by which Faust logs in; None where the broker asks for nothing."""
    if settings.kafka.security_protocol == "PLAINTEXT":
        return None
    if settings.kafka.security_protocol == "SSL":
        return faust.SSLCredentials(settings.kafka.ssl_context())
    arguments = settings.kafka.aiokafka()
    return faust.SASLCredentials(
        username=arguments["sasl_plain_username"],
        password=arguments["sasl_plain_password"],
        ssl_context=settings.kafka.ssl_context(),
        mechanism=arguments["sasl_mechanism"],
    )
