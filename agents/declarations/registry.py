"""The registry of models: what a declaration may name without saying what it costs.

A file of one's own (`models_file`) comes first; then whatever the price list knows, which is `prices.yaml` over
the data of the installed `genai-prices`. A declaration that is published carries what was found: later changes
of the registry change no running target until it is applied again.
"""

from __future__ import annotations

import difflib
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, NamedTuple

from msgspec import Meta, Struct

from agents.declarations import prices
from agents.declarations.documents import declared
from agents.settings.group import SettingsError
from agents.settings.settings import Settings
from optimizer.model.prior import Prior
from optimizer.model.target import UsdPerMillion
from optimizer.prices import PER_TOKEN

if TYPE_CHECKING:
    from optimizer.prices import PriceList

Named = Annotated[str, Meta(min_length=1, max_length=128)]


class RegisteredModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model of one's own registry; None: unknown."""

    name: Named
    provider: Annotated[str, Meta(max_length=128)] = ""
    input_usd_per_million_tokens: UsdPerMillion | None = None
    output_usd_per_million_tokens: UsdPerMillion | None = None
    context_tokens: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    capabilities: Annotated[tuple[Named, ...], Meta(max_length=32)] = ()
    """Such as vision, tools, json."""
    prior: Prior | None = None


class ModelsFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`models.yaml`."""

    models: Annotated[tuple[RegisteredModel, ...], Meta(max_length=10_000)]


class KnownModel(NamedTuple):
    """A model, and where it is known from."""

    entry: RegisteredModel
    origin: str


class Registry:
    """Models by name, of one's own and listed; the list is read when it is first asked."""

    def __init__(self, settings: Settings, at_ms: int) -> None:
        """Know what the settings name, with the prices of an instant (ms since the epoch).

        Raises:
            SettingsError: `models_file` names a file that cannot be read, or that holds mistakes.
        """
        self._settings, self._at_ms = settings, at_ms
        self._own = _own(settings)

    @cached_property
    def _prices(self) -> PriceList:
        return prices.load(self._settings)

    def find(self, name: str, provider: str = "") -> KnownModel | None:
        """The model of that name, prices from the list where one's own file has none; None where it is unknown."""
        own = next((e for e in self._own if e.name == name and provider in ("", e.provider)), None)
        if own is not None and _priced(own):
            return KnownModel(own, "own")
        listed = self._listed(name, provider or (own.provider if own else ""))
        if own is None:
            return listed
        if listed is None:
            return KnownModel(own, "own")
        found = {
            field: getattr(own if getattr(own, field) not in (None, "", ()) else listed.entry, field)
            for field in RegisteredModel.__struct_fields__
        }
        return KnownModel(RegisteredModel(**found), f"own, prices of {listed.origin}")

    def _listed(self, name: str, provider: str) -> KnownModel | None:
        source = self._prices.source(provider or None, name, self._at_ms)
        if source is None:
            return None
        rates = source.price.rates
        entry = RegisteredModel(
            name=name,
            provider=provider,
            input_usd_per_million_tokens=_usd(rates.input if rates else None),
            output_usd_per_million_tokens=_usd(rates.output if rates else None),
            context_tokens=_context(source.origin),
        )
        return KnownModel(entry, source.origin)

    def nearest(self, name: str) -> str | None:
        """The known name that is most like another."""
        names = [*(entry.name for entry in self._own), *_listed_names()]
        return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.6)), None)

    def entries(self) -> list[KnownModel]:
        """Every model of one's own, then every listed one, in the order of providers."""
        own = [KnownModel(entry, "own") for entry in self._own]
        found = (self._listed(name, provider) for provider, name in _listed_models())
        return own + [registered for registered in found if registered is not None]


def _own(settings: Settings) -> tuple[RegisteredModel, ...]:
    path = settings.operations.models_file
    if path is None:
        return ()
    try:
        text = path.expanduser().read_text()
    except OSError as error:
        said = f"models_file names {path}, which cannot be read: {error.strerror}"
        raise SettingsError(said, "correct the setting") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8", "save it as UTF-8") from None
    file, mistakes = declared(text, ModelsFile)
    if file is None:
        told = "\n".join(f"{path}:{mistake}" for mistake in mistakes[: prices.SHOWN])
        raise SettingsError(told, "correct these lines; docs/models.md has an example")
    names = [(entry.provider, entry.name) for entry in file.models]
    for i, named in enumerate(names):
        if named in names[:i]:
            raise SettingsError(f"{path}: models[{i}]: {named[1]!r} is listed twice", "keep one of them")
    return file.models


def _priced(entry: RegisteredModel) -> bool:
    return entry.input_usd_per_million_tokens is not None and entry.output_usd_per_million_tokens is not None


def _usd(price: int | None) -> float | None:
    return None if price is None else price * 10**6 / PER_TOKEN


def _listed_models() -> list[tuple[str, str]]:
    """(provider, name) of every listed model."""
    return [(provider.name, model.name) for provider in prices.listed() for model in provider.models]


def _listed_names() -> list[str]:
    return sorted({name for _, name in _listed_models()})


def _context(origin: str) -> int | None:
    """The context window of a listed model, tokens; `origin` is `provider/model`."""
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 - as in agents.declarations.prices

    provider, _, name = origin.partition("/")
    for one in get_snapshot().providers:
        if one.id == provider:
            return next((model.context_window for model in one.models if model.id == name), None)
    return None
