"""Resident memory and processor time of `llmopt run observe orient decide act`, when nothing happens."""

import time

import psutil

from tests.support import children

STAGES = ("observe", "orient", "decide", "act")
READY_S = 90.0
IDLE_S = 15.0
READY = "starts at offset"


def measure(told, log, partitions):
    command = ("run", *STAGES, "--no-clock", "--instance", "memory")
    with children.running("agents.cli", *command, told=told, log=log) as child:
        deadline = time.monotonic() + READY_S
        while log.read_text().count(READY) < len(STAGES) * partitions:
            if child.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the stages did not start:\n{children.tail(log)}")
            time.sleep(0.1)
        process = psutil.Process(child.pid)
        before = sum(process.cpu_times()[:2])
        time.sleep(IDLE_S)
        busy = (sum(process.cpu_times()[:2]) - before) / IDLE_S
        return {"rss_mb": process.memory_info().rss / 1e6, "cpu_share": busy, "idle_s": IDLE_S}
