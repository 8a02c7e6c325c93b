"""The settings of who looks after a running installation: metrics, and a registry of prices.

They are a part of `agents.settings.settings.Settings`, which is what everybody reads.
"""

from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings


def setting(default: Any, description: str, reason: str, **limits: Any) -> Any:
    """A field of the settings; `llmopt settings` shows description and reason."""
    return Field(default=default, description=description, json_schema_extra={"reason": reason}, **limits)


class Operation(BaseSettings):
    """Where a worker shows its metrics, and where its prices come from."""

    metrics_port: int | None = setting(
        None,
        "port on which a worker shows its metrics to Prometheus",
        "none: not shown; of several workers each takes the next port",
        ge=1,
        le=65_535,
    )
    metrics_host: str = setting(
        "127.0.0.1",
        "address on which the metrics are shown",
        "loopback: there is no log-in",
        min_length=1,
        max_length=255,
    )
    prices_url: str | None = setting(
        None,
        "http, https or file address of a prices.yaml, read once when a worker starts",
        "none: prices_file and the list; one list for all workers wants one place",
        pattern=r"^(https?|file)://\S+$",
        max_length=2_048,
    )
