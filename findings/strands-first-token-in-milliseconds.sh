#!/usr/bin/env bash
# A convention's name, in another unit: the first token after 304 seconds of a call of half a second.
#
# Guess: `gen_ai.server.time_to_first_token` and `gen_ai.server.request.duration` are seconds, as the OpenTelemetry
#        conventions for generative AI say of these names.
# So:    Strands puts them on its model spans as whole milliseconds. Whoever reads seconds gets a first token long after
#        the call has ended, and a time below 500 ms cannot be told from a slow one in seconds by its size alone.
#        Its provider is `strands-agents`, whichever model is called.
# Seen:  2026-12-01, strands-agents 1.62.0 with opentelemetry-sdk 1.45.1 (PyPI), a model in memory that waits 0.3 s.
# Source: OpenTelemetry's conventions for generative AI, metrics of the model server, unit s.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --no-compile --no-deps \
    strands-agents==1.62.0 opentelemetry-sdk==1.45.1 opentelemetry-api==1.45.1 annotated-types==0.8.0 anyio==4.16.0 \
    attrs==26.1.0 boto3==1.44.8 botocore==1.44.8 certifi==2026.10.19.post1 cffi==2.1.1 click==8.5.1 cryptography==50.0.2 \
    docstring_parser==0.18.0 h11==0.16.0 httpcore==1.0.9 httpcore2==2.16.2 httpx==0.28.1 httpx2==2.16.2 idna==3.20 \
    jmespath==1.1.0 jsonschema==4.26.0 jsonschema-specifications==2025.9.1 mcp==2.1.1 mcp-types==2.1.1 \
    opentelemetry-instrumentation==0.66b1 opentelemetry-instrumentation-threading==0.66b1 \
    opentelemetry-semantic-conventions==0.66b1 packaging==26.4 pycparser==3.12 pydantic==2.14.4 pydantic_core==2.50.5 \
    PyJWT==2.15.1 python-dateutil==2.9.0.post0 python-multipart==0.0.34 PyYAML==6.0.4 referencing==0.37.0 \
    rpds-py==2026.9.1 s3transfer==0.19.3 six==1.17.0 sse-starlette==3.7.0 starlette==1.10.0 truststore==0.10.5 \
    typing-inspection==0.4.5 typing_extensions==4.16.0 urllib3==2.8.0 uvicorn==0.54.0 watchdog==6.0.0 wrapt==2.5.2

cat >call.py <<'PY'
import asyncio

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from strands import Agent
from strands.models import Model

spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)


class Slow(Model):
    def update_config(self, **_):
        pass

    def get_config(self):
        return {"model_id": "slow"}

    async def structured_output(self, *_, **__):
        yield {}

    async def stream(self, *_, **__):
        yield {"messageStart": {"role": "assistant"}}
        await asyncio.sleep(0.3)
        yield {"contentBlockStart": {"start": {}}}
        yield {"contentBlockDelta": {"delta": {"text": "yes"}}}
        await asyncio.sleep(0.2)
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "end_turn"}}
        usage = {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}
        yield {"metadata": {"usage": usage, "metrics": {"latencyMs": 500}}}


Agent(model=Slow(), callback_handler=None)("well?")
(call,) = [span for span in spans.get_finished_spans() if span.attributes["gen_ai.operation.name"] == "chat"]
length_s = (call.end_time - call.start_time) / 1e9
first = call.attributes["gen_ai.server.time_to_first_token"]
print("provider:", call.attributes["gen_ai.system"])
print("time_to_first_token is an", type(first).__name__)
print("read as seconds it lies after the span's end:", first > length_s)
print("read as milliseconds it lies where the model waited:", 0.3 <= first / 1000 <= length_s)
print("request.duration of a span of half a second:", call.attributes["gen_ai.server.request.duration"])
PY

cat >expected.txt <<'SEEN'
provider: strands-agents
time_to_first_token is an int
read as seconds it lies after the span's end: True
read as milliseconds it lies where the model waited: True
request.duration of a span of half a second: 500
SEEN
venv/bin/python call.py >seen.txt
if ! diff expected.txt seen.txt; then
    echo "strands-first-token-in-milliseconds: Strands tells the times of a call otherwise than stated above." >&2
    exit 1
fi
echo "strands-first-token-in-milliseconds: still so"
