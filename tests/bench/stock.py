"""python -m tests.bench.stock TOPIC EVENTS INSTANCE: windows of calls in stock Faust, a tumbling table per event."""

import json
import os
import sys

import faust

from agents.settings import settings
from agents.telemetry import logs
from tests.bench.drain import Stopwatch


def main(topic, events, instance):
    told = settings.load()
    datadir = told.host.state_dir / instance
    datadir.mkdir(parents=True)
    app = faust.App(
        f"bench-{instance}", broker=f"kafka://{told.kafka.broker()}", store="rocksdb://", datadir=str(datadir),
        topic_partitions=told.host.partitions, consumer_auto_offset_reset="earliest", topic_disable_leader=True,
        web_enabled=False, table_standby_replicas=0, stream_buffer_maxsize=65536, broker_max_poll_records=2000,
    )  # fmt: skip
    raw = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
    windows = app.Table("windows", default=int, partitions=told.host.partitions).tumbling(
        60.0, expires=3600.0
    )
    watch = Stopwatch()

    @app.agent(app.topic(topic, **raw))
    async def count(stream):
        async for value in stream:
            watch.start()
            event = json.loads(value)
            if event["type"] == "llmopt.call.v1":
                windows[event["subject"]] += 1
                watch.n += 1
            if watch.n == events:
                watch.report("stock")
                os._exit(0)

    faust.Worker(app, loglevel="WARN", redirect_stdouts=False, quiet=True).execute_from_commandline()


if __name__ == "__main__":
    logs.configure()
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
