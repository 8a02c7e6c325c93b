#!/usr/bin/env bash
# A temperature of 1 is answered with the default, a temperature of 0.5 is not.
#
# Guess: JSON knows only numbers, so a float flag whose value is 1 reads as 1.0.
# So:    in Python the flag is a TYPE_MISMATCH and the caller's default comes back, by the in-memory provider and by
#        OFREP; nothing is raised. flagd's evaluator turns the number into a float itself and answers 1.0.
#        Whatever writes JSON by JavaScript writes 1.0 as 1, so it is not enough to write `1.0` at the source.
# Seen:  2026-12-01, openfeature-sdk 0.10.0, openfeature-provider-ofrep 0.3.0, openfeature-flagd-core 2.0.0 (PyPI).
# Source: open-feature/python-sdk#516, closed: left to the providers.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --no-compile --no-deps \
    openfeature-sdk==0.10.0 openfeature-provider-ofrep==0.3.0 openfeature-flagd-core==2.0.0 openfeature-flagd-api==1.0.0 \
    cbor2==5.9.0 mmh3==5.3.1 panzi-json-logic==1.0.1 semver==3.1.2 typing_extensions==4.16.0 \
    requests==2.34.2 urllib3==2.8.0 idna==3.20 charset-normalizer==3.5.3 certifi==2026.10.19.post1

cat >ask.py <<'PY'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

NUMBERS = {"temperature-half": 0.5, "temperature-one": 1}


class Answers(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        key = self.path.rsplit("/", 1)[1]
        body = json.dumps({"key": key, "reason": "STATIC", "variant": "on", "value": NUMBERS[key]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def report(provider, flag, answer):
    error = answer.error_code.value if answer.error_code else "no error"
    print(f"{provider}: {flag} is {answer.value!r}, {error}")


server = HTTPServer(("127.0.0.1", 0), Answers)
threading.Thread(target=server.serve_forever, daemon=True).start()
flagd = FlagdCore()
states = {
    flag: {"state": "ENABLED", "variants": {"on": number}, "defaultVariant": "on"} for flag, number in NUMBERS.items()
}
flagd.set_flags(json.dumps({"flags": states}))
for name, provider in (
    ("in memory", InMemoryProvider({flag: InMemoryFlag("on", {"on": number}) for flag, number in NUMBERS.items()})),
    ("OFREP", OFREPProvider(f"http://127.0.0.1:{server.server_port}")),
):
    api.set_provider(provider)
    for flag in NUMBERS:
        report(name, flag, api.get_client().get_float_details(flag, 0.2))
for flag in NUMBERS:
    report("flagd's evaluator", flag, flagd.resolve_float_value(flag, 0.2))
server.shutdown()
PY

cat >expected.txt <<'SEEN'
in memory: temperature-half is 0.5, no error
in memory: temperature-one is 0.2, TYPE_MISMATCH
OFREP: temperature-half is 0.5, no error
OFREP: temperature-one is 0.2, TYPE_MISMATCH
flagd's evaluator: temperature-half is 0.5, no error
flagd's evaluator: temperature-one is 1.0, no error
SEEN
venv/bin/python ask.py >seen.txt
if ! diff expected.txt seen.txt; then
    echo "openfeature-whole-number-is-no-float: a whole number as a float flag is answered otherwise than stated above." >&2
    exit 1
fi
echo "openfeature-whole-number-is-no-float: still so"
