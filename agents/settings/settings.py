"""Every setting of the shell: its name, its default, the reason for it, and where its value came from.

A setting is an environment variable `LLMOPT_<NAME>` or a line in the TOML file that `LLMOPT_SETTINGS_FILE` names; the
environment wins. Whatever starts with `LLMOPT_` and is not a setting is an error, because a misspelt setting that is
silently ignored is found at night.
"""

import json
import os
import re
import ssl
import tomllib
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from agents.settings.entrances import Entrances
from agents.settings.former import instead_of
from agents.settings.operation import setting
from optimizer.model.pane import PARTITIONS_MOST
from optimizer.model.progress import WATERMARK_DELAY_S

PREFIX = "LLMOPT_"
FILE_VARIABLE = "LLMOPT_SETTINGS_FILE"
Origin = Literal["environment", "file", "program", "default"]


class SettingsError(Exception):
    """A setting is unknown, has a value it cannot have, or is missing where it is needed."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}; {remedy}")
        self.message, self.remedy = message, remedy


class Settings(Entrances):
    """What a process of ours is told from outside; frozen once read."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    prefix: str = setting(
        "llmopt",
        "first part of every topic, consumer group and table name",
        "several installations share a broker; no dots, they separate the parts of a topic's name",
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
    )
    kafka_bootstrap: str | None = setting(
        None, "host:port,… of the Kafka to use", "none: a broker is started on this machine"
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = setting(
        "PLAINTEXT", "how connections to Kafka are secured", "the local broker listens on loopback only"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = setting(
        "SCRAM-SHA-512", "how we log in where the protocol is SASL_*", "the strongest all three clients speak"
    )
    kafka_sasl_username: str | None = setting(None, "user name for SASL_*", "none: no log-in")
    kafka_sasl_password: SecretStr | None = setting(None, "password for SASL_*", "never printed")
    kafka_ssl_cafile: Path | None = setting(
        None,
        "PEM file of the authorities trusted for SSL and SASL_SSL",
        "none: those of the operating system",
    )
    kafka_options: dict[str, str] = setting(
        {},
        "further librdkafka properties, a JSON object",
        "what a site needs and we have no setting for",
        repr=False,
    )
    postgres_dsn: str | None = setting(
        None, "connection string of the ledger's database", "none: PostgreSQL is started here", repr=False
    )
    partitions: int = setting(
        4,
        "P, the partition count of every topic of ours",
        "one count for all, so that a worker owns partition n of every stage; it bounds a stage's workers",
        ge=1,
        le=PARTITIONS_MOST,
    )
    pane_s: int = setting(
        10, "length of a pane, seconds", "windows are whole panes; changes re-align all of them", ge=1
    )
    watermark_delay_s: int = setting(
        WATERMARK_DELAY_S, "how far watermarks lag the clock, seconds", "longer counts more stragglers", ge=0
    )
    stalled_source_s: int = setting(
        300,
        "a source partition this far behind is reported as stalled, seconds",
        "longer than a restart",
        ge=1,
    )
    tick_s: float = setting(
        1.0, "interval of the clock's ticks, seconds", "watermarks move in steps of it", gt=0
    )
    dedupe_records: int = setting(
        200_000,
        "records of a partition in which a producer's duplicate is found",
        "retries arrive within seconds; 200,000 are 20 s at 10,000 events/s and 20 MB",
        ge=0,
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
    checkpoint_orient_s: float = setting(
        5.0, "interval of orient's checkpoints, seconds", "fat rows, cheap refold", gt=0
    )
    checkpoint_decide_s: float = setting(
        1.0, "interval of decide's checkpoints, seconds", "thin rows, little refold", gt=0
    )
    checkpoint_act_s: float = setting(1.0, "interval of act's checkpoints, seconds", "as decide", gt=0)
    session_timeout_s: float = setting(
        10.0,
        "after this long without a heartbeat a worker is dead, seconds",
        "60 s, Faust's own, idles its partitions",
        gt=0,
        le=90,
    )
    heartbeat_s: float = setting(
        2.0, "interval of heartbeats, seconds", "at most a third of the session", gt=0
    )
    rebalance_timeout_s: float = setting(
        20.0,
        "time a worker has to rejoin, seconds",
        "more than a checkpoint and a recovery of small tables",
        gt=0,
    )
    max_poll_records: int = setting(
        2000,
        "records of one fetch, all partitions together",
        "batches large enough for numpy, small enough for 100 ms",
        ge=1,
    )
    commit_s: float = setting(
        0.5, "interval of offset commits, seconds", "reports for lag tools; nothing starts there", gt=0
    )
    linger_ms: int = setting(
        5, "how long a producer gathers a batch, milliseconds", "5–20 trade latency for load", ge=0
    )
    watchdog_s: float = setting(
        30.0,
        "with input waiting and no progress for this long a worker ends, seconds",
        "a fresh start always recovers",
        gt=0,
    )
    state_dir: Path = setting(
        Path(".local/state"),
        "folder of the stages' RocksDB tables",
        "one per worker; may be lost, changelogs restore it",
    )
    local_dir: Path = setting(
        Path(".local"),
        "folder of the servers started on this machine",
        "inside the checkout, so that a clone is apart",
    )
    cache_dir: Path = setting(
        Path("~/.cache/llm-auto-optimizer"), "folder of the fetched jars", "43 MB that survive a fresh clone"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        *_others: PydanticBaseSettingsSource,
        **_unused: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the program's own arguments, the environment and the file, the first one winning."""
        if (file := _file()) is None:
            return init_settings, env_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)

    @model_validator(mode="after")
    def _agree_with_one_another(self) -> Self:
        if self.heartbeat_s * 3 > self.session_timeout_s:
            most = self.session_timeout_s / 3
            raise ValueError(
                f"heartbeat_s must be at most {most:.1f}, a third of the session, got {self.heartbeat_s}"
            )
        if self.prices_file is not None and self.prices_url is not None:
            raise ValueError("prices_file and prices_url must not both be set: one list counts")
        named = self.kafka_sasl_username and self.kafka_sasl_password
        if self.kafka_security_protocol.startswith("SASL") and not named:
            raise ValueError(
                f"{self.kafka_security_protocol} needs kafka_sasl_username and kafka_sasl_password"
            )
        return self

    def at(self, *, bootstrap: str | None = None, dsn: str | None = None) -> Self:
        """Return the same settings, naming the servers just found or started."""
        found = {"kafka_bootstrap": bootstrap, "postgres_dsn": dsn}
        return self.model_copy(update={name: value for name, value in found.items() if value is not None})

    def environment(self) -> dict[str, str]:
        """Return the LLMOPT_* variables under which a child process reads these very settings."""
        chosen = self.model_dump(exclude_unset=True, exclude_none=True, mode="json")
        for name in chosen:
            if isinstance(secret := getattr(self, name), SecretStr):
                chosen[name] = secret.get_secret_value()
        if "kafka_options" in chosen:
            chosen["kafka_options"] = _json(self.kafka_options)
        return {PREFIX + name.upper(): str(value) for name, value in chosen.items()}

    def checkpoint_s(self, stage: str) -> float:
        """Return the checkpoint interval of `orient`, `decide` or `act` in seconds; `observe` has none."""
        return float(getattr(self, f"checkpoint_{stage}_s"))

    def librdkafka(self) -> dict[str, str | int | float | bool]:
        """Return the properties every confluent-kafka client of ours starts from.

        Raises:
            SettingsError: no broker is named.
        """
        properties: dict[str, str | int | float | bool] = {
            "bootstrap.servers": self.bootstrap(),
            "security.protocol": self.kafka_security_protocol,
        }
        if self.kafka_security_protocol.startswith("SASL"):
            properties["sasl.mechanism"] = self.kafka_sasl_mechanism
            properties["sasl.username"] = self.kafka_sasl_username or ""
            properties["sasl.password"] = self._password()
        if self.kafka_ssl_cafile is not None:
            properties["ssl.ca.location"] = str(self.kafka_ssl_cafile)
        return properties | self.kafka_options

    def aiokafka(self) -> dict[str, Any]:
        """Return the arguments every aiokafka client of ours starts from.

        Raises:
            SettingsError: no broker is named.
        """
        arguments: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap(),
            "security_protocol": self.kafka_security_protocol,
            "ssl_context": self.ssl_context(),
        }
        if self.kafka_security_protocol.startswith("SASL"):
            arguments["sasl_mechanism"] = self.kafka_sasl_mechanism
            arguments["sasl_plain_username"] = self.kafka_sasl_username
            arguments["sasl_plain_password"] = self._password()
        return arguments

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return what aiokafka and Faust verify the broker with; None where the protocol is not encrypted."""
        if not self.kafka_security_protocol.endswith("SSL"):
            return None
        return ssl.create_default_context(cafile=self.kafka_ssl_cafile)

    def bootstrap(self) -> str:
        """Return the broker's address.

        Raises:
            SettingsError: no broker is named.
        """
        if self.kafka_bootstrap is None:
            raise SettingsError(
                "no Kafka is named", "set LLMOPT_KAFKA_BOOTSTRAP, or start one here with `llmopt up`"
            )
        return self.kafka_bootstrap

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

    def _password(self) -> str:
        return "" if self.kafka_sasl_password is None else self.kafka_sasl_password.get_secret_value()


class Listed(NamedTuple):
    """One line of `llmopt settings`."""

    name: str
    variable: str
    value: str
    default: str
    origin: Origin
    description: str
    reason: str


def load() -> Settings:
    """Return the settings of this process, from its environment and its settings file.

    Raises:
        SettingsError: an LLMOPT_* variable or a line of the file is unknown or has an impossible value.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {FILE_VARIABLE}
    for variable in sorted(os.environ):
        if variable.startswith(PREFIX) and variable not in known:
            raise SettingsError(f"{variable} is no setting", instead_of(variable, known))
    _in_file()
    try:
        return Settings()
    except ValidationError as error:
        raise _plain(error) from None
    except ValueError as error:
        # pydantic-settings reports JSON that does not parse in this way, the cause carries the place.
        raise SettingsError(f"{error}: {error.__cause__}", "give a JSON object") from None


def listing(settings: Settings) -> list[Listed]:
    """Return every setting with value, default and origin, in the order of the class, secrets masked."""
    in_file = _in_file()
    lines = []
    for name, field in Settings.model_fields.items():
        variable = PREFIX + name.upper()
        if name not in settings.model_fields_set:
            origin: Origin = "default"
        elif os.environ.get(variable):
            origin = "environment"
        else:
            origin = "file" if name in in_file else "program"
        reason = field.json_schema_extra["reason"] if isinstance(field.json_schema_extra, dict) else ""
        lines.append(
            Listed(
                name=name,
                variable=variable,
                value=_shown(getattr(settings, name)),
                default=_shown(field.default),
                origin=origin,
                description=field.description or "",
                reason=str(reason),
            )
        )
    return lines


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        secret = re.compile(r"password|secret|key\.pem|token|jaas", re.IGNORECASE)
        return _json({key: "***" if secret.search(key) else text for key, text in value.items()})
    if isinstance(value, SecretStr):
        return "***"
    text = re.sub(r"(://[^:/@]*:)[^@]*@", r"\1***@", str(value))
    return re.sub(r"(password\s*=\s*)('[^']*'|\S+)", r"\1***", text)


def _json(value: dict[str, str]) -> str:
    return json.dumps(value, sort_keys=True)


def _file() -> Path | None:
    named = os.environ.get(FILE_VARIABLE)
    return Path(named).expanduser() if named else None


def _in_file() -> dict[str, Any]:
    """Return what the settings file holds, empty without one."""
    if (file := _file()) is None:
        return {}
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"{FILE_VARIABLE} names {file}, which cannot be read: {error.strerror}", "correct it"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is not TOML: {error}", "correct that line") from None
    for name in values:
        if name not in Settings.model_fields:
            raise SettingsError(
                f"{name} in {file} is no setting", instead_of(name, set(Settings.model_fields))
            )
    return values


def _plain(error: ValidationError) -> SettingsError:
    """Return the first complaint as one sentence, without the value of a secret."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    said = str(first["msg"]).removeprefix("Value error, ")
    if not name:
        return SettingsError(said, "change one of them; `llmopt settings` lists all")
    got = "" if re.search(r"password|token|dsn|options", name) else f", got {first['input']!r}"
    return SettingsError(
        f"{PREFIX}{name.upper()}: {said}{got}", "`llmopt settings` tells what each setting means"
    )
