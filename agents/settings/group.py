"""A group of settings: fields with a description and the reason for their default, read from environment and file.

A group is a model of its own, for those who need no other. `agents.settings.settings` composes them.
"""

import os
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

PREFIX = "LLMOPT_"
FILE_VARIABLE = "LLMOPT_SETTINGS_FILE"


class SettingsError(Exception):
    """A setting is unknown, has a value it cannot have, or is missing where it is needed."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}; {remedy}")
        self.message, self.remedy = message, remedy


def setting(default: Any, description: str, reason: str, **limits: Any) -> Any:
    """A field of a group; `llmopt settings` shows description and reason."""
    return Field(default=default, description=description, json_schema_extra={"reason": reason}, **limits)


class SettingsGroup(BaseSettings):
    """Settings of one subject; frozen once read.

    The program's own choice wins over the environment, and that over the file.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    qualifier: ClassVar[str] = ""
    """What the names of the group's settings begin with outside; `env_prefix` agrees with it."""

    @classmethod
    def field_of(cls, name: str) -> str | None:
        """The field that a setting's name stands for; None where it is none of this group."""
        field = name.removeprefix(cls.qualifier)
        return field if name.startswith(cls.qualifier) and field in cls.model_fields else None

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
        if (file := settings_file()) is None:
            return init_settings, env_settings
        return init_settings, env_settings, _FileSource(settings_cls, file)


class _FileSource(TomlConfigSettingsSource):
    """The lines of the settings file that are of one group, under the names of its fields."""

    def __call__(self) -> dict[str, Any]:
        group = self.settings_cls
        assert issubclass(group, SettingsGroup), "only groups are read"  # noqa: S101 - a programming error
        fields = {name: group.field_of(name) for name in super().__call__()}
        return {field: self.toml_data[name] for name, field in fields.items() if field is not None}


def settings_file() -> Path | None:
    """The file that LLMOPT_SETTINGS_FILE names; None where it names none."""
    named = os.environ.get(FILE_VARIABLE)
    return Path(named).expanduser() if named else None
