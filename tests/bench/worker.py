"""python -m tests.bench.worker INSTANCE REPORT: observe, telling in a file how far it has come in each partition."""

import json
import sys
import threading
import time
from pathlib import Path

from agents import worker as assembly
from agents.host.host import Host
from agents.settings import settings
from agents.telemetry import logs

EVERY_S = 0.1


def main(instance, report):
    folded, at = {}, 0.0

    class Told(Host):
        async def _fold_batch(self, part, batch):
            nonlocal at
            await super()._fold_batch(part, batch)
            folded[part.number], at = part.folded, time.time()

    def tell(host):
        draft = report.with_suffix(".draft")
        while True:
            mine = {number: folded.get(number, -1) for number in list(host.assigned)}
            draft.write_text(json.dumps({"folded": mine, "at": at}))
            draft.rename(report)
            time.sleep(EVERY_S)

    in_the_product = assembly.build

    def build(*args, **kwargs):
        hosts = in_the_product(*args, **kwargs)
        threading.Thread(target=tell, args=hosts, daemon=True).start()
        return hosts

    assembly.build = build
    assembly.run(("observe",), settings.load(), instance=instance, with_clock=False, host=Told)


if __name__ == "__main__":
    logs.configure()
    main(sys.argv[1], Path(sys.argv[2]))
