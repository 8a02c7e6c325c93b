#!/usr/bin/env bash
# The next model of a family is free.
#
# Guess: the cost of a model that is not in the price map is an error, or it is not; either way for every name alike.
# So:    LiteLLM raises for a name of no known form. For one that continues a family of OpenAI, Anthropic or Google (gpt-9,
#        claude-opus-9, gemini-9-pro: none in its map), and for any name at Fireworks, it answers 0.0 dollars and raises
#        nothing. So the model that came out after the installed map costs nothing until somebody looks. genai-prices raises
#        for each of them.
#        The same two lists also part over a prompt of 200,001 tokens: claude-sonnet-4-5 costs twice as much in one.
# Seen:  2026-12-01, litellm 1.110.2 with the map in its package, genai-prices 0.2.3 (PyPI).
# Source: BerriAI/litellm#24949 and #36561 tell of zeros for what has no price.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --no-compile --no-deps \
    litellm==1.110.2 genai-prices==0.2.3 aiohappyeyeballs==2.7.1 aiohttp==3.14.5 aiosignal==1.4.0 annotated-types==0.8.0 \
    anyio==4.16.0 attrs==26.1.0 boto3==1.44.8 botocore==1.44.8 certifi==2026.10.19.post1 charset-normalizer==3.5.3 \
    click==8.5.1 fastuuid==0.14.0 filelock==4.3.1 frozenlist==1.8.0 fsspec==2026.9.0 h11==0.16.0 h2==4.4.1 hf-xet==1.8.0 \
    hpack==4.2.0 httpcore==1.0.9 httpcore2==2.16.2 httpx==0.28.1 httpx2==2.16.2 huggingface_hub==2.4.0 hyperframe==6.1.0 \
    idna==3.20 importlib_metadata==8.9.0 Jinja2==3.1.6 jiter==0.19.0 jmespath==1.1.0 jsonschema==4.26.0 \
    jsonschema-specifications==2025.9.1 MarkupSafe==3.0.4 multidict==7.2.1 openai==3.57.0 packaging==26.4 \
    propcache==0.5.4 pydantic==2.14.4 pydantic-settings==2.16.3 pydantic_core==2.50.5 python-dateutil==2.9.0.post0 \
    python-dotenv==1.2.4 PyYAML==6.0.4 referencing==0.37.0 regex==2026.11.19 requests==2.34.2 rpds-py==2026.9.1 \
    s3transfer==0.19.3 six==1.17.0 sniffio==1.3.1 tiktoken==0.14.0 tokenizers==0.23.3 tqdm==4.70.1 truststore==0.10.5 \
    typing-inspection==0.4.5 typing_extensions==4.16.0 urllib3==2.8.0 yarl==1.25.1 zipp==4.1.2

cat >price.py <<'PY'
import contextlib
import io

import litellm
from genai_prices import Usage, calc_price


def by_litellm(model, tokens):
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            prompt, completion = litellm.cost_per_token(model=model, prompt_tokens=tokens, completion_tokens=1000)
        except Exception as refusal:  # its errors have no narrower class in common
            return type(refusal).__name__
    return f"{prompt + completion:.4f}"


def by_genai_prices(provider, model, tokens):
    try:
        price = calc_price(Usage(input_tokens=tokens, output_tokens=1000), model_ref=model, provider_id=provider)
    except LookupError as refusal:
        return type(refusal).__name__
    return f"{price.total_price:.4f}"


for provider, name in (
    ("openai", "openai/not-made-yet"),
    ("openai", "openai/gpt-9"),
    ("anthropic", "anthropic/not-made-yet"),
    ("anthropic", "anthropic/claude-opus-9"),
    ("google", "gemini/not-made-yet"),
    ("google", "gemini/gemini-9-pro"),
    ("fireworks", "fireworks_ai/not-made-yet"),
):
    known = "in" if name in litellm.model_cost or name.split("/")[1] in litellm.model_cost else "not in"
    here = by_genai_prices(provider, name.split("/")[1], 1000)
    print(f"{name}, {known} the map: litellm {by_litellm(name, 1000)}, genai-prices {here}")
for tokens in (200_000, 200_001):
    there = by_litellm("claude-sonnet-4-5", tokens)
    here = by_genai_prices("anthropic", "claude-sonnet-4-5", tokens)
    print(f"claude-sonnet-4-5, {tokens} tokens in: litellm {there}, genai-prices {here}")
PY

cat >expected.txt <<'SEEN'
openai/not-made-yet, not in the map: litellm ModelNotMappedError, genai-prices LookupError
openai/gpt-9, not in the map: litellm 0.0000, genai-prices LookupError
anthropic/not-made-yet, not in the map: litellm ModelNotMappedError, genai-prices LookupError
anthropic/claude-opus-9, not in the map: litellm 0.0000, genai-prices LookupError
gemini/not-made-yet, not in the map: litellm ModelNotMappedError, genai-prices LookupError
gemini/gemini-9-pro, not in the map: litellm 0.0000, genai-prices LookupError
fireworks_ai/not-made-yet, not in the map: litellm 0.0000, genai-prices LookupError
claude-sonnet-4-5, 200000 tokens in: litellm 0.6150, genai-prices 0.6150
claude-sonnet-4-5, 200001 tokens in: litellm 0.6150, genai-prices 1.2225
SEEN
LITELLM_LOCAL_MODEL_COST_MAP=True venv/bin/python price.py >seen.txt
if ! diff expected.txt seen.txt; then
    echo "litellm-next-model-is-free: models without a price are priced otherwise than stated above." >&2
    exit 1
fi
echo "litellm-next-model-is-free: still so"
