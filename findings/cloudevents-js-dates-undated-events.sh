#!/usr/bin/env bash
# An event without a time gets the time of its reading, or is refused, by the mode in which it comes.
#
# Guess: `time` is optional in CloudEvents, so an event that has none is read as one that has none.
# So:    from a binary Kafka message the JavaScript SDK makes an event that says it happened now, whenever it is read:
#        reading the same message twice gives two times. The same event in structured mode is refused as a RangeError.
#        What has a time of nanoseconds keeps its milliseconds only, and its offset is gone.
# Seen:  2026-12-01, cloudevents 10.0.0 (npm).
# Source: CloudEvents 1.0.2, attribute `time`, and its Kafka protocol binding.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

npm install --silent --no-fund --no-audit --prefix "$folder" cloudevents@10.0.0 >npm.log

cat >read.js <<'JS'
const { Kafka } = require("cloudevents");

const binary = (time) => ({
  value: '{"tokens":7}',
  headers: { ce_specversion: "1.0", ce_id: "1", ce_source: "/s", ce_type: "call", "content-type": "application/json", ...time },
});
const structured = (time) => ({
  value: JSON.stringify({ specversion: "1.0", id: "1", source: "/s", type: "call", ...time, data: { tokens: 7 } }),
  headers: { "content-type": "application/cloudevents+json" },
});
const exact = "2026-11-30T23:30:00.123456789+02:00";

const began = Date.now() - 1;
const first = Kafka.toEvent(binary({}));
const until = Date.now() + 100;
while (Date.now() < until);
const second = Kafka.toEvent(binary({}));
console.log("binary without time: dated now", Date.parse(first.time) >= began, "and later later", second.time > first.time);
try {
  console.log("structured without time:", Kafka.toEvent(structured({})).time);
} catch (refusal) {
  console.log("structured without time:", refusal.name, refusal.message);
}
console.log("binary with nanoseconds:", Kafka.toEvent(binary({ ce_time: exact })).time);
console.log("structured with nanoseconds:", Kafka.toEvent(structured({ time: exact })).time);
JS

cat >expected.txt <<'SEEN'
binary without time: dated now true and later later true
structured without time: RangeError Invalid time value
binary with nanoseconds: 2026-11-30T21:30:00.123Z
structured with nanoseconds: 2026-11-30T21:30:00.123Z
SEEN
node read.js >seen.txt
if ! diff expected.txt seen.txt; then
    echo "cloudevents-js-dates-undated-events: the JavaScript SDK treats the time otherwise than stated above." >&2
    exit 1
fi
echo "cloudevents-js-dates-undated-events: still so"
