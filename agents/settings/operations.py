"""The settings of who looks after an installation: database, metrics, registries of prices and models, folders."""

from pathlib import Path
from typing import Self

from pydantic import model_validator

from agents.settings.group import SettingsError, SettingsGroup, setting


class OperationSettings(SettingsGroup):
    """The settings of what surrounds the stages."""

    postgres_dsn: str | None = setting(
        None, "connection string of the ledger's database", "none: PostgreSQL is started here", repr=False
    )
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
    prices_file: Path | None = setting(
        None,
        "YAML file with prices of your own, before the listed ones",
        "none: list prices of the installed genai-prices",
    )
    models_file: Path | None = setting(
        None,
        "YAML file with models of your own, for declarations that name them without prices",
        "none: what the price list knows",
    )
    local_dir: Path = setting(
        Path(".local"),
        "folder of the servers started on this machine",
        "inside the checkout, so that a clone is apart",
    )
    cache_dir: Path = setting(
        Path("~/.cache/llm-auto-optimizer"), "folder of the fetched jars", "43 MB that survive a fresh clone"
    )

    @model_validator(mode="after")
    def _name_one_price_list(self) -> Self:
        if self.prices_file is not None and self.prices_url is not None:
            raise ValueError("prices_file and prices_url must not both be set: one list counts")
        return self

    def dsn(self) -> str:
        """Return the database's connection string.

        Raises:
            SettingsError: no database is named.
        """
        if self.postgres_dsn is None:
            raise SettingsError(
                "no database is named", "set LLMOPT_POSTGRES_DSN, or start one here with `llmopt up`"
            )
        return self.postgres_dsn
