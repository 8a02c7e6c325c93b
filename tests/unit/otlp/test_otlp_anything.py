"""Whatever a message holds, reading it raises nothing, is deterministic, and what comes out is valid."""

import random

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agents.wire.codec import Decoder, encode
from optimizer.otlp.attributes import TABLE
from optimizer.otlp.normalise import Normaliser

KEYS = [
    *(row.attribute for row in TABLE),
    "llmopt.attribute.task",
    "llmopt.attribute.",
    "service.name",
    "other",
]
TEXTS = ["", "chat", "embeddings", "LLM", "generation", "m" * 128, "m" * 129, "12", "-1", "nan", "1e999", "9" * 40,
         "²", "{}", "[", '{"input": -1, "output": 1e400, "total": null}', '{"prompt_tokens": 99999999999999999999}',
         "0001-01-01T00:00:00+23:59", "2026-01-01T00:00:00", "candidate", "\x00\ud7ff"]  # fmt: skip
INTS = [0, 1, -1, 7, 2**31, 2**63 - 1, -(2**63)]
FLOATS = [0.0, -0.5, 0.3, 1.0, 1e300, float("nan"), float("inf"), float("-inf"), 5e-324]
TIMES = [0, 1, *[1_767_225_600_000_000_000] * 6, *[1_767_225_600_500_000_000] * 6, 2**63, 2**64 - 1]


class Sender:
    """Fills messages with anything that their types allow."""

    def __init__(self, seed):
        self.dice = random.Random(seed)

    def value(self, into):
        kind = self.dice.randrange(7)
        if kind == 0:
            into.string_value = self.dice.choice(TEXTS)
        elif kind == 1:
            into.int_value = self.dice.choice(INTS)
        elif kind == 2:
            into.double_value = self.dice.choice(FLOATS)
        elif kind == 3:
            into.bool_value = self.dice.random() < 0.5
        elif kind == 4:
            into.bytes_value = b"\xff\x00"
        elif kind == 5:
            into.array_value.values.add().int_value = 1

    def attributes(self, into, keys=KEYS):
        for key in self.dice.choices(keys, k=self.dice.randrange(30)):
            self.value_of(into.add(key=key))

    def value_of(self, item):
        self.value(item.value)

    def likely(self, into):
        """What makes many spans a call and many records an evaluation, so that what follows is reached."""
        for key, text in (("gen_ai.operation.name", "chat"), ("gen_ai.evaluation.score.label", "pass")):
            if self.dice.random() < 0.9:
                into.add(key=key).value.string_value = text

    def spans(self):
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add()
        self.attributes(group.resource.attributes, ["service.name", "llmopt.target", "cloud.region"])
        scope = group.scope_spans.add()
        for _ in range(20):
            span = scope.spans.add(
                trace_id=self.dice.choice([b"", b"\0" * 16, b"t" * 16]),
                span_id=self.dice.choice([b"", b"s" * 7, b"a" * 8, b"b" * 8, b"c" * 8]),
                parent_span_id=self.dice.choice([b"", b"a" * 8, b"b" * 8, b"c" * 8]),
                start_time_unix_nano=self.dice.choice(TIMES),
                end_time_unix_nano=self.dice.choice(TIMES),
            )
            self.attributes(span.attributes)
            self.likely(span.attributes)
            span.status.code = self.dice.randrange(3)
            event = span.events.add(
                name=self.dice.choice(["exception", "gen_ai.evaluation.result", "First Token Stream Event"]),
                time_unix_nano=self.dice.choice(TIMES),
            )
            self.attributes(event.attributes, [*KEYS, "exception.type"])
        return request

    def metrics(self):
        request = ExportMetricsServiceRequest()
        scope = request.resource_metrics.add().scope_metrics.add()
        for _ in range(20):
            metric = scope.metrics.add(
                name=self.dice.choice([*TEXTS[1:], "x", "y"]), unit=self.dice.choice(["s", "u" * 40])
            )
            shape = getattr(
                metric, self.dice.choice(["gauge", "sum", "histogram", "exponential_histogram", "summary"])
            )
            if hasattr(shape, "aggregation_temporality"):
                shape.aggregation_temporality = self.dice.randrange(3)
            point = shape.data_points.add(
                time_unix_nano=self.dice.choice(TIMES), start_time_unix_nano=self.dice.choice(TIMES)
            )
            self.attributes(point.attributes)
            self.fill(point)
        return request

    def fill(self, point):
        name = type(point).__name__
        if name == "NumberDataPoint":
            point.as_double = self.dice.choice(FLOATS)
        elif name == "HistogramDataPoint":
            point.explicit_bounds.extend(self.dice.choices(FLOATS, k=self.dice.randrange(4)))
            point.bucket_counts.extend(self.dice.choices([0, 1, 2**63], k=self.dice.randrange(5)))
            point.sum = self.dice.choice(FLOATS)
        elif name == "ExponentialHistogramDataPoint":
            point.scale = self.dice.choice([-(2**31), -20, 0, 3, 20, 2**31 - 1])
            point.zero_count = self.dice.choice([0, 1, 2**63])
            point.zero_threshold = self.dice.choice(FLOATS)
            for side in (point.positive, point.negative):
                side.offset = self.dice.choice([-(2**31), -5, 0, 5, 2**31 - 1])
                side.bucket_counts.extend(self.dice.choices([0, 1], k=self.dice.randrange(900)))

    def logs(self):
        request = ExportLogsServiceRequest()
        scope = request.resource_logs.add().scope_logs.add()
        for _ in range(20):
            record = scope.log_records.add(
                time_unix_nano=self.dice.choice(TIMES),
                observed_time_unix_nano=self.dice.choice(TIMES),
                event_name=self.dice.choice(["gen_ai.evaluation.result", "", "other"]),
                trace_id=self.dice.choice([b"", b"t" * 16]),
                span_id=self.dice.choice([b"", b"a" * 8, b"toolong__"]),
            )
            self.likely(record.attributes)
            self.attributes(record.attributes, [*KEYS, "event.name"])
        return request


@pytest.mark.parametrize("signal", ["spans", "metrics", "logs"])
def test_anything_is_read_without_an_exception_and_what_comes_out_is_valid(signal):
    decoder = Decoder(["call", "feedback", "metric"])
    made = 0
    for seed in range(300):
        request = getattr(Sender(seed), signal)()
        out = getattr(Normaliser(), signal)(request)
        again = getattr(Normaliser(), signal)(type(request).FromString(request.SerializeToString()))
        assert out == again
        assert out.events == [decoder.decode(encode(event)) for event in out.events]
        made += len(out.events)
    assert made > 200  # or the dice reach nothing
