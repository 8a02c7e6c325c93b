"""Wires `observe`: calls on `metrics` become panes on `aggregates`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.declarations import prices
from agents.host.partition import Wiring
from optimizer.observe.stage import Observe

if TYPE_CHECKING:
    from agents.settings.settings import Settings
    from agents.wire.catalogue import Catalogue

CHECKPOINT_S = 1.0
"""Its row is a hundred bytes a target: open panes are rebuilt from the log, not stored."""
AT_ONCE = 256
"""The number of calls that, with all that is made of them, fit into the cache of one core (512 kB)."""


def wire(settings: Settings, catalogue: Catalogue) -> Wiring:
    """The stage with its topics, as the catalogue has them."""
    return Wiring(
        stage=Observe(
            partition_count=settings.host.partitions,
            pane_ms=settings.host.pane_s * 1000,
            watermark_delay_ms=settings.host.watermark_delay_s * 1000,
            dedupe_records=settings.host.dedupe_records,
            prices=prices.load(settings),
        ),
        source=catalogue.name("metrics"),
        reads=catalogue.types_on("metrics"),
        routes=catalogue.routes("observe"),
        quarantine=catalogue.name("quarantine"),
        checkpoint_s=CHECKPOINT_S,
        hands_on_watermark=False,
        at_once=AT_ONCE,
    )
