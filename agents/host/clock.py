"""The only clock: once a second it tells every partition of `metrics` how late it is.

It is run by whoever owns partition 0 of `metrics`. Two clocks during a rebalance do no harm: an older
tick is ignored. Where event time is not the wall's (a demo, a backtest), nobody runs it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agents.wire.codec import encode, headers_for
from optimizer.model.event import TickEvent
from optimizer.model.progress import Tick

if TYPE_CHECKING:
    from agents.host.host import Host

log = logging.getLogger("llmopt.clock")


def tick(at_s: float, period_s: float) -> TickEvent:
    """The tick of an instant (seconds since the epoch), cut down to whole periods.

    Its id is derived from the instant: two clocks say the same.
    """
    whole = int(at_s / period_s) * period_s
    return TickEvent(
        specversion="1.0",
        id=f"tick-{round(whole * 1000)}",
        source="/llmopt/clock",
        time=datetime.fromtimestamp(whole, UTC),
        data=Tick(period_ms=round(period_s * 1000)),
    )


async def run(host: Host, partitions: int, period_s: float) -> None:
    """Tick into every partition of the host's input while it owns partition 0; for ever."""
    while True:
        await asyncio.sleep(period_s - time.time() % period_s)
        if 0 not in host.assigned:
            continue
        event = tick(time.time(), period_s)
        body, headers = encode(event), list(headers_for(event))
        said = [_say(host, number, body, headers) for number in range(partitions)]
        for number, result in enumerate(await asyncio.gather(*said, return_exceptions=True)):
            if isinstance(result, BaseException):
                # The next tick says it again; until then the partition's time stands still.
                log.warning("no tick for %s/%d: %s", host.source, number, result)


async def _say(host: Host, number: int, body: bytes, headers: list[tuple[str, bytes]]) -> None:
    delivery: Any = await host.app.producer.send(host.source, None, body, number, None, headers)
    await delivery
