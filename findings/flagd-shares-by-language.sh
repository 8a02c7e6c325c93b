#!/usr/bin/env bash
# One flag, one user, two languages: two variants.
#
# Guess: flagd's `fractional` hashes the targeting key, so every in-process evaluator puts a user into the same variant.
# So:    the evaluators of Python and Node put 1,000 users into 50/50 shares that agree no more often than two coins do,
#        with an explicit key as well as with the shorthand. Each keeps its shares and each is stable by itself.
# Seen:  2026-12-01, openfeature-flagd-core 2.0.0 (PyPI) beside @openfeature/flagd-core 4.0.1 (npm).
# Source: open-feature/flagd#1737 asks for hashing that is the same everywhere; open-feature/python-sdk-contrib#415 and
#        open-feature/java-sdk-contrib#1831 bring it to one language each.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --no-compile --no-deps \
    openfeature-flagd-core==2.0.0 openfeature-flagd-api==1.0.0 openfeature-sdk==0.10.0 \
    cbor2==5.9.0 mmh3==5.3.1 panzi-json-logic==1.0.1 semver==3.1.2 typing_extensions==4.16.0
npm install --silent --no-fund --no-audit --prefix "$folder" @openfeature/flagd-core@4.0.1 @openfeature/core@1.12.0 >npm.log

cat >flags.json <<'JSON'
{"flags": {
  "explicit key": {"state": "ENABLED", "defaultVariant": "incumbent",
    "variants": {"candidate": "candidate", "incumbent": "incumbent"},
    "targeting": {"fractional": [{"var": "targetingKey"}, ["candidate", 50], ["incumbent", 50]]}},
  "shorthand": {"state": "ENABLED", "defaultVariant": "incumbent",
    "variants": {"candidate": "candidate", "incumbent": "incumbent"},
    "targeting": {"fractional": [["candidate", 50], ["incumbent", 50]]}}
}}
JSON

cat >evaluate.py <<'PY'
import json
import pathlib

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

flags = pathlib.Path("flags.json").read_text()
evaluator = FlagdCore()
evaluator.set_flags(flags)
variants = {
    flag: [
        evaluator.resolve_string_value(flag, "none", EvaluationContext(f"user-{number}")).value
        for number in range(1000)
    ]
    for flag in json.loads(flags)["flags"]
}
print(json.dumps(variants))
PY

cat >evaluate.js <<'JS'
const fs = require("fs");
const { FlagdCore } = require("@openfeature/flagd-core");

const quiet = { error() {}, warn() {}, info() {}, debug() {} };
const flags = fs.readFileSync("flags.json", "utf8");
const evaluator = new FlagdCore();
evaluator.setConfigurations(flags);
const variants = {};
for (const flag of Object.keys(JSON.parse(flags).flags)) {
  variants[flag] = [];
  for (let number = 0; number < 1000; number++) {
    const context = { targetingKey: `user-${number}` };
    variants[flag].push(evaluator.resolveStringEvaluation(flag, "none", context, quiet).value);
  }
}
console.log(JSON.stringify(variants));
JS

venv/bin/python evaluate.py >python.json
node evaluate.js >node.json

cat >compare.py <<'PY'
import json
import pathlib

python, node = (json.loads(pathlib.Path(f"{language}.json").read_text()) for language in ("python", "node"))
for flag in python:
    agreeing = sum(one == other for one, other in zip(python[flag], node[flag], strict=True))
    shares = f"candidate in Python {python[flag].count('candidate')}, in Node {node[flag].count('candidate')}"
    print(f"{flag}: {shares}, same variant {agreeing} of 1000")
PY

cat >expected.txt <<'SEEN'
explicit key: candidate in Python 535, in Node 506, same variant 505 of 1000
shorthand: candidate in Python 494, in Node 491, same variant 501 of 1000
SEEN
venv/bin/python compare.py >seen.txt
if ! diff expected.txt seen.txt; then
    echo "flagd-shares-by-language: the evaluators of Python and Node no longer part as stated above." >&2
    exit 1
fi
echo "flagd-shares-by-language: still so"
