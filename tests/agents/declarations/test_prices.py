"""What a call costs: exactly, by genai-prices' data and by prices of one's own, and unknown where it is."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import genai_prices
import pytest
from genai_prices.data import providers
from typer.testing import CliRunner

from agents.cli.app import app
from agents.cli.failure import Failure
from agents.declarations.prices import ALSO_CALLED, RegistryUnreachable, listed, load, read
from agents.settings.group import SettingsError
from agents.settings.settings import load as load_settings
from optimizer.model.call import Call
from optimizer.prices import MOST_NANO_USD, NO_PRICES, REMEMBERED, PriceList

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
AT_MS = int(AT.timestamp() * 1000)
LISTED = load(load_settings())
USAGE = {"input_tokens": 12_345, "cached_input_tokens": 2_048, "output_tokens": 678}
ORACLE = {
    "input_tokens": "input_tokens",
    "cached_input_tokens": "cache_read_tokens",
    "cache_write_input_tokens": "cache_write_tokens",
    "output_tokens": "output_tokens",
    "reasoning_tokens": "output_reasoning_tokens",
}


def called(model, provider=None, **tokens):
    return Call(call_id="c", latency_ms=1.0, model=model, provider=provider, **tokens)


def nano(usd):
    return int((usd * 10**9).to_integral_value(ROUND_HALF_EVEN))


def oracle(model, provider=None, at=AT, **tokens):
    usage = genai_prices.Usage(**{ORACLE[name]: n for name, n in tokens.items()})
    found = genai_prices.calc_price(usage, model, provider_id=provider, genai_request_timestamp=at)
    return nano(found.total_price)


NAMED = [
    ("gpt-4o", "openai"), ("gpt-4o-mini", "openai"), ("gpt-4.1", "openai"), ("gpt-4.1-mini", "openai"),
    ("gpt-4.1-nano", "openai"), ("o3", "openai"), ("o4-mini", "openai"), ("gpt-5", "openai"),
    ("gpt-5-mini", "openai"), ("gpt-5-nano", "openai"), ("gpt-4-turbo", "openai"), ("gpt-3.5-turbo", "openai"),
    ("text-embedding-3-small", "openai"), ("claude-3-5-haiku-latest", "anthropic"),
    ("claude-3-7-sonnet-20250219", "anthropic"), ("claude-sonnet-4-0", "anthropic"),
    ("claude-opus-4-1", "anthropic"), ("claude-sonnet-4-5", "anthropic"), ("claude-haiku-4-5", "anthropic"),
    ("gemini-2.5-pro", "google"), ("gemini-2.5-flash", "google"), ("gemini-2.5-flash-lite", "google"),
    ("gemini-2.0-flash", "google"), ("mistral-large-latest", "mistral"), ("mistral-small-latest", "mistral"),
    ("command-r-plus", "cohere"), ("deepseek-chat", "deepseek"), ("deepseek-reasoner", "deepseek"),
    ("llama-3.3-70b-versatile", "groq"), ("grok-3", "x-ai"), ("grok-4", "x-ai"), ("sonar", "perplexity"),
    ("gpt-4o", "azure"), ("gpt-4o", "azure.ai.openai"), ("claude-sonnet-4-5", "google"),
    ("anthropic.claude-3-5-sonnet-20241022-v2:0", "aws.bedrock"), ("openai/gpt-4o", "openrouter"),
    ("anthropic/claude-sonnet-4-5", "litellm"), ("gpt-5-20250807", "openai"), ("GPT-4o", "OpenAI"),
]  # fmt: skip


class TestAgainstTheLibrarysOwnCalculation:
    @pytest.mark.parametrize(("model", "provider"), NAMED)
    @pytest.mark.parametrize("cached", [0, 2_048])
    @pytest.mark.parametrize("written", [0, 4_001])
    def test_a_call_costs_the_same(self, model, provider, cached, written):
        tokens = {
            "input_tokens": 12_345,
            "cached_input_tokens": cached,
            "cache_write_input_tokens": written,
            "output_tokens": 0 if "embedding" in model else 678,
        }
        assert oracle(model, provider, **tokens) == LISTED.cost_nano_usd(
            called(model, provider, **tokens), AT_MS
        )

    def test_every_model_that_is_sold_by_the_token_costs_the_same(self):
        asked = different = 0
        for provider in providers:
            for model in provider.models:
                found = LISTED.source(provider.id, model.id, AT_MS)
                if found is None or found.price.rates is None:
                    continue
                for whole in (1_000, 210_000, 600_000):
                    tokens = {
                        "input_tokens": whole if found.price.rates.input is not None else 0,
                        "output_tokens": 77 if found.price.rates.output is not None else 0,
                    }
                    asked += 1
                    cost = LISTED.cost_nano_usd(called(model.id, provider.id, **tokens), AT_MS)
                    different += cost != oracle(model.id, provider.id, **tokens)
        assert (asked > 5_000, different) == (True, 0)

    @pytest.mark.parametrize("hour", range(0, 24, 3))
    def test_the_hour_of_the_day_counts_where_it_does(self, hour):
        timed = [
            (provider.name, model.name)
            for provider in listed()
            for model in provider.models
            if any(price.daily_ms for price in model.prices)
        ]
        at = datetime(2025, 3, 1, hour, 31, tzinfo=UTC)
        expected = [oracle(model, provider, at, input_tokens=9999) for provider, model in timed]
        found = [
            LISTED.cost_nano_usd(
                called(model, provider, input_tokens=9999, output_tokens=0), int(at.timestamp() * 1000)
            )
            for provider, model in timed
        ]
        assert (len(timed) > 0, expected) == (True, found)

    def test_a_price_holds_from_its_day_on(self):
        days = [datetime(2025, month, 12, tzinfo=UTC) for month in range(1, 13)]
        at_ms = [int(day.timestamp() * 1000) for day in days]
        expected = [oracle("o3", "openai", day, input_tokens=1000) for day in days]
        asked = called("o3", "openai", input_tokens=1000, output_tokens=0)
        assert (expected, 2) == ([LISTED.cost_nano_usd(asked, at) for at in at_ms], len(set(expected)))

    @pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5", "gemini-2.5-pro", "command-r"])
    def test_a_model_alone_tells_who_sells_it(self, model):
        assert oracle(model, **USAGE) == LISTED.cost_nano_usd(called(model, **USAGE), AT_MS)

    def test_reasoning_is_a_part_of_the_output_with_a_price_where_it_is_listed(self):
        tokens = {"input_tokens": 10, "output_tokens": 1000, "reasoning_tokens": 900}
        for model, provider in (("perplexity/sonar-deep-research", "openrouter"), ("o3", "openai")):
            assert oracle(model, provider, **tokens) == LISTED.cost_nano_usd(
                called(model, provider, **tokens), AT_MS
            )

    def test_the_parts_of_an_answer_that_were_added_twice_by_no_one(self):
        alone = LISTED.cost_nano_usd(called("o3", "openai", input_tokens=0, output_tokens=1000), AT_MS)
        with_reasoning = called("o3", "openai", input_tokens=0, output_tokens=1000, reasoning_tokens=900)
        assert alone == LISTED.cost_nano_usd(with_reasoning, AT_MS)

    @pytest.mark.parametrize("name", [name for names in ALSO_CALLED.values() for name in names])
    def test_the_other_names_of_a_provider_are_still_needed(self, name):
        with pytest.raises(LookupError):
            genai_prices.calc_price(genai_prices.Usage(input_tokens=1), "x", provider_id=name)

    def test_the_other_names_of_a_provider_mean_it(self):
        by_name = {p.name for p in listed()}
        assert ALSO_CALLED.keys() <= by_name
        assert oracle("grok-4", "x-ai", **USAGE) == LISTED.cost_nano_usd(
            called("grok-4", "x_ai", **USAGE), AT_MS
        )


class TestWhatIsUnknown:
    @pytest.mark.parametrize(
        "call",
        [
            called("no-such-model-at-all", **USAGE),
            called("gpt-4o", "vllm", **USAGE),
            called("gpt-4o", "openai"),
            called("gpt-4o", "openai", input_tokens=5),
            called("gpt-4o", "openai", output_tokens=5),
            called("gpt-4o", "openai", input_tokens=5, cached_input_tokens=6, output_tokens=1),
            called("sonar-deep-research", "perplexity", **USAGE),
            called("whisper-1", "openai", **USAGE),
            called("gpt-image-1.5", "openai", **USAGE),
            called("text-embedding-3-small", "openai", input_tokens=5, output_tokens=1),
            called("perplexity/sonar-deep-research", "openrouter", input_tokens=1, output_tokens=1, reasoning_tokens=2),
        ],
        ids=[
            "no such model", "served by somebody who lists no prices", "no tokens", "no output tokens",
            "no input tokens", "parts exceed the whole", "citations are charged", "sold by the hour",
            "answers in pictures", "an embedding that answers", "more thought than said",
        ],
    )  # fmt: skip
    def test_is_none_and_never_zero(self, call):
        assert LISTED.cost_nano_usd(call, AT_MS) is None

    def test_an_empty_list_knows_nothing(self):
        assert (NO_PRICES.version, NO_PRICES.cost_nano_usd(called("gpt-4o", "openai", **USAGE), AT_MS)) == (
            "none",
            None,
        )

    def test_a_free_model_costs_zero_and_not_nothing(self):
        overrides, _ = read("prices: [{model: mine, input_usd_per_million_tokens: 0}]")
        assert PriceList("v", (), overrides).cost_nano_usd(called("mine", input_tokens=9), AT_MS) == 0

    def test_a_cost_beyond_what_a_call_may_report_is_a_slip(self):
        overrides, _ = read("prices: [{model: m, input_usd_per_million_tokens: 1000000}]")
        prices = PriceList("v", (), overrides)
        costs = [prices.cost_nano_usd(called("m", input_tokens=n), AT_MS) for n in (100_000, 100_001)]
        assert costs == [MOST_NANO_USD, None]


class TestPricesOfOnesOwn:
    def cost(self, text, call, at_ms=AT_MS):
        overrides, mistakes = read(text)
        assert mistakes == ()
        return PriceList("v", listed(), overrides).cost_nano_usd(call, at_ms)

    @pytest.mark.parametrize("price", ["0.0000375001", "'0.0000375001'", "3.75001e-05", "'3.75001E-5'"])
    def test_ten_decimal_places_survive(self, price):
        text = f"prices: [{{model: m, input_usd_per_million_tokens: {price}}}]"
        assert self.cost(text, called("m", input_tokens=10**9)) == 37_500_100

    def test_eighteen_decimal_places_survive_a_billion_tokens(self):
        overrides, _ = read("prices: [{model: m, input_usd_per_million_tokens: 0.000000000000000005}]")
        assert overrides[0].price.rates.input == 5

    @pytest.mark.parametrize(("tokens", "expected"), [(1, 0), (3, 2), (5, 2), (7, 4)])
    def test_a_cost_is_rounded_once_half_to_even(self, tokens, expected):
        text = "prices: [{model: m, input_usd_per_million_tokens: 0.0005}]"
        assert self.cost(text, called("m", input_tokens=tokens)) == expected

    def test_they_come_before_what_is_listed_in_any_case(self):
        text = "prices: [{model: GPT-4o, input_usd_per_million_tokens: 1, output_usd_per_million_tokens: 2}]"
        assert self.cost(text, called("gpt-4O", "openai", input_tokens=1, output_tokens=1)) == 3_000

    def test_parts_have_their_own_price_or_their_wholes(self):
        text = """
        prices:
          - model: m
            input_usd_per_million_tokens: 10
            cached_input_usd_per_million_tokens: 1
            output_usd_per_million_tokens: 100
            reasoning_usd_per_million_tokens: 50
            usd_per_million_calls: 7
        """
        tokens = {"cached_input_tokens": 4, "cache_write_input_tokens": 2, "reasoning_tokens": 1}
        call = called("m", input_tokens=10, output_tokens=3, **tokens)
        assert self.cost(text, call) == 1000 * (4 * 1 + 6 * 10 + 2 * 100 + 1 * 50 + 7)

    def test_a_long_context_costs_its_own_price_throughout(self):
        text = """
        prices:
          - model: m
            input_usd_per_million_tokens: 1
            output_usd_per_million_tokens: 1
            beyond:
              - {input_tokens: 100, input_usd_per_million_tokens: 2, output_usd_per_million_tokens: 3}
              - {input_tokens: 200, input_usd_per_million_tokens: 4, output_usd_per_million_tokens: 5}
        """
        found = [self.cost(text, called("m", input_tokens=n, output_tokens=10)) for n in (100, 101, 200, 201)]
        assert found == [110_000, 232_000, 430_000, 854_000]

    def test_the_most_specific_one_is_taken(self):
        text = """
        prices:
          - {model: "a*", input_usd_per_million_tokens: 1}
          - {model: "abc", input_usd_per_million_tokens: 4}
          - {model: "ab*", input_usd_per_million_tokens: 2}
          - {model: "abc", provider: OpenAI, input_usd_per_million_tokens: 5}
          - {model: "ab*", provider: openai, input_usd_per_million_tokens: 3}
        """
        names = [
            ("ax", None),
            ("abx", None),
            ("abx", "openai"),
            ("abc", None),
            ("abc", "openai"),
            ("ABC", "else"),
        ]
        found = [
            self.cost(text, called(model, seller, input_tokens=1, output_tokens=0)) for model, seller in names
        ]
        assert found == [1000, 2000, 3000, 4000, 5000, 4000]

    def test_a_providers_price_holds_by_whichever_name_a_call_gives_it(self):
        text = "prices: [{model: '*', provider: google, input_usd_per_million_tokens: 1}]"
        for seller in ("google", "gcp.gemini", "vertex_ai", "Google"):
            assert self.cost(text, called("x", seller, input_tokens=1)) == 1000
        assert self.cost(text, called("gemini-2.5-pro", None, input_tokens=1)) == 1000

    def test_a_price_begins_with_its_day(self):
        text = """
        prices:
          - {model: gpt-4o, since: 2026-03-02, input_usd_per_million_tokens: 1, output_usd_per_million_tokens: 0}
          - {model: gpt-4o, since: 2026-03-04, input_usd_per_million_tokens: 2, output_usd_per_million_tokens: 0}
        """
        call = called("gpt-4o", "openai", input_tokens=1, output_tokens=0)
        midnight = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp() * 1000)
        listed_price = oracle("gpt-4o", "openai", input_tokens=1)
        found = [self.cost(text, call, midnight + ms) for ms in (-1, 0, 2 * 86_400_000 - 1, 2 * 86_400_000)]
        assert found == [listed_price, 1000, 1000, 2000]


LONG = "prices:\n  - {model: m, input_usd_per_million_tokens: 1,\n     beyond: "
CALLS = "prices:\n  - {model: m, usd_per_million_calls: "


class TestMistakes:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", "1:1: must be one document with a list of prices, found 0"),
            ("prices: []\n---\nprices: []", "1:1: must be one document with a list of prices, found 2"),
            ("prices: [", "must be YAML"),
            ("prices: 5", "1:9: prices: must be a list, found 5"),
            ("prices:\n  - {model: m}", "2:5: prices[0]: must have a price; 0 where the model costs nothing"),
            ("prices:\n  - {model: m, input: 1}", "2:16: prices[0].input: is not a known key; known are"),
            ("prices:\n  - {model: m*x}", "2:13: prices[0].model: may have a `*` only at its end"),
            (CALLS + "-1}", "must be from 0 to 1000000, found -1"),
            (CALLS + "1000000.1}", "must be from 0 to 1000000, found 1000000.1"),
            (CALLS + "nan}", "must be from 0 to 1000000, found NaN"),
            (CALLS + ".inf}", "'.inf' is no plain decimal number"),
            (CALLS + "1:30}", "2:39: prices[0].usd_per_million_calls: cannot be read: '1:30'"),
            (CALLS + "1e-99999999}", "at most 18 decimal places, found 99999999"),
            (CALLS + "1e+99999999}", "must be from 0 to 1000000"),
            (CALLS + "cheap}", "usd_per_million_calls: must be"),
            (CALLS + "1, since: soon}", "since: must be"),
            ("prices:\n  - {model: m, cached_input_usd_per_million_tokens: 1}", "needs input_usd_"),
            (LONG + "[{input_tokens: 5}]}", "3:15: prices[0].beyond[0]: needs input_usd_per_million_tokens, as"),
            (LONG + "[{input_tokens: 5}, {input_tokens: 5}]}", "beyond[1].input_tokens: must be given once"),
            (LONG + "[{input_tokens: 0}]}", "input_tokens: must be a whole number of at least 1, found 0"),
            (
                "prices:\n  - {model: m, usd_per_million_calls: 1}\n  - {model: M, usd_per_million_calls: 2}",
                "3:5: prices[1]: is the same model, provider and day as prices[0]; keep one of them",
            ),
        ],
    )  # fmt: skip
    def test_are_told_with_line_and_column(self, text, expected):
        overrides, mistakes = read(text)
        assert overrides == ()
        assert any(expected in str(mistake) for mistake in mistakes), [str(m) for m in mistakes]

    def test_zero_may_be_written_in_any_way(self):
        overrides, mistakes = read("prices: [{model: m, input_usd_per_million_tokens: '0e9999999'}]")
        assert (mistakes, overrides[0].price.rates.input) == ((), 0)

    def test_all_of_a_file_are_told_at_once(self):
        _, mistakes = read("prices:\n  - {model: m}\n  - {model: n, usd_per_million_calls: -1}\n")
        assert len(mistakes) == 2


class TestTheFile:
    def test_it_is_named_in_the_version(self, tmp_path):
        file = tmp_path / "prices.yaml"
        file.write_text("prices: [{model: m, usd_per_million_calls: 1}]")
        prices = load(load_settings(prices_file=file))
        said, _, digest = prices.version.partition(" + sha256:")
        assert (f"genai-prices {genai_prices.__version__}", 12) == (said, len(digest))
        assert prices.cost_nano_usd(called("m"), AT_MS) == 1000

    def test_one_that_is_missing_or_wrong_is_an_error_that_names_it(self, tmp_path):
        file = tmp_path / "prices.yaml"
        with pytest.raises(SettingsError, match="cannot be read"):
            load(load_settings(prices_file=file))
        file.write_bytes(b"\xff")
        with pytest.raises(SettingsError, match="not UTF-8"):
            load(load_settings(prices_file=file))
        file.write_text("prices:\n" + "  - {model: m*m}\n" * 30)
        with pytest.raises(SettingsError, match=r"prices.yaml:2:5: .*\n(?s:.*) and \d+ more"):
            load(load_settings(prices_file=file))

    def test_the_example_in_the_documents_is_without_mistake(self):
        text = (Path(__file__).parents[3] / "docs" / "prices.md").read_text()
        overrides, mistakes = read(text.split("```yaml\n")[1].split("```")[0])
        assert (len(overrides) > 2, mistakes) == (True, ())


class TestMemory:
    def test_names_that_callers_invent_are_forgotten(self):
        prices = PriceList("v", listed(), ())
        for i in range(REMEMBERED + 50):
            assert prices.source(None, f"invented-{i}", AT_MS) is None
        assert len(prices._known) <= REMEMBERED


class TestTheVerb:
    def said(self, *arguments):
        return CliRunner().invoke(app(), ["prices", *arguments])

    def test_it_tells_price_origin_and_version(self):
        found = self.said("gpt-4o", "--provider", "openai")
        version = f"genai-prices {genai_prices.__version__}"
        assert found.output == (
            f"gpt-4o of openai: openai/gpt-4o, {version}; USD per million\ninput 2.5, output 10, cached_input 1.25\n"
        )

    def test_it_tells_the_steps_of_a_long_context(self):
        assert (
            "with more than 200,000 input tokens: input 2.5, output 15" in self.said("gemini-2.5-pro").output
        )

    def test_it_fails_where_there_is_none(self):
        found = self.said("no-such-model")
        assert isinstance(found.exception, Failure)
        assert "is not listed" in str(found.exception)
        assert "is not sold by the token" in str(self.said("whisper-1").exception)


class TestRegistry:
    YAML = b"prices:\n  - model: house-model\n    input_usd_per_million_tokens: 1\n"

    @pytest.fixture
    def registry(self):
        """A registry on this machine; what it answers is put into the list."""
        answers = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                code, content = answers[-1]
                self.send_response(code)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_words):
                """Say nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = Thread(target=server.serve_forever)
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}/prices.yaml", answers
            server.shutdown()
            thread.join()

    def test_its_list_counts_like_a_file_of_the_same_content(self, registry, tmp_path):
        address, answers = registry
        answers.append((200, self.YAML))
        (tmp_path / "p.yaml").write_bytes(self.YAML)
        by_file = load(load_settings(prices_file=tmp_path / "p.yaml"))
        assert load(load_settings(prices_url=address)).version == by_file.version
        assert load(load_settings(prices_url=(tmp_path / "p.yaml").as_uri())).version == by_file.version

    def test_one_that_does_not_have_it_is_told_with_its_answer(self, registry):
        address, answers = registry
        answers.append((404, b""))
        with pytest.raises(RegistryUnreachable, match=f"{address} cannot be read: Not Found"):
            load(load_settings(prices_url=address))

    def test_one_that_is_not_there_is_told(self):
        with pytest.raises(RegistryUnreachable, match="refused"):
            load(load_settings(prices_url="http://127.0.0.1:9/p.yaml"))

    def test_an_answer_without_end_is_cut_off(self, registry, monkeypatch):
        address, answers = registry
        monkeypatch.setattr("agents.declarations.prices.MOST_BYTES", 100)
        answers.append((200, b"#" * 101))
        with pytest.raises(RegistryUnreachable, match="at most 100 bytes"):
            load(load_settings(prices_url=address))

    def test_mistakes_in_it_are_told_with_address_line_and_column(self, registry):
        address, answers = registry
        answers.append((200, b"prices:\n  - modle: x\n"))
        with pytest.raises(SettingsError, match=f"{address}:2:"):
            load(load_settings(prices_url=address))

    def test_a_file_and_a_registry_at_once_are_refused(self, tmp_path):
        with pytest.raises(SettingsError, match="must not both be set"):
            load_settings(prices_file=tmp_path / "p.yaml", prices_url="https://prices.example/p.yaml")
