"""Exports over gRPC and over HTTP: what is taken, what is refused, and whether the exporter shall repeat it."""

import asyncio
import base64
import gzip
import json
import zlib
from contextlib import ExitStack, asynccontextmanager

import grpc
import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext

from agents.gateway.access import Access
from agents.gateway.otlp import intake as intakes
from agents.gateway.otlp import over_http as over_http_module
from agents.gateway.otlp.intake import ExportIntake
from agents.gateway.otlp.over_grpc import GrpcReceiver
from agents.gateway.otlp.over_http import JSON, PROTOBUF, application
from agents.gateway.otlp.protocol import SERVICES
from agents.gateway.otlp.receivers import receivers
from agents.gateway.otlp.refusal import ExportRefused
from agents.gateway.publisher import Busy, NotAcknowledged
from agents.gateway.serving import CannotListen
from agents.settings.group import SettingsError
from agents.settings.settings import load as load_settings
from agents.wire.otlp.decoding import decode
from optimizer.model.event import CallEvent, FeedbackEvent, MetricEvent

ADMITTED = "Bearer open sesame"
RESPONSES = {
    "spans": ExportTraceServiceResponse, "metrics": ExportMetricsServiceResponse, "logs": ExportLogsServiceResponse,
}  # fmt: skip
AT_NS = 1_780_000_000_000_000_000
BAD_NAME, FOREIGN = "bad", "foreign"


class Broker:
    """Takes what is published, or refuses it with `trouble`."""

    def __init__(self, trouble=None):
        self.trouble, self.published, self.largest = trouble, [], 0

    async def publish(self, topic, events):
        assert topic == "metrics"
        await asyncio.sleep(0)
        if self.trouble is not None:
            raise self.trouble
        self.published.extend(events)
        self.largest = max(self.largest, len(events))

    def models(self):
        return [event.data.model for event in self.published]


class Recovering(Broker):
    """Refuses once."""

    async def publish(self, topic, events):
        try:
            await super().publish(topic, events)
        finally:
            self.trouble = None


def a_call():
    """A span as the SDK has it."""
    context = SpanContext(1, 1, is_remote=False)
    about = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "a"}
    scope = InstrumentationScope("tests")
    return ReadableSpan(
        "chat a", context, attributes=about, start_time=AT_NS - 1, end_time=AT_NS, instrumentation_scope=scope
    )


def told(**settings):
    return load_settings(otlp_grpc_port=0, otlp_http_port=0, **settings)


def request_of(*names, padding=0):
    """Spans of the models with these names; two names are no models: BAD_NAME cannot be, FOREIGN is no call."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number, name in enumerate(names, start=1):
        span = spans.add(trace_id=bytes([number]) * 16, span_id=bytes([number]) * 8, end_time_unix_nano=AT_NS)
        span.start_time_unix_nano = 1 if name == BAD_NAME else AT_NS - 1_000_000
        if name != FOREIGN:
            span.attributes.add(key="gen_ai.operation.name").value.string_value = "chat"
        span.attributes.add(key="gen_ai.request.model").value.string_value = name
    if padding:
        spans[0].attributes.add(key="a").value.bytes_value = bytes(padding)
    return request.SerializeToString()


def one_inside_another():
    """Two spans of one call: a gateway's around a client's."""
    request = ExportTraceServiceRequest.FromString(request_of("a", "a"))
    outer, inner = request.resource_spans[0].scope_spans[0].spans
    inner.trace_id, inner.parent_span_id = outer.trace_id, outer.span_id
    return request.SerializeToString()


def measured(value, flags=0):
    """A point of a metric."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="queue.length", unit="1")
    metric.gauge.data_points.add(time_unix_nano=AT_NS, as_double=value, flags=flags)
    return request.SerializeToString()


def judged(score, event_name="gen_ai.evaluation.result"):
    """An evaluation as a log record; without a score it failed."""
    request = ExportLogsServiceRequest()
    record = (
        request.resource_logs.add()
        .scope_logs.add()
        .log_records.add(event_name=event_name, time_unix_nano=AT_NS, trace_id=b"t" * 16, span_id=b"s" * 8)
    )
    if score is None:
        record.attributes.add(key="error.type").value.string_value = "timeout"
    else:
        record.attributes.add(key="gen_ai.evaluation.score.value").value.double_value = score
    return request.SerializeToString()


GOOD = {"spans": request_of("a"), "metrics": measured(2.0), "logs": judged(0.5)}
UNUSABLE = {
    "spans": (request_of(BAD_NAME), "impossible time"),
    "metrics": (measured(float("nan")), "metric: not a number"),
    "logs": (judged(7.0), "evaluation: score off its scale"),
}
FOREIGN_TO_US = {
    "not a call": ("spans", request_of(FOREIGN, "a"), 1),
    "second span of a call": ("spans", one_inside_another(), 1),
    "no evaluation": ("logs", judged(0.5, event_name="gen_ai.user.message"), 0),
    "evaluation: failed": ("logs", judged(None), 0),
    "metric: no recorded value": ("metrics", measured(0.0, flags=1), 0),
}
"""Why → signal, an export with that, and how many events there are besides."""
GUARDED = load_settings(otlp_grpc_port=0, ingest_token=ADMITTED.removeprefix("Bearer "))
KINDS = {"spans": CallEvent, "metrics": MetricEvent, "logs": FeedbackEvent}
COUNTED = {"spans": "rejected_spans", "metrics": "rejected_data_points", "logs": "rejected_log_records"}


@asynccontextmanager
async def channel_to(broker, settings):
    receiver = GrpcReceiver(settings, ExportIntake(broker))
    address = (await receiver.start()).split()[-1]
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            yield channel
    finally:
        await receiver.stop()


async def export(channel, body, signal="spans", **options):
    call = channel.unary_unary(f"/{SERVICES[signal].name}/Export")
    return RESPONSES[signal].FromString(await call(body, timeout=20, **options))


def over_grpc(body, broker, settings=None, **options):
    """The response to one export, or the error with its google.rpc.Status."""

    async def once():
        async with channel_to(broker, settings or told()) as channel:
            try:
                return await export(channel, body, **options)
            except grpc.aio.AioRpcError as error:
                details = dict(error.trailing_metadata()).get("grpc-status-details-bin")
                return error, None if details is None else Status.FromString(details)

    return asyncio.run(once())


def over_http(body, broker, *, path="/v1/traces", method="POST", settings=None, **headers):
    async def once():
        transport = httpx.ASGITransport(application(ExportIntake(broker), Access(settings or told())))
        async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, content=body, headers={"content-type": PROTOBUF} | sent)

    return asyncio.run(once())


def as_json(signal, body):
    """The same export as OTLP/JSON."""

    def with_hexadecimal_ids(value):
        if isinstance(value, list):
            return [with_hexadecimal_ids(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {
            name: base64.b64decode(item).hex()
            if name in ("traceId", "spanId")
            else with_hexadecimal_ids(item)
            for name, item in value.items()
        }

    return json.dumps(with_hexadecimal_ids(MessageToDict(decode(signal, body, json=False)))).encode()


def retry_after(status):
    """Seconds after which the status says to repeat, None: never."""
    info = RetryInfo()
    return info.retry_delay.ToMilliseconds() / 1000 if any(d.Unpack(info) for d in status.details) else None


class TestGrpc:
    @pytest.mark.parametrize("signal", ["spans", "metrics", "logs"])
    def test_every_signal_is_taken_in_full(self, signal):
        broker = Broker()
        assert RESPONSES[signal]() == over_grpc(GOOD[signal], broker, signal=signal)
        assert [KINDS[signal]] == [type(event) for event in broker.published]

    @pytest.mark.parametrize("signal", ["spans", "metrics", "logs"])
    def test_every_signal_counts_what_is_unusable(self, signal):
        body, why = UNUSABLE[signal]
        broker = Broker()
        partial = over_grpc(body, broker, signal=signal).partial_success
        assert (1, why) == (getattr(partial, COUNTED[signal]), partial.error_message[: len(why)])
        assert [] == broker.published

    @pytest.mark.parametrize("why", sorted(intakes.NOT_OURS))
    def test_what_is_not_for_us_is_a_full_success(self, why):
        signal, body, events = FOREIGN_TO_US[why]
        broker = Broker()
        assert RESPONSES[signal]() == over_grpc(body, broker, signal=signal)
        assert events == len(broker.published)

    def test_a_large_export_reaches_the_broker_in_slices(self):
        broker = Broker()
        count = intakes.SLICE + 1
        request = ExportTraceServiceRequest.FromString(request_of(*["m"] * 255))
        spans = request.resource_spans[0].scope_spans[0].spans
        for number in range(len(spans), count):
            spans.add().CopyFrom(spans[0])
            spans[-1].span_id = number.to_bytes(8, "big")
        broker = Broker()
        over_grpc(request.SerializeToString(), broker)
        assert (count, intakes.SLICE) == (len(broker.published), broker.largest)

    def test_a_gzipped_export_is_taken(self):
        broker = Broker()
        answer = over_grpc(request_of("a", padding=100_000), broker, compression=grpc.Compression.Gzip)
        assert (ExportTraceServiceResponse(), ["a"]) == (answer, broker.models())

    def test_unusable_items_are_counted_and_the_others_taken(self):
        broker = Broker()
        answer = over_grpc(request_of("a", BAD_NAME, "b", BAD_NAME), broker)
        assert 2 == answer.partial_success.rejected_spans
        assert "impossible time (2)" == answer.partial_success.error_message
        assert {"a", "b"} == set(broker.models())

    @pytest.mark.parametrize(
        ("trouble", "code", "repeat_s"),
        [
            (Busy(2.5), grpc.StatusCode.RESOURCE_EXHAUSTED, 2.5),
            (NotAcknowledged("no answer"), grpc.StatusCode.UNAVAILABLE, intakes.UNREACHABLE_RETRY_S),
            (NotAcknowledged("too large", retryable=False), grpc.StatusCode.INVALID_ARGUMENT, None),
        ],
    )
    def test_trouble_with_the_broker_says_whether_to_repeat(self, trouble, code, repeat_s):
        error, status = over_grpc(request_of("a"), Broker(trouble))
        assert (code, str(trouble)) == (error.code(), error.details())
        assert (code.value[0], str(trouble)) == (status.code, status.message)
        assert repeat_s == retry_after(status)

    def test_what_cannot_be_decoded_is_not_repeated(self):
        error, status = over_grpc(b"\xff\xff", Broker())
        assert grpc.StatusCode.INVALID_ARGUMENT == error.code()
        assert "protobuf ExportTraceServiceRequest" in error.details()
        assert retry_after(status) is None

    @pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
    def test_more_than_the_limit_is_refused_also_when_it_was_small_on_the_way(self, compression):
        broker = Broker()
        error, status = over_grpc(request_of("a", padding=intakes.MAX_BYTES), broker, compression=compression)
        assert grpc.StatusCode.RESOURCE_EXHAUSTED == error.code()
        assert status is None or retry_after(status) is None
        assert [] == broker.published

    def test_without_the_token_nothing_is_taken(self):
        broker = Broker()
        error, _ = over_grpc(request_of("a"), broker, GUARDED)
        assert grpc.StatusCode.UNAUTHENTICATED == error.code()
        over_grpc(request_of("b"), broker, GUARDED, metadata=(("authorization", ADMITTED),))
        assert ["b"] == broker.models()

    def test_health_is_served_for_the_whole_and_for_each_service(self):
        async def states():
            async with channel_to(Broker(), told()) as channel:
                check = health_pb2_grpc.HealthStub(channel).Check
                return [
                    (await check(health_pb2.HealthCheckRequest(service=name))).status
                    for name in ("", *(service.name for service in SERVICES.values()))
                ]

        assert [health_pb2.HealthCheckResponse.SERVING] * 4 == asyncio.run(states())

    def test_a_large_export_does_not_stop_the_others(self):
        async def both():
            broker = Broker()
            async with channel_to(broker, told()) as channel:
                large = asyncio.create_task(export(channel, request_of("large", padding=30_000_000)))
                await export(channel, request_of("small"))
                await large
            return broker.models()

        assert {"small", "large"} == set(asyncio.run(both()))


class TestHttp:
    @pytest.mark.parametrize("signal", ["spans", "metrics", "logs"])
    def test_every_signal_is_taken_in_both_encodings(self, signal):
        broker, path = Broker(), SERVICES[signal].path
        binary = over_http(GOOD[signal], broker, path=path)
        text = over_http(
            as_json(signal, GOOD[signal]), broker, path=path, content_type="application/json; charset=utf-8"
        )
        assert (200, PROTOBUF, b"") == (binary.status_code, binary.headers["content-type"], binary.content)
        assert (200, JSON, {}) == (text.status_code, text.headers["content-type"], text.json())
        assert 2 == len(broker.published)
        assert broker.published[0] == broker.published[1]

    @pytest.mark.parametrize("members", [1, 3])
    def test_gzip_is_inflated_also_in_several_members(self, members):
        broker, body = Broker(), request_of("a", padding=3 * 2**20)
        size = -(-len(body) // members)
        zipped = b"".join(gzip.compress(body[i : i + size]) for i in range(0, len(body), size))
        assert 200 == over_http(zipped, broker, content_encoding="gzip").status_code
        assert ["a"] == broker.models()

    def test_unusable_items_are_counted_in_the_encoding_of_the_request(self):
        binary = over_http(request_of("a", BAD_NAME), Broker())
        text = over_http(as_json("spans", request_of(BAD_NAME)), Broker(), content_type=JSON)
        assert 1 == ExportTraceServiceResponse.FromString(binary.content).partial_success.rejected_spans
        assert {"rejectedSpans": "1", "errorMessage": "impossible time (1)"} == text.json()["partialSuccess"]

    @pytest.mark.parametrize(
        ("trouble", "status_code", "repeat_s"),
        [
            (Busy(2.5), 429, 2.5),
            (NotAcknowledged("no answer"), 503, intakes.UNREACHABLE_RETRY_S),
            (NotAcknowledged("too large", retryable=False), 400, None),
        ],
    )
    def test_trouble_with_the_broker_says_whether_to_repeat(self, trouble, status_code, repeat_s):
        binary = over_http(request_of("a"), Broker(trouble))
        text = over_http(as_json("spans", request_of("a")), Broker(trouble), content_type=JSON)
        status = Status.FromString(binary.content)
        assert (status_code, status_code) == (binary.status_code, text.status_code)
        assert (str(trouble), str(trouble)) == (status.message, text.json()["message"])
        assert repeat_s == retry_after(status)
        assert (None if repeat_s is None else str(-int(-repeat_s // 1))) == binary.headers.get("retry-after")
        assert (repeat_s is not None) == ("retryDelay" in text.text)

    @pytest.mark.parametrize(
        ("body", "headers", "status_code", "found"),
        [
            (b"\xff\xff", {}, 400, "protobuf ExportTraceServiceRequest"),
            (b"{", {"content_type": JSON}, 400, "OTLP/JSON"),
            (b"x", {"content_type": "text/plain"}, 415, "text/plain"),
            (b"x", {"content_encoding": "br"}, 415, "br"),
            (b"no gzip", {"content_encoding": "gzip"}, 400, "gzip"),
            (gzip.compress(b"")[:-1], {"content_encoding": "gzip"}, 400, "a part of it"),
            (b"", {"content_encoding": "gzip"}, 400, "a part of it"),
            (gzip.compress(b"") + b"rubbish", {"content_encoding": "gzip"}, 400, "gzip"),
        ],
        ids=range(8),
    )
    def test_what_is_no_export_is_refused_for_good(self, body, headers, status_code, found):
        broker = Broker()
        answer = over_http(body, broker, **headers)
        binary = answer.headers["content-type"] == PROTOBUF
        message = Status.FromString(answer.content).message if binary else answer.json()["message"]
        assert (status_code, True) == (answer.status_code, found in message)
        assert "retry-after" not in answer.headers
        assert [] == broker.published

    @pytest.mark.parametrize("zipped", [False, True])
    def test_more_than_the_limit_is_refused_before_it_is_in_memory(self, zipped):
        pulled = 0

        async def bomb():
            nonlocal pulled
            piece = bytes(2**20)
            packer = zlib.compressobj(wbits=31)
            for _ in range(200):
                pulled += len(piece)
                yield packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) if zipped else piece

        answer = over_http(bomb(), Broker(), content_encoding="gzip" if zipped else "identity")
        assert (413, True) == (answer.status_code, pulled < intakes.MAX_BYTES + 2**22)
        assert retry_after(Status.FromString(answer.content)) is None

    def test_gzip_that_inflates_to_nothing_for_ever_ends_at_the_limit_too(self, monkeypatch):
        monkeypatch.setattr(over_http_module, "MAX_BYTES", 2**20)
        pulled = 0

        async def members():
            nonlocal pulled
            while True:
                pulled += 1
                yield gzip.compress(b"") * 1000

        assert 413 == over_http(members(), Broker(), content_encoding="gzip").status_code
        assert pulled < 100

    @pytest.mark.parametrize(("path", "method", "code"), [("/v1/traces", "GET", 405), ("/v1/x", "POST", 404)])
    def test_other_methods_and_paths_are_refused(self, path, method, code):
        answer = over_http(b"", Broker(), path=path, method=method)
        assert code == answer.status_code
        assert "POST to one of /v1/traces" in Status.FromString(answer.content).message
        assert (code == 405) == (answer.headers.get("allow") == "POST")

    def test_without_the_token_nothing_is_taken(self):
        broker = Broker()
        refused = over_http(request_of("a"), broker, settings=GUARDED)
        taken = over_http(request_of("b"), broker, settings=GUARDED, authorization=ADMITTED)
        assert (401, 200) == (refused.status_code, taken.status_code)
        assert ["b"] == broker.models()


class TestReceivers:
    def test_both_take_exports_until_they_are_stopped(self):
        async def served():
            broker = Broker()
            both = receivers(told(), broker)
            grpc_address, url = [(await one.start()).split()[-1] for one in both]
            async with httpx.AsyncClient() as client, grpc.aio.insecure_channel(grpc_address) as channel:
                await export(channel, request_of("a"))
                answer = await client.post(
                    f"{url}/v1/traces", content=request_of("b"), headers={"content-type": PROTOBUF}
                )
                assert (200, [None, None]) == (answer.status_code, [one.ended() for one in both])
                await asyncio.gather(*(one.stop() for one in both))
                with pytest.raises(httpx.ConnectError):
                    await client.post(url)
                with pytest.raises(grpc.aio.AioRpcError):
                    await export(channel, request_of("c"))
            return broker.models()

        assert ["a", "b"] == asyncio.run(served())

    @pytest.mark.parametrize("which", [0, 1])
    @pytest.mark.parametrize("trouble", [Busy(0.2), NotAcknowledged("no answer")])
    def test_a_real_exporter_repeats_what_was_refused_for_now(self, which, trouble, monkeypatch):
        monkeypatch.setattr(intakes, "UNREACHABLE_RETRY_S", 0.2)
        broker = Recovering(trouble)

        async def exported():
            receiver = receivers(told(), broker)[which]
            address = (await receiver.start()).split()[-1]
            exporter = (
                OverGrpc(f"http://{address}", insecure=True), OverHttp(f"{address}/v1/traces")
            )[which]  # fmt: skip
            try:
                return await asyncio.to_thread(exporter.export, [a_call()])
            finally:
                await asyncio.to_thread(exporter.shutdown)
                await receiver.stop()

        assert SpanExportResult.SUCCESS == asyncio.run(exported())
        assert (["a"], None) == (broker.models(), broker.trouble)

    def test_a_defect_of_ours_is_said_to_be_one_and_told_without_what_was_sent(self, caplog):
        error, status = over_grpc(GOOD["spans"], Broker(KeyError("secret")))
        assert (grpc.StatusCode.INTERNAL, None) == (error.code(), retry_after(status))
        assert 500 == over_http(GOOD["spans"], Broker(KeyError("secret"))).status_code
        assert ("KeyError" in caplog.text, "secret" in caplog.text + error.details()) == (True, False)

    def test_a_span_that_comes_by_both_ways_has_one_id(self):
        broker = Broker()
        over_grpc(request_of("a"), broker)
        over_http(request_of("a"), broker)
        assert 1 == len({event.id for event in broker.published})

    @pytest.mark.parametrize("which", [0, 1])
    def test_a_port_that_is_taken_is_an_error_that_names_the_setting(self, which):
        async def twice():
            one = receivers(told(), Broker())[which]
            port = int((await one.start()).rpartition(":")[2])
            try:
                name = ("otlp_grpc_port", "otlp_http_port")[which]
                await receivers(load_settings(**{name: port}), Broker())[which].start()
            finally:
                await one.stop()

        with pytest.raises(CannotListen) as taken:
            asyncio.run(twice())
        assert ("LLMOPT_OTLP_GRPC_PORT", "LLMOPT_OTLP_HTTP_PORT")[which] in taken.value.remedy

    def test_other_addresses_than_loopback_need_a_token(self):
        with pytest.raises(SettingsError, match=r"0\.0\.0\.0"):
            receivers(told(ingest_host="0.0.0.0"), Broker())  # noqa: S104 - refused


class TestHolding:
    def test_more_at_once_than_may_be_held_is_repeated_later(self):
        intake = ExportIntake(Broker())
        with ExitStack() as stack:
            for _ in range(intakes.MAX_HELD_BYTES // intakes.MAX_BYTES):
                stack.enter_context(intake.holding())(intakes.MAX_BYTES)
            with pytest.raises(ExportRefused) as refused:
                stack.enter_context(intake.holding())(1)
        assert (429, grpc.StatusCode.RESOURCE_EXHAUSTED) == (refused.value.http, refused.value.code)
        assert intakes.RETRY_AFTER_S == refused.value.retry_after_s

    def test_what_was_worked_on_makes_room(self):
        intake = ExportIntake(Broker())
        for _ in range(10):
            with intake.holding() as hold:
                hold(intakes.MAX_BYTES)
        with intake.holding() as hold:
            hold(intakes.MAX_BYTES)
            with pytest.raises(ExportRefused) as refused:
                hold(1)
        assert (413, None) == (refused.value.http, refused.value.retry_after_s)
