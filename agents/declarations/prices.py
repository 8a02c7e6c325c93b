"""The list of prices that `observe` counts with: `prices.yaml` over what `genai-prices` knows.

A file of one's own comes first, name by name; the rest is the data of the installed
`genai-prices`, translated once when a process starts. Nothing is fetched but, once, what
`prices_url` names instead of a file. The version names both, so that a pane says by which prices it was counted.
"""

from __future__ import annotations

import hashlib
import urllib.request
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from http.client import HTTPException
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from agents.declarations.documents import Document, LocatedMistake, Path, UnreadableText, compose
from agents.settings.group import SettingsError
from agents.settings.settings import Settings
from optimizer.prices import PER_TOKEN, ListedModel, Match, Override, Price, PriceList, Provider, Rates

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PLACES = 18
"""Decimal places of a price in USD per million tokens: all that PER_TOKEN holds."""
MOST_USD = 1_000_000
"""Per million tokens: a dollar a token. What is dearer is a slip of the pen."""
SHOWN = 20
"""Mistakes of a file that are told in one message."""

ANSWER_S = 5.0
"""A registry that has not answered by then is not there."""
MOST_BYTES = 4_000_000
"""The most bytes of a registry's answer: twenty thousand entries."""

Named = Annotated[str, Meta(min_length=1, max_length=128)]


class RegistryUnreachable(Exception):
    """`prices_url` does not answer with a list; without prices nothing should be counted."""

    remedy = "see that it runs, correct LLMOPT_PRICES_URL, or keep a copy as LLMOPT_PRICES_FILE"

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"the registry of prices at {address} cannot be read: {reason}")


class Charges(Struct, frozen=True, kw_only=True):
    """The charges of tokens, as people write them; what is left out costs as its whole."""

    input_usd_per_million_tokens: Decimal | None = None
    output_usd_per_million_tokens: Decimal | None = None
    cached_input_usd_per_million_tokens: Decimal | None = None
    cache_write_input_usd_per_million_tokens: Decimal | None = None
    reasoning_usd_per_million_tokens: Decimal | None = None


class Beyond(Charges, frozen=True, kw_only=True):
    """The charges of all tokens of a call once it has more input tokens than this."""

    input_tokens: Annotated[int, Meta(ge=1, le=1_000_000_000)]


class OwnPrice(Charges, frozen=True, kw_only=True):
    """One price of one's own."""

    model: Named
    """The name of the model, upper and lower case alike; a `*` at its end stands for whatever follows."""
    provider: Named | None = None
    """None: whoever sells the model."""
    usd_per_million_calls: Decimal = Decimal(0)
    since: date | None = None
    """The UTC day with which it begins to hold; None: always has."""
    beyond: Annotated[tuple[Beyond, ...], Meta(max_length=8)] = ()


class PricesFile(Struct, frozen=True):
    """`prices.yaml`."""

    prices: Annotated[tuple[OwnPrice, ...], Meta(max_length=10_000)]


def load(settings: Settings) -> PriceList:
    """The price list of this installation.

    Raises:
        SettingsError: `prices_file` names a file that cannot be read, or that holds mistakes.
        RegistryUnreachable: `prices_url` does not answer with a list.
    """
    from genai_prices import __version__ as release  # noqa: PLC0415 a quarter of a second that few processes need

    version = f"genai-prices {release}"
    if (given := _given(settings)) is None:
        return PriceList(version, listed())
    where, content = given
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise SettingsError(f"{where} is not UTF-8", "save it as UTF-8") from None
    overrides, mistakes = read(text)
    if mistakes:
        told = "\n".join(f"{where}:{mistake}" for mistake in mistakes[:SHOWN])
        more = f" and {len(mistakes) - SHOWN} more" if len(mistakes) > SHOWN else ""
        raise SettingsError(f"{told}{more}", "correct these lines; docs/prices.md has an example")
    digest = hashlib.sha256(content).hexdigest()[:12]
    return PriceList(f"{version} + sha256:{digest}", listed(), overrides)


def _given(settings: Settings) -> tuple[str, bytes] | None:
    """The place of one's own prices, and its text; None where the settings name no place."""
    if settings.operations.prices_url is not None:
        return settings.operations.prices_url, _fetched(settings.operations.prices_url)
    if settings.operations.prices_file is None:
        return None
    try:
        return str(settings.operations.prices_file), settings.operations.prices_file.expanduser().read_bytes()
    except OSError as error:
        said = f"prices_file names {settings.operations.prices_file}, which cannot be read: {error.strerror}"
        raise SettingsError(said, "correct the setting") from None


def _fetched(address: str) -> bytes:
    """The answer of a registry.

    Raises:
        RegistryUnreachable: It does not, or answers with something else, or with too much.
    """
    try:
        with urllib.request.urlopen(address, timeout=ANSWER_S) as answer:  # noqa: S310 - the settings allow http, https, file
            content: bytes = answer.read(MOST_BYTES + 1)
    except (OSError, HTTPException, ValueError) as error:
        raise RegistryUnreachable(address, str(getattr(error, "reason", None) or error)) from None
    if len(content) > MOST_BYTES:
        raise RegistryUnreachable(address, f"a list has at most {MOST_BYTES:,} bytes, this one has more")
    return content


# -- prices of one's own ---------------------------------------------------------------------------


def read(text: str) -> tuple[tuple[Override, ...], tuple[LocatedMistake, ...]]:
    """The prices that YAML text holds, most specific first, or every mistake found in it."""
    try:
        nodes = compose(text)
    except UnreadableText as unreadable:
        return (), (unreadable.mistake,)
    if len(nodes) != 1:
        return (), (
            LocatedMistake(1, 1, "", f"must be one document with a list of prices, found {len(nodes)}"),
        )
    document = Document(nodes[0], exact=True)
    file, mistakes = document.read_as(PricesFile)
    if file is None:
        return (), mistakes
    wrong = tuple(sorted(document.mistake(path, sentence) for path, sentence in _wrong(file)))
    if wrong:
        return (), wrong
    ordered = sorted(file.prices, key=_specificity)
    return tuple(map(_override, ordered)), ()


def _specificity(entry: OwnPrice) -> tuple[bool, int, bool, int]:
    """Sorts whole names before beginnings, long before short, a provider's before anyone's, new before old."""
    since = entry.since.toordinal() if entry.since else 0
    return entry.model.endswith("*"), -len(entry.model), entry.provider is None, -since


def _wrong(file: PricesFile) -> Iterator[tuple[Path, str]]:
    first: dict[tuple[str, str, date | None], int] = {}
    for i, entry in enumerate(file.prices):
        at: Path = ("prices", i)
        if "*" in entry.model[:-1]:
            yield (*at, "model"), f"may have a `*` only at its end, found {entry.model!r}"
        named = entry.model.lower(), (entry.provider or "").lower(), entry.since
        if (before := first.setdefault(named, i)) != i:
            yield at, f"is the same model, provider and day as prices[{before}]; keep one of them"
        yield from _unpayable(entry, at)
        if not entry.usd_per_million_calls and all(price is None for price in _charged(entry).values()):
            yield at, "must have a price; 0 where the model costs nothing"
        for j, beyond in enumerate(entry.beyond):
            yield from _unpayable(beyond, (*at, "beyond", j))
            yield from _incomplete(beyond, entry, (*at, "beyond", j))


def _charged(charges: Charges) -> dict[str, Decimal | None]:
    return {name: getattr(charges, name) for name in Charges.__struct_fields__}


def _unpayable(charges: Charges, at: Path) -> Iterator[tuple[Path, str]]:
    prices = _charged(charges)
    if isinstance(charges, OwnPrice):
        prices["usd_per_million_calls"] = charges.usd_per_million_calls
    for name, price in prices.items():
        if price is None:
            continue
        if not price.is_finite() or not 0 <= price <= MOST_USD:
            yield (*at, name), f"must be from 0 to {MOST_USD}, found {price}"
        elif _places(price) > PLACES:
            yield (*at, name), f"must have at most {PLACES} decimal places, found {_places(price)}"
    for part, whole in (("cached_input", "input"), ("cache_write_input", "input"), ("reasoning", "output")):
        ending = "_usd_per_million_tokens"
        if prices[part + ending] is not None and prices[whole + ending] is None:
            yield (*at, part + ending), f"needs {whole + ending} beside it: a part has a whole"


def _incomplete(beyond: Beyond, entry: OwnPrice, at: Path) -> Iterator[tuple[Path, str]]:
    """The charges that a long context lacks beside the entry it replaces; two of one length would hide each other."""
    for name in ("input_usd_per_million_tokens", "output_usd_per_million_tokens"):
        if getattr(entry, name) is not None and getattr(beyond, name) is None:
            yield at, f"needs {name}, as the price that it replaces has it"
    if [one.input_tokens for one in entry.beyond].count(beyond.input_tokens) > 1:
        yield (*at, "input_tokens"), f"must be given once, found {beyond.input_tokens} again"


def _override(entry: OwnPrice) -> Override:
    beyond = sorted(entry.beyond, key=lambda beyond: -beyond.input_tokens)
    call = _fixed(entry.usd_per_million_calls)
    price = Price(
        rates=_rates(entry, call),
        above=tuple((one.input_tokens, _rates(one, call)) for one in beyond),
        since_ms=None if entry.since is None else _midnight_ms(entry.since),
    )
    beginning = entry.model.removesuffix("*")
    match = Match("equals" if beginning == entry.model else "starts_with", beginning)
    return Override(match, price, entry.provider.lower() if entry.provider else None)


def _rates(charges: Charges, call: int) -> Rates:
    prices = {
        name.removesuffix("_usd_per_million_tokens"): None if price is None else _fixed(price)
        for name, price in _charged(charges).items()
    }
    return Rates(**prices, call=call)


def _places(price: Decimal) -> int:
    exponent = price.as_tuple().exponent
    assert isinstance(exponent, int)  # noqa: S101 a finite number has one
    return -exponent


def _fixed(price: Decimal) -> int:
    """USD per million (tokens or calls) in units of 1/PER_TOKEN USD each; exact up to PLACES."""
    numerator, denominator = price.as_integer_ratio()
    return numerator * (PER_TOKEN // 10**6) // denominator


def _midnight_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


# -- prices that are listed ------------------------------------------------------------------------

ALSO_CALLED = {
    "azure": ("azure.ai.inference", "azure_ai"),
    "fireworks": ("fireworks_ai",),
    "google": ("gcp.gen_ai",),
    "moonshotai": ("moonshot_ai",),
    "x-ai": ("x_ai",),
}
"""Names of providers in the GenAI conventions and in gateways that `genai-prices` does not know."""

_RATES = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cached_input",
    "cache_write_mtok": "cache_write_input",
    "output_reasoning_mtok": "reasoning",
    "requests_kcount": "call",
}
_NOT_ASKED_FOR = frozenset({
    "cache_write_1h_mtok", "web_searches_kcount", "storage_searches_kcount",
    "input_audio_mtok", "input_image_mtok", "input_video_mtok", "cache_audio_read_mtok", "cache_image_read_mtok",
})  # fmt: skip
"""What a call may be charged for besides, and does not tell: it is priced as a call without. A model
that is charged for anything else (hours, pages, answers in sound or pictures) has an unknown price."""


@cache
def listed() -> tuple[Provider, ...]:
    """The data of the installed `genai-prices`, as rules of the core."""
    from genai_prices.data import providers  # noqa: PLC0415 as in `load`

    return tuple(
        Provider(
            name=provider.id,
            models=tuple(
                ListedModel(model.id, _match(model.match), tuple(_prices(model.prices)))
                for model in provider.models
            ),
            match=_called(provider),
            by_model=_match(provider.model_match) if provider.model_match else None,
            resells=tuple(provider.fallback_model_providers or ()),
        )
        for provider in providers
    )


def _called(provider: Any) -> Match | None:
    names = [Match("equals", name) for name in ALSO_CALLED.get(provider.id, ())]
    if provider.provider_match:
        names.append(_match(provider.provider_match))
    return Match("any", parts=tuple(names)) if names else None


def _match(clause: Any) -> Match:
    ((how, said),) = vars(clause).items()
    if how in {"or_", "and_"}:
        return Match("any" if how == "or_" else "all", parts=tuple(map(_match, said)))
    return Match(how, said)


def _prices(prices: Any) -> Iterator[Price]:
    """The prices of a model, first that holds first; there the last that holds counts, or else the first."""
    if not isinstance(prices, list):
        yield _price(prices)
        return
    for conditional in reversed(prices):
        yield _price(conditional.prices, conditional.constraint)
    if prices and prices[0].constraint is not None:
        yield _price(prices[0].prices)


def _price(charged: Any, constraint: Any = None) -> Price:
    since_ms = daily_ms = None
    if hasattr(constraint, "start_date"):
        since_ms = _midnight_ms(constraint.start_date)
    elif constraint is not None:
        daily_ms = _of_day_ms(constraint.start_time), _of_day_ms(constraint.end_time)
    prices = {key: price for key, price in vars(charged).items() if price is not None}
    if prices.keys() - _RATES.keys() - _NOT_ASKED_FOR or not prices.keys() & _RATES.keys():
        return Price(rates=None, since_ms=since_ms, daily_ms=daily_ms)
    prices = {_RATES[key]: price for key, price in prices.items() if key in _RATES}
    steps = sorted({tier.start for price in prices.values() for tier in getattr(price, "tiers", ())})
    return Price(
        rates=_at(prices, 0),
        above=tuple((step, _at(prices, step)) for step in reversed(steps)),
        since_ms=since_ms,
        daily_ms=daily_ms,
    )


def _at(prices: dict[str, Any], step: int) -> Rates:
    """The rates of calls with more input tokens than `step`, up to the next step."""

    def usd(price: Any) -> Decimal:
        reached: Iterable[Any] = (tier.price for tier in getattr(price, "tiers", ()) if tier.start <= step)
        *_, last = getattr(price, "base", price), *reached
        return Decimal(last)

    fixed = {name: _fixed(usd(price)) for name, price in prices.items()}
    if "call" in fixed:
        fixed["call"] *= 1000  # listed per thousand, not per million
    return Rates(**fixed)


def _of_day_ms(moment: time) -> int:
    """A time of day as ms since midnight in UTC; one that names no zone is in UTC."""
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second
    offset = moment.utcoffset()
    return (
        int(seconds - (offset.total_seconds() if offset else 0)) % 86_400 * 1000 + moment.microsecond // 1000
    )
