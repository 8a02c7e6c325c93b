#!/usr/bin/env bash
# Dollars with four decimals and dollars with two are one schema, by fingerprint.
#
# Guess: a schema's fingerprint, made to find the writer's schema again, changes when the meaning of the bytes changes.
# So:    the canonical form drops logical types, so scale and unit of time are no part of it. fastavro, avro (Python) and
#        avsc (Node) give the same canonical form for decimals of scale 4 and 2, and for milliseconds and microseconds.
#        A registry by fingerprint keeps the one that came last, and 12.3456 is read as 1234.56 without an error.
#        Where both schemas are at hand the writer's wins, in fastavro and in avro: a reader's scale is not applied either.
# Seen:  2026-12-01, fastavro 1.13.1, avro 1.12.2 (PyPI), avsc 5.7.9 (npm).
# Source: Avro 1.12 specification, "Parsing Canonical Form": the attributes that are kept do not include logical types.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --no-compile --no-deps fastavro==1.13.1 avro==1.12.2 typing_extensions==4.16.0
npm install --silent --no-fund --no-audit --prefix "$folder" avsc@5.7.9 >npm.log

cat >schemas.json <<'JSON'
{
  "decimals of scale 4 and 2": [
    {"type": "record", "name": "Call", "fields": [{"name": "usd", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 4}}]},
    {"type": "record", "name": "Call", "fields": [{"name": "usd", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}}]}
  ],
  "milliseconds and microseconds": [
    {"type": "record", "name": "Call", "fields": [{"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]},
    {"type": "record", "name": "Call", "fields": [{"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}}]}
  ]
}
JSON

cat >fingerprint.py <<'PY'
import io
import json
import pathlib
from decimal import Decimal

import avro.io
import avro.schema
import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

pairs = json.loads(pathlib.Path("schemas.json").read_text())
for title, pair in pairs.items():
    by_fastavro = {fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO") for schema in pair}
    by_avro = {avro.schema.parse(json.dumps(schema)).fingerprint().hex() for schema in pair}
    print(f"{title}: {len(by_fastavro)} fingerprint by fastavro, {len(by_avro)} by avro")

four, two = pairs["decimals of scale 4 and 2"]
registry = {}
for schema in (four, two):
    registry[fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")] = schema
written = io.BytesIO()
fastavro.schemaless_writer(written, four, {"usd": Decimal("12.3456")})
sent_with = fingerprint(to_parsing_canonical_form(four), "CRC-64-AVRO")
found = fastavro.schemaless_reader(io.BytesIO(written.getvalue()), registry[sent_with])
print("written 12.3456, read by the schema of that fingerprint:", found["usd"])
resolved = fastavro.schemaless_reader(io.BytesIO(written.getvalue()), four, two)
print("read by fastavro with writer's scale 4, reader's 2:", resolved["usd"])
reader = avro.io.DatumReader(avro.schema.parse(json.dumps(four)), avro.schema.parse(json.dumps(two)))
print("read by avro likewise:", reader.read(avro.io.BinaryDecoder(io.BytesIO(written.getvalue())))["usd"])
PY

cat >fingerprint.js <<'JS'
const avsc = require("avsc");
const pairs = require("./schemas.json");
for (const [title, pair] of Object.entries(pairs)) {
  const prints = new Set(pair.map((schema) => avsc.Type.forSchema(schema).fingerprint("md5").toString("hex")));
  console.log(`${title}: ${prints.size} fingerprint by avsc`);
}
JS

cat >expected.txt <<'SEEN'
decimals of scale 4 and 2: 1 fingerprint by fastavro, 1 by avro
milliseconds and microseconds: 1 fingerprint by fastavro, 1 by avro
written 12.3456, read by the schema of that fingerprint: 1234.56
read by fastavro with writer's scale 4, reader's 2: 12.3456
read by avro likewise: 12.3456
decimals of scale 4 and 2: 1 fingerprint by avsc
milliseconds and microseconds: 1 fingerprint by avsc
SEEN
{ venv/bin/python fingerprint.py; node fingerprint.js; } >seen.txt
if ! diff expected.txt seen.txt; then
    echo "avro-fingerprint-forgets-the-unit: logical types show in a fingerprint otherwise than stated above." >&2
    exit 1
fi
echo "avro-fingerprint-forgets-the-unit: still so"
