"""Wires `act`: decisions become rollouts and configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.host.partition import Wiring
from optimizer.act.stage import Act

if TYPE_CHECKING:
    from agents.settings.settings import Settings
    from agents.wire.catalogue import Catalogue


def wire(settings: Settings, catalogue: Catalogue) -> Wiring:
    """The stage with its topics, as the catalogue has them."""
    return Wiring(
        stage=Act(),
        source=catalogue.name("decisions"),
        reads=catalogue.types_on("decisions"),
        routes=catalogue.routes("act"),
        quarantine=catalogue.name("quarantine"),
        checkpoint_s=settings.host.checkpoint_s("act"),
        hands_on_watermark=False,
    )
