#!/usr/bin/env bash
# One call becomes two root spans in two traces, each with all tokens.
#
# Guess: an instrumentation wraps the client, so what the client itself traces lies inside the instrumentation's span.
# So:    the Anthropic client traces itself as soon as a tracer provider is set. OpenLLMetry's instrumentation does not make
#        its span the current one, so the client's span is no child but a trace of its own: a sum over root spans, or over
#        model spans, counts the call and its 160 + 7 tokens twice. The two agree in one thing, the answer's id.
#        They do not even agree on the name of the tokens written to the cache. ANTHROPIC_OPEN_TELEMETRY=false keeps the
#        client's own span away.
# Seen:  2026-12-01, anthropic 2.14.0 with opentelemetry-instrumentation-anthropic 0.62.4, opentelemetry-sdk 1.45.2 (PyPI),
#        against a stub on loopback.
# Source: the spans themselves.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --no-compile --no-deps \
    anthropic==2.14.0 opentelemetry-instrumentation-anthropic==0.62.4 opentelemetry-sdk==1.45.2 opentelemetry-api==1.45.2 \
    opentelemetry-instrumentation==0.66b2 opentelemetry-semantic-conventions==0.66b2 \
    opentelemetry-semantic-conventions-ai==0.5.1 annotated-types==0.8.0 anyio==4.16.0 docstring_parser==0.18.0 \
    h11==0.16.0 httpcore2==2.16.2 httpx2==2.16.2 idna==3.20 jiter==0.19.0 packaging==26.4 pydantic==2.14.4 \
    pydantic_core==2.50.5 sniffio==1.3.1 truststore==0.10.5 typing-inspection==0.4.5 typing_extensions==4.16.0 wrapt==2.5.2

cat >call.py <<'PY'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import anthropic
from opentelemetry import trace
from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-stub",
    "content": [{"type": "text", "text": "yes"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 10,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 50,
        "output_tokens": 7,
    },
}


class Stub(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Stub)
threading.Thread(target=server.serve_forever, daemon=True).start()
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
AnthropicInstrumentor().instrument()

client = anthropic.Anthropic(api_key="none", base_url=f"http://127.0.0.1:{server.server_port}")
client.messages.create(model="claude-stub", max_tokens=10, messages=[{"role": "user", "content": "well?"}])
server.shutdown()

finished = sorted(spans.get_finished_spans(), key=lambda span: span.instrumentation_scope.name)
for span in finished:
    usage = {
        name.removeprefix("gen_ai.usage."): span.attributes[name]
        for name in sorted(span.attributes)
        if name.startswith("gen_ai.usage.")
    }
    place = "a root" if span.parent is None else "a child"
    print(f"{span.instrumentation_scope.name}: {place}, {span.attributes['gen_ai.response.id']}, {json.dumps(usage)}")
print("traces:", len({span.context.trace_id for span in finished}))
PY

cat >expected.txt <<'SEEN'
com.anthropic.sdk.python: a root, msg_1, {"cache_read.input_tokens": 100, "cache_write.input_tokens": 50, "input_tokens": 160, "output_tokens": 7}
opentelemetry.instrumentation.anthropic: a root, msg_1, {"cache_creation.input_tokens": 50, "cache_read.input_tokens": 100, "input_tokens": 160, "output_tokens": 7, "total_tokens": 167}
traces: 2
with ANTHROPIC_OPEN_TELEMETRY=false:
opentelemetry.instrumentation.anthropic: a root, msg_1, {"cache_creation.input_tokens": 50, "cache_read.input_tokens": 100, "input_tokens": 160, "output_tokens": 7, "total_tokens": 167}
traces: 1
SEEN
venv/bin/python call.py >seen.txt
echo "with ANTHROPIC_OPEN_TELEMETRY=false:" >>seen.txt
ANTHROPIC_OPEN_TELEMETRY=false venv/bin/python call.py >>seen.txt
if ! diff expected.txt seen.txt; then
    echo "anthropic-one-call-two-traces: a call under both instrumentations is traced otherwise than stated above." >&2
    exit 1
fi
echo "anthropic-one-call-two-traces: still so"
