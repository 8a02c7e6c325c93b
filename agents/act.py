"""Wires `act`: decisions become rollouts and configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.partition import Wiring
from optimizer.act.stage import Act

if TYPE_CHECKING:
    from agents.catalogue import Catalogue
    from agents.settings import Settings


def wire(settings: Settings, catalogue: Catalogue) -> Wiring:
    """The stage with its topics, as the catalogue has them."""
    return Wiring(
        stage=Act(),
        source=catalogue.name("decisions"),
        reads=catalogue.types_on("decisions"),
        routes=catalogue.routes("act"),
        quarantine=catalogue.name("quarantine"),
        checkpoint_s=settings.checkpoint_s("act"),
        hands_on_watermark=False,
    )
