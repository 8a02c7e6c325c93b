"""python -m tests.bench.latency SECONDS: from a call's own `time` to the end of the fold that counted it.

`metrics` has LogAppendTime: the record's timestamp is the broker's, so the instant is taken from the event.
"""

import json
import os
import sys
import threading
import time
from datetime import datetime

import numpy as np

from agents import worker as assembly
from agents.host.host import Host
from agents.settings import settings
from agents.telemetry import logs
from tests.bench.drain import CALL
from tests.support.children import LONGEST_S

WARM_UP_S = 5.0
TIME = b'"time":"'
STAMP = len("2026-01-01T00:00:00.000000Z")


def instant(stamp):
    return datetime.fromisoformat(stamp.decode()).timestamp()


def percentiles(seconds):
    found = {f"p{p}_ms": float(np.percentile(seconds, p)) * 1000 for p in (50, 95, 99)}
    return found | {"max_ms": float(np.max(seconds)) * 1000, "n": len(seconds)}


def main(seconds):
    told = settings.load()
    folded, began, cpu, done = [], [], [0.0, 0.0], threading.Event()

    class Stamped(Host):
        async def _fold_batch(self, part, batch):
            await super()._fold_batch(part, batch)
            now = time.time()
            calls = [value for value in batch if value.startswith(CALL)]
            if not calls:
                return
            began.append(now) if not began else None
            if now < began[0] + WARM_UP_S:
                cpu[0] = time.process_time()
            elif now > began[0] + WARM_UP_S + seconds:
                cpu[1] = cpu[1] or time.process_time()
                done.set()
            else:
                # Only cut here, and read when all is over: what is measured must not wait for the measuring.
                at = [value.index(TIME) + len(TIME) for value in calls]
                folded.append((now, [v[i : i + STAMP] for v, i in zip(calls, at, strict=True)]))

    def end():
        code = 1
        try:
            if done.wait(LONGEST_S):
                waited = [now - instant(stamp) for now, stamps in folded for stamp in stamps]
                how = {"batches": len(folded), "cpu_share": (cpu[1] - cpu[0]) / seconds}
                print(json.dumps(percentiles(waited) | how), flush=True)
                code = 0
        finally:
            os._exit(code)

    threading.Thread(target=end, daemon=True).start()
    assembly.run(("observe",), told, instance="latency", host=Stamped)


if __name__ == "__main__":
    logs.configure()
    main(float(sys.argv[1]))
