#!/usr/bin/env bash
# The official message classes read OTLP/JSON without an error, and every identifier is wrong.
#
# Guess: OTLP is defined in protobuf, so protobuf's own JSON parser reads OTLP/JSON into the classes of opentelemetry-proto.
# So:    OTLP/JSON writes identifiers in hexadecimal, protobuf's JSON in base64. 32 hexadecimal digits are good base64:
#        a trace of 16 bytes comes out as 24 others, a span of 8 bytes as 12, nothing is raised, and written back as JSON
#        the text looks untouched. The other way round, good messages become JSON that an OTLP receiver has to refuse.
# Seen:  2026-12-01, opentelemetry-proto 1.45.2 with protobuf 7.36.2 (PyPI).
# Source: the chapter on JSON of the OTLP specification; open-telemetry/opentelemetry-proto-go#106 met it in Go.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --no-compile --no-deps opentelemetry-proto==1.45.2 protobuf==7.36.2

cat >convert.py <<'PY'
import json

from google.protobuf import json_format
from opentelemetry.proto.trace.v1.trace_pb2 import Span

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

read = json_format.ParseDict({"traceId": TRACE, "spanId": SPAN, "kind": 3}, Span())
print(f"read: trace of {len(read.trace_id)} bytes {read.trace_id.hex()}")
print(f"read: span of {len(read.span_id)} bytes {read.span_id.hex()}")
print("written back:", json_format.MessageToDict(read)["traceId"])
made = Span(trace_id=bytes.fromhex(TRACE), span_id=bytes.fromhex(SPAN), kind=3)
print("made in memory, written:", json.dumps(json_format.MessageToDict(made)))
PY

cat >expected.txt <<'SEEN'
read: trace of 24 bytes d1a7fbeb9d7dd7a71de3775df38e3c79bdb5d5cf34df5f5c
read: span of 12 bytes 6fb69de9bef5ebddb4df7df5
written back: 0af7651916cd43dd8448eb211c80319c
made in memory, written: {"traceId": "CvdlGRbNQ92ESOshHIAxnA==", "spanId": "t61rcWkgMzE=", "kind": "SPAN_KIND_CLIENT"}
SEEN
venv/bin/python convert.py >seen.txt
if ! diff expected.txt seen.txt; then
    echo "otlp-json-is-no-protobuf-json: identifiers come through protobuf's JSON otherwise than stated above." >&2
    exit 1
fi
echo "otlp-json-is-no-protobuf-json: still so"
