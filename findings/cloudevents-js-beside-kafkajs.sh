#!/usr/bin/env bash
# The Kafka binding of the JavaScript SDK and the Kafka client of JavaScript do not fit, in either direction.
#
# Guess: what `Kafka.binary` returns is sent by KafkaJS, and what KafkaJS delivers is read by `Kafka.toEvent`.
# So:    of a binary message neither data (an object) nor headers (undefined, numbers) can be encoded by KafkaJS; what
#        KafkaJS delivers has headers of bytes, on which `Kafka.toEvent` fails in both modes. Only structured messages go
#        out. To read, each header has to be made text first.
# Seen:  2026-12-01, cloudevents 10.0.0 beside kafkajs 2.2.4 (npm). KafkaJS's own record encoder and decoder, no broker.
# Source: CloudEvents 1.0.2, Kafka protocol binding; the errors are those of the packages.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

npm install --silent --no-fund --no-audit --prefix "$folder" cloudevents@10.0.0 kafkajs@2.2.4 >npm.log

cat >carry.js <<'JS'
const { CloudEvent, Kafka } = require("cloudevents");
const Decoder = require("kafkajs/src/protocol/decoder");
const encode = require("kafkajs/src/protocol/recordBatch/record/v0");
const decode = require("kafkajs/src/protocol/recordBatch/record/v0/decoder");

const batch = { firstOffset: "0", firstTimestamp: "0", magicByte: 2 };
const carried = (message) => {
  const decoder = new Decoder(encode(message).buffer);
  decoder.readVarInt(); // the record's length, which KafkaJS reads before it reads the record
  return decode(decoder, batch);
};
const told = (step, work) => {
  try {
    console.log(`${step}:`, work());
  } catch (refusal) {
    console.log(`${step}:`, refusal.name, refusal.message.split(". Received")[0]);
  }
};
const event = (data) =>
  new CloudEvent({ id: "1", source: "/s", type: "call", time: "2026-12-01T00:00:00Z", datacontenttype: "application/json", data });
const texts = (message) => ({
  ...message,
  headers: Object.fromEntries(Object.entries(message.headers).map(([name, bytes]) => [name, bytes.toString()])),
});

told("binary, data an object, sent", () => carried(Kafka.binary(event({ tokens: 7 }))).key);
told("binary, data a text, sent", () => carried(Kafka.binary(event('{"tokens":7}'))).key);
const structured = carried(Kafka.structured(event({ tokens: 7 })));
told("structured, sent, headers of bytes", () => Buffer.isBuffer(structured.headers["content-type"]));
told("structured, read as delivered", () => Kafka.toEvent(structured).data);
told("structured, read with headers as text", () => JSON.stringify(Kafka.toEvent(texts(structured)).data));
const foreign = { ce_specversion: "1.0", ce_id: "1", ce_source: "/s", ce_type: "call", "content-type": "application/json" };
const binary = carried({ key: null, value: '{"tokens":7}', headers: foreign });
told("binary of somebody else, read as delivered", () => Kafka.toEvent(binary).data);
told("binary of somebody else, headers as text", () => JSON.stringify(Kafka.toEvent(texts(binary)).data));
JS

cat >expected.txt <<'SEEN'
binary, data an object, sent: TypeError The "string" argument must be of type string or an instance of Buffer or ArrayBuffer
binary, data a text, sent: TypeError The "string" argument must be of type string or an instance of Buffer or ArrayBuffer
structured, sent, headers of bytes: true
structured, read as delivered: TypeError headers[__1.CONSTANTS.HEADER_CONTENT_TYPE]?.startsWith is not a function
structured, read with headers as text: {"tokens":7}
binary of somebody else, read as delivered: TypeError contentType.startsWith is not a function
binary of somebody else, headers as text: {"tokens":7}
SEEN
node carry.js >seen.txt
if ! diff expected.txt seen.txt; then
    echo "cloudevents-js-beside-kafkajs: the two fit otherwise than stated above." >&2
    exit 1
fi
echo "cloudevents-js-beside-kafkajs: still so"
