"""Every setting of the shell: its name, its default, the reason for it, and where its value came from.

A setting is an environment variable `LLMOPT_<NAME>` or a line in the TOML file that `LLMOPT_SETTINGS_FILE` names; the
environment wins. Whatever starts with `LLMOPT_` and is not a setting is an error, because a misspelt setting that is
silently ignored is found at night.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Self, TypeVar

from pydantic import SecretStr, ValidationError

from agents.settings.former import instead_of
from agents.settings.gateway import GatewaySettings
from agents.settings.group import FILE_VARIABLE, PREFIX, SettingsError, SettingsGroup, settings_file
from agents.settings.host import HostSettings
from agents.settings.kafka import KafkaSettings
from agents.settings.operations import OperationSettings

Origin = Literal["environment", "file", "program", "default"]

GROUPS: dict[str, type[SettingsGroup]] = {
    "host": HostSettings,
    "kafka": KafkaSettings,
    "operations": OperationSettings,
    "gateway": GatewaySettings,
}
"""Attribute of `Settings` → its class, in the order in which `llmopt settings` lists them."""
NAMES: dict[str, tuple[str, str]] = {
    group.qualifier + field: (attribute, field)
    for attribute, group in GROUPS.items()
    for field in group.model_fields
}
"""Name of a setting, as the file has it → attribute of `Settings` and field of the group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a process of ours, by groups; `load` reads them."""

    kafka: KafkaSettings
    host: HostSettings
    gateway: GatewaySettings
    operations: OperationSettings

    def but(self, **chosen: Any) -> Self:
        """Return the same settings with some of them chosen by the program; unlike `load`, nothing is checked."""
        updates: dict[str, dict[str, Any]] = {}
        for name, value in chosen.items():
            attribute, field = NAMES[name]
            updates.setdefault(attribute, {})[field] = value
        return replace(
            self,
            **{
                attribute: getattr(self, attribute).model_copy(update=update)
                for attribute, update in updates.items()
            },
        )

    def at(self, *, bootstrap: str | None = None, dsn: str | None = None) -> Self:
        """Return the same settings, naming the servers just found or started."""
        servers = {"kafka_bootstrap": bootstrap, "postgres_dsn": dsn}
        return self.but(**{name: value for name, value in servers.items() if value is not None})

    def environment(self) -> dict[str, str]:
        """Return the LLMOPT_* variables under which a child process reads these very settings."""
        return {
            PREFIX + name.upper(): _written(value)
            for name, group, field in self.each()
            if field in group.model_fields_set and (value := getattr(group, field)) is not None
        }

    def each(self) -> Iterator[tuple[str, SettingsGroup, str]]:
        """Every setting: its name, its group, and its field there."""
        for name, (attribute, field) in NAMES.items():
            yield name, getattr(self, attribute), field


class Listed(NamedTuple):
    """One line of `llmopt settings`."""

    name: str
    variable: str
    value: str
    default: str
    origin: Origin
    description: str
    reason: str


def load(**chosen: Any) -> Settings:
    """Return the settings of this process, from its environment and its settings file.

    `chosen` are settings that the program decides, by name.

    Raises:
        SettingsError: an LLMOPT_* variable or a line of the file is unknown or has an impossible value.
    """
    assert chosen.keys() <= NAMES.keys(), "the program chooses among the settings"  # noqa: S101 - a programming error
    variables = {PREFIX + name.upper() for name in NAMES} | {FILE_VARIABLE}
    for variable in sorted(os.environ):
        if variable.startswith(PREFIX) and variable not in variables:
            raise SettingsError(f"{variable} is no setting", instead_of(variable, variables))
    _in_file()
    return Settings(
        kafka=_read(KafkaSettings, chosen),
        host=_read(HostSettings, chosen),
        gateway=_read(GatewaySettings, chosen),
        operations=_read(OperationSettings, chosen),
    )


_AnyGroup = TypeVar("_AnyGroup", bound=SettingsGroup)


def _read(group: type[_AnyGroup], chosen: dict[str, Any]) -> _AnyGroup:
    mine = {field: value for name, value in chosen.items() if (field := group.field_of(name)) is not None}
    try:
        return group(**mine)
    except ValidationError as error:
        raise _plain(error, group) from None
    except ValueError as error:
        # pydantic-settings reports JSON that does not parse in this way: the field in words, the place in the cause.
        quoted = re.search(r'field "(\w+)"', str(error))
        variable = PREFIX + (group.qualifier + quoted[1] if quoted else "").upper()
        raise SettingsError(f"{variable} is not JSON: {error.__cause__}", "give a JSON object") from None


def listing(settings: Settings) -> list[Listed]:
    """Return every setting with value, default and origin, by groups, secrets masked."""
    in_file = _in_file()
    lines = []
    for name, group, field in settings.each():
        variable = PREFIX + name.upper()
        if field not in group.model_fields_set:
            origin: Origin = "default"
        elif os.environ.get(variable):
            origin = "environment"
        else:
            origin = "file" if name in in_file else "program"
        about = type(group).model_fields[field]
        reason = about.json_schema_extra["reason"] if isinstance(about.json_schema_extra, dict) else ""
        lines.append(
            Listed(
                name=name,
                variable=variable,
                value=_shown(getattr(group, field)),
                default=_shown(about.default),
                origin=origin,
                description=about.description or "",
                reason=str(reason),
            )
        )
    return lines


def _written(value: Any) -> str:
    """The text from which a variable is read again."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return _json(value) if isinstance(value, dict) else str(value)


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


def _in_file() -> dict[str, Any]:
    """Return what the settings file holds, empty without one."""
    if (file := settings_file()) is None:
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
        if name not in NAMES:
            raise SettingsError(f"{name} in {file} is no setting", instead_of(name, set(NAMES)))
    return values


def _plain(error: ValidationError, group: type[SettingsGroup]) -> SettingsError:
    """Return the first complaint as one sentence, without the value of a secret."""
    first = error.errors(include_url=False)[0]
    name = group.qualifier + str(first["loc"][0]) if first["loc"] else ""
    said = str(first["msg"]).removeprefix("Value error, ")
    if not name:
        return SettingsError(said, "change one of them; `llmopt settings` lists all")
    got = "" if re.search(r"password|token|dsn|options", name) else f", got {first['input']!r}"
    return SettingsError(
        f"{PREFIX}{name.upper()}: {said}{got}", "`llmopt settings` tells what each setting means"
    )
