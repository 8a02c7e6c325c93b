"""BOOTSTRAP INPUT OUTPUT GROUP DIRECTORY CALLS: windows of one minute by key in Quix Streams; prints one JSON line.

Runs in the environment of quix.lock, where nothing of ours is installed.
"""

import json
import math
import os
import sys
import time
from datetime import datetime, timedelta

from quixstreams import Application

LENGTH, LATENESS = timedelta(minutes=1), timedelta(seconds=5)
LOG_GAMMA = math.log(101 / 99)
LOWEST, BUCKETS = 420, 330
"""Of the counts kept: from 4 ms to 3.3 s; the calls of the backlog take 5 ms to 3 s."""


class Windows:
    """Counts, integer sums and latencies in buckets of 2 %: a list, the cheapest for JSON to write and to read."""

    def __init__(self, calls):
        self.calls, self.counted, self.began, self.cpu = calls, 0, 0.0, 0.0

    def start(self, event):
        if not self.began:
            self.began, self.cpu = time.perf_counter(), time.process_time()
        return event["type"] == "llmopt.call.v1"

    def first(self, event):
        return self.add([0] * (8 + BUCKETS), event)

    def add(self, sums, event):
        call = event["data"]
        cost, score = round(call["cost_usd"] * 1e9), round(call["quality"]["score"] * 1e6)
        sums[0] += 1
        sums[1] += cost
        sums[2] += cost * cost
        sums[3] += call["input_tokens"]
        sums[4] += call["output_tokens"]
        sums[5] += 1
        sums[6] += score
        sums[7] += score * score
        bucket = math.ceil(math.log(max(1.0, call["latency_ms"] * 1000)) / LOG_GAMMA) - LOWEST
        sums[8 + min(max(bucket, 0), BUCKETS - 1)] += 1
        self.counted += 1
        if self.counted == self.calls:
            self.report()
        return sums

    def report(self):
        seconds, cpu_s = time.perf_counter() - self.began, time.process_time() - self.cpu
        row = {
            "what": "quix",
            "events_per_s": self.calls / seconds,
            "cpu_s_per_million": cpu_s / self.calls * 1e6,
            "n": self.calls,
        }
        print(json.dumps(row), flush=True)
        os._exit(0)


def instant(event, _headers, _timestamp_ms, _timestamp_type):
    return int(datetime.fromisoformat(event["time"]).timestamp() * 1000)


def main(told):
    bootstrap, read, written, group, directory, calls = told
    app = Application(
        bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        state_dir=directory,
        loglevel="WARNING",
    )
    windows = Windows(int(calls))
    frame = app.dataframe(app.topic(read, value_deserializer="json", timestamp_extractor=instant))
    frame = frame.filter(windows.start)
    frame = frame.tumbling_window(LENGTH, LATENESS).reduce(windows.add, windows.first).final()
    frame.to_topic(app.topic(written, value_serializer="json"))
    app.run()


if __name__ == "__main__":
    main(sys.argv[1:])
