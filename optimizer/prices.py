"""Computes the cost of a call by a list of prices, to the nano-dollar.

Prices are whole numbers of 10⁻²⁴ USD per token, so that a price of USD per million tokens
keeps eighteen decimal places; a cost is summed exactly and rounded once.

    cost = call + input * (i - c - w) + cached * c + write * w + output * (o - r) + reasoning * r

i, c, w are input tokens, those read from and those written to the provider's cache (both
parts of i); o, r output tokens and those spent on reasoning (a part of o). Where a part has
no price of its own it costs what the whole costs. What is not known of a call is not
guessed: its cost is None, never 0.

A list is data: which names mean which model, and what it costs from when on. It has no
clock; the caller says at which instant the call was made. Tokens are priced as text, at the
provider's standard tier: a call that was billed otherwise reports its own cost.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Literal, NamedTuple

from msgspec import Struct

from optimizer.model.call import Call
from optimizer.model.instants import DAY_MS

PER_TOKEN = 10**24
"""Prices are in units of 1/PER_TOKEN USD per token (or per call)."""
PER_NANO_USD = PER_TOKEN // 10**9
MOST_NANO_USD = 10**14
"""The most a call may cost, 100,000 USD: what exceeds it is a slip in the price list."""
REMEMBERED = 4096
"""Names whose prices are cached; a caller that invents names costs time, never memory."""

Matcher = Callable[[str], bool]


class Rates(Struct, frozen=True, kw_only=True):
    """The charges of one call, in units of 1/PER_TOKEN USD; None where there is no such price."""

    input: int | None = None
    output: int | None = None
    cached_input: int | None = None
    """Tokens read from the provider's cache; None: as `input`."""
    cache_write_input: int | None = None
    """Tokens written to the provider's cache; None: as `input`."""
    reasoning: int | None = None
    """Tokens spent on reasoning; None: as `output`."""
    call: int = 0
    """The charge for the call itself, whatever its tokens."""


class Price(Struct, frozen=True, kw_only=True):
    """The price of a model, with the times at which it holds."""

    rates: Rates | None
    """None: the model is sold by something that a call does not report, such as hours or pages."""
    above: tuple[tuple[int, Rates], ...] = ()
    """(input tokens, rates): where a call has more input tokens, all its tokens cost these rates; descending."""
    since_ms: int | None = None
    """The instant from which the price holds, ms since the epoch."""
    daily_ms: tuple[int, int] | None = None
    """The part of each UTC day in which the price holds, [from, to) in ms; over midnight where to < from."""

    def holds(self, at_ms: int) -> bool:
        """True if the price holds at an instant, ms since the epoch."""
        if self.since_ms is not None and at_ms < self.since_ms:
            return False
        if self.daily_ms is None:
            return True
        start, end = self.daily_ms
        now = at_ms % DAY_MS
        return start <= now < end if start <= end else now >= start or now < end


class Match(Struct, frozen=True):
    """A pattern of names, ignoring case; `any` and `all` are made of parts, the others of text."""

    how: Literal["equals", "starts_with", "ends_with", "contains", "regex", "any", "all"]
    text: str = ""
    parts: tuple[Match, ...] = ()


class ListedModel(Struct, frozen=True):
    """A model that a provider sells."""

    name: str
    match: Match
    prices: tuple[Price, ...]
    """Candidates in order of preference: the first that holds is the model's price."""


class Provider(Struct, frozen=True):
    """A seller of models, with the names by which calls refer to it."""

    name: str
    models: tuple[ListedModel, ...]
    match: Match | None = None
    """Other names of the provider."""
    by_model: Match | None = None
    """Models that imply this provider where a call names none."""
    resells: tuple[str, ...] = ()
    """Providers whose prices apply to models that this one has no price for."""


class Override(Struct, frozen=True):
    """A price of the user's own, which takes precedence over all listed ones."""

    match: Match
    price: Price
    provider: str | None = None
    """None: the price applies whoever sells the model."""


class Source(NamedTuple):
    """A price that may apply to a model, and its origin."""

    price: Price
    origin: str
    """`own` for a price of the user's own, else `provider/model` as the list has them."""


class PriceList:
    """The costs of calls by one list of prices; a pure function of the data, the call and the instant."""

    def __init__(
        self, version: str, providers: tuple[Provider, ...] = (), overrides: tuple[Override, ...] = ()
    ) -> None:
        self.version = version
        """Identifies the data exactly; stored with every pane that was priced by it."""
        self._providers = {provider.name: _Shelf(provider) for provider in providers}
        self._own = tuple((override, _matcher(override.match)) for override in overrides)
        self._known: dict[tuple[str | None, str], tuple[Source, ...]] = {}

    @classmethod
    def empty(cls) -> PriceList:
        """A list that knows no price: every cost that is not reported is unknown."""
        return cls("none")

    def cost_nano_usd(self, call: Call, at_ms: int) -> int | None:
        """The cost of a call made at `at_ms` (ms since the epoch) in nano-USD, rounded half to even.

        None: the model has no price here, or the call lacks tokens that its price asks for, or
        its parts exceed their whole. A cost that the call itself reports is not looked at.
        """
        source = self.source(call.provider, call.model, at_ms)
        if source is None:
            return None
        price, whole = source.price, call.input_tokens
        rates = price.rates
        if price.above and whole is not None:
            rates = next((beyond for tokens, beyond in price.above if whole > tokens), rates)
        return None if rates is None else _cost(rates, call)

    def source(self, provider: str | None, model: str, at_ms: int) -> Source | None:
        """The price of a model at an instant, ms since the epoch; None where none is listed."""
        named = provider, model
        sources = self._known.get(named)
        if sources is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            sources = self._known[named] = self._find(provider, model.lower())
        for source in sources:
            if source.price.holds(at_ms):
                return source
        return None

    def _find(self, provider: str | None, model: str) -> tuple[Source, ...]:
        said = None if provider is None else provider.lower().strip()
        if said == "litellm":  # a proxy: `litellm` with `anthropic/claude-…` means Anthropic
            behind, slash, rest = model.partition("/")
            found = bool(slash) and self._by_name(behind) is not None
            said, model = (behind, rest) if found else (None, model)
        shelf = self._by_model(model) if said is None else self._by_name(said)
        sellers = {said, shelf and shelf.provider.name}
        own = [
            Source(override.price, "own")
            for override, matches in self._own
            if matches(model) and (override.provider is None or override.provider in sellers)
        ]
        return (*own, *(self._listed(shelf, model) if shelf else ()))

    def _listed(self, shelf: _Shelf, model: str) -> tuple[Source, ...]:
        shelves = [shelf, *(self._providers[n] for n in shelf.provider.resells if n in self._providers)]
        # Gateways write `gpt-5.2-20251211` where price lists have `gpt-5.2-2025-12-11`.
        for name in dict.fromkeys((model, _dashed(model))):
            for one in shelves:
                if listed_model := one.find(name):
                    return tuple(
                        Source(price, f"{one.provider.name}/{listed_model.name}")
                        for price in listed_model.prices
                    )
        return ()

    def _by_name(self, name: str) -> _Shelf | None:
        if name in self._providers:
            return self._providers[name]
        return next((s for s in self._providers.values() if s.is_called(name)), None)

    def _by_model(self, model: str) -> _Shelf | None:
        return next((s for s in self._providers.values() if s.sells(model)), None)


class _Shelf:
    """A provider with an index of its models by exact name."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.is_called = _matcher(provider.match)
        self.sells = _matcher(provider.by_model)
        self._exact: dict[str, int] = {}
        self._others = []
        for i, model in enumerate(provider.models):
            others = []
            for match in model.match.parts if model.match.how == "any" else (model.match,):
                if match.how == "equals":
                    self._exact.setdefault(match.text.lower(), i)
                else:
                    others.append(_matcher(match))
            if others:
                self._others.append((i, others))

    def find(self, name: str) -> ListedModel | None:
        """The provider's first model that matches a name in lower case."""
        models = self.provider.models
        first = self._exact.get(name, len(models))
        for i, matchers in self._others:
            if i >= first:
                break
            if any(matches(name) for matches in matchers):
                return models[i]
        return models[first] if first < len(models) else None


def _matcher(match: Match | None) -> Matcher:
    """A predicate on names in lower case that is true for a match; None matches no name."""
    if match is None:
        return lambda _: False
    text, parts = match.text.lower(), tuple(_matcher(part) for part in match.parts)
    matchers: dict[str, Matcher] = {
        "equals": lambda name: name == text,
        "starts_with": lambda name: name.startswith(text),
        "ends_with": lambda name: name.endswith(text),
        "contains": lambda name: text in name,
        "any": lambda name: any(part(name) for part in parts),
        "all": lambda name: all(part(name) for part in parts),
    }
    if match.how == "regex":
        pattern = re.compile(match.text)
        return lambda name: pattern.search(name) is not None
    return matchers[match.how]


def _cost(rates: Rates, call: Call) -> int | None:
    into = _share(call.input_tokens, rates.input, (
        (call.cached_input_tokens, rates.cached_input),
        (call.cache_write_input_tokens, rates.cache_write_input),
    ))  # fmt: skip
    out_of = _share(call.output_tokens, rates.output, ((call.reasoning_tokens, rates.reasoning),))
    if into is None or out_of is None:
        return None
    nano, rest = divmod(rates.call + into + out_of, PER_NANO_USD)
    if rest * 2 > PER_NANO_USD or (rest * 2 == PER_NANO_USD and nano % 2):
        nano += 1
    return nano if nano <= MOST_NANO_USD else None


def _share(
    whole: int | None, price: int | None, parts: tuple[tuple[int | None, int | None], ...]
) -> int | None:
    """The cost of one direction's tokens, in units of 1/PER_TOKEN USD; None where it cannot be told."""
    if price is None:
        return None if whole else 0
    if whole is None:
        return None
    total = 0
    for tokens, own in parts:
        if tokens:
            whole -= tokens
            total += tokens * (price if own is None else own)
    return None if whole < 0 else total + whole * price


_COMPACT_DATE = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


def _dashed(name: str) -> str:
    """The name with dates like `-20251211` written as `-2025-12-11`, where that is a real date."""

    def written_out(found: re.Match[str]) -> str:
        year, month, day = map(int, found.groups())
        try:
            return f"-{date(year, month, day).isoformat()}"
        except ValueError:
            return found[0]

    return _COMPACT_DATE.sub(written_out, name)


NO_PRICES = PriceList.empty()
