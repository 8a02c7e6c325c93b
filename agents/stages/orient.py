"""Wires `orient`: panes on `aggregates` become findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.host.partition import Wiring
from optimizer.orient.stage import Orient

if TYPE_CHECKING:
    from agents.settings.settings import Settings
    from agents.wire.catalogue import Catalogue

ROW_BYTES = 880_000
"""Below the 900 kB of a row: room for the panes of partitions that are minutes ahead of the slowest."""


def wire(settings: Settings, catalogue: Catalogue) -> Wiring:
    """The stage with its topics, as the catalogue has them."""
    return Wiring(
        stage=Orient(pane_ms=settings.host.pane_s * 1000, bytes_max=ROW_BYTES),
        source=catalogue.name("aggregates"),
        reads=catalogue.types_on("aggregates"),
        routes=catalogue.routes("orient"),
        quarantine=catalogue.name("quarantine"),
        checkpoint_s=settings.host.checkpoint_s("orient"),
        hands_on_watermark=True,
        stalled_source_ms=settings.host.stalled_source_s * 1000,
    )
