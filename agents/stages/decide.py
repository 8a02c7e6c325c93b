"""Wires `decide`: findings become decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.host.partition import Wiring
from optimizer.decide.stage import Decide

if TYPE_CHECKING:
    from agents.settings.settings import Settings
    from agents.wire.catalogue import Catalogue


def wire(settings: Settings, catalogue: Catalogue) -> Wiring:
    """The stage with its topics, as the catalogue has them."""
    return Wiring(
        stage=Decide(),
        source=catalogue.name("findings"),
        reads=catalogue.types_on("findings"),
        routes=catalogue.routes("decide"),
        quarantine=catalogue.name("quarantine"),
        checkpoint_s=settings.host.checkpoint_s("decide"),
        hands_on_watermark=True,
    )
