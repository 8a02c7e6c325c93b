"""python -m tests.bench.stock TOPIC EVENTS DIRECTORY: the same windows in stock Faust, a tumbling table per event."""

import json
import os
import sys
import time
from pathlib import Path

import faust

from agents import settings, telemetry


def main(topic, events, directory):
    told = settings.load()
    datadir = Path(directory) / "stock"
    datadir.mkdir(parents=True, exist_ok=True)
    app = faust.App(
        "bench-stock", broker=f"kafka://{told.bootstrap()}", store="rocksdb://", datadir=str(datadir), topic_partitions=4,
        consumer_auto_offset_reset="earliest", topic_disable_leader=True, web_enabled=False, table_standby_replicas=0,
        stream_buffer_maxsize=65536, broker_max_poll_records=2000,
    )  # fmt: skip
    raw = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
    windows = app.Table("windows", default=int, partitions=4).tumbling(60.0, expires=3600.0)
    state = {"n": 0, "began": 0.0, "cpu": 0.0}

    @app.agent(app.topic(topic, **raw))
    async def count(stream):
        async for value in stream:
            if not state["began"]:
                state["began"], state["cpu"] = time.perf_counter(), time.process_time()
            event = json.loads(value)
            if event["type"] == "llmopt.call.v1":
                windows[event["subject"]] += 1
                state["n"] += 1
            if state["n"] == events:
                seconds, cpu = time.perf_counter() - state["began"], time.process_time() - state["cpu"]
                row = {
                    "what": "stock Faust, tumbling table", "events_per_s": events / seconds,
                    "cpu_s_per_million": cpu / events * 1e6, "n": events, "seconds": seconds,
                }  # fmt: skip
                print(json.dumps(row), flush=True)
                os._exit(0)

    faust.Worker(app, loglevel="WARN", redirect_stdouts=False, quiet=True).execute_from_commandline()


if __name__ == "__main__":
    telemetry.configure()
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
