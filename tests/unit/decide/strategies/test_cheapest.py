"""Which model comes next, and what is said against the others."""

from hypothesis import given
from hypothesis import strategies as st

from optimizer.decide.record.state import Ban
from optimizer.decide.strategies.cheapest import choose
from optimizer.declaration.declared import derive
from optimizer.declaration.validate import price
from optimizer.model.target import Model, Target
from optimizer.model.variant import variant_of


def a_model(name, dollars):
    return Model(name=name, input_usd_per_million_tokens=dollars)


MODELS = [a_model("c", 3), a_model("a", 1), a_model("b", 2), a_model("d", 3), a_model("e", 9)]
TARGET = Target(target="chat", incumbent="d", models=tuple(MODELS))
IDS = {model.name: variant_of(model).variant_id for model in MODELS}


def chosen(incumbent="d", bans=None, now_at=0):
    choice = choose(derive(TARGET), IDS[incumbent], bans or {}, now_at)
    return choice.model and choice.model.name, {one.model: one.reason for one in choice.rejected}


def test_the_cheapest_comes_first_and_all_others_are_listed():
    name, rejected = chosen()
    assert name == "a"
    assert set(rejected) == {"b", "c", "d", "e"}
    assert "incumbent" in rejected["d"]
    assert "not cheaper: $3 against $3" in rejected["c"]
    assert "dearer than a" in rejected["b"]


def test_a_ban_is_named_with_its_end_and_its_reason():
    name, rejected = chosen(bans={IDS["a"]: Ban(86_400_000, "quality fell")}, now_at=86_399_999)
    assert name == "b"
    assert rejected["a"] == "is banned until 1970-01-02 00:00:00 UTC: quality fell"


def test_a_ban_ends_to_the_millisecond():
    assert chosen(bans={IDS["a"]: Ban(86_400_000, "")}, now_at=86_400_000)[0] == "a"


def test_nothing_is_chosen_when_nothing_is_cheaper():
    assert chosen(incumbent="a")[0] is None


def test_an_incumbent_without_a_declaration_is_never_undercut():
    assert choose(derive(TARGET), "gone", {}, 0).model is None


def test_equal_prices_go_by_name():
    assert list(chosen(incumbent="a")[1]) == ["a", "b", "c", "d", "e"]


@given(
    prices=st.lists(st.integers(0, 5), min_size=1, max_size=8),
    banned=st.sets(st.integers(0, 7)),
    incumbent=st.integers(0, 7),
)
def test_what_is_chosen_is_cheaper_not_banned_and_the_cheapest_of_those(prices, banned, incumbent):
    models = tuple(a_model(f"m{i}", dollars) for i, dollars in enumerate(prices))
    serving = models[incumbent % len(models)]
    target = Target(target="chat", incumbent=serving.name, models=models)
    ids = {variant_of(model).variant_id: model for model in models}
    bans = {v: Ban(10, "") for i, v in enumerate(ids) if i in banned}
    choice = choose(derive(target), variant_of(serving).variant_id, bans, 5)
    fit = [m for v, m in ids.items() if v not in bans and price(m) < price(serving)]
    assert choice.model == min(fit, key=lambda m: (price(m), m.name), default=None)
    assert {one.variant_id for one in choice.rejected} | ({choice.variant_id} - {None}) == set(ids)
    assert all(one.reason for one in choice.rejected)
