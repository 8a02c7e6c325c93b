"""Exports over gRPC and over HTTP: what is taken, what is refused, and whether the exporter shall repeat it."""

import asyncio
import gzip
import json
import zlib
from contextlib import ExitStack, asynccontextmanager

import grpc
import httpx
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from agents.ingest.publisher import Busy, NotAcknowledged
from agents.otlp import intake as intakes
from agents.otlp.grpc_receiver import GrpcReceiver
from agents.otlp.http_receiver import JSON, PROTOBUF, HttpReceiver, application
from agents.otlp.intake import Intake, Normalised
from agents.otlp.protocol import SERVICES
from agents.otlp.refusal import Refused

ADMITTED = "Bearer open sesame"
RESPONSES = {
    "spans": ExportTraceServiceResponse, "metrics": ExportMetricsServiceResponse, "logs": ExportLogsServiceResponse,
}  # fmt: skip
BAD_NAME = "bad"


class Broker:
    """Takes what is published, or refuses it with `trouble`."""

    def __init__(self, trouble=None):
        self.trouble, self.published = trouble, []

    async def publish(self, topic, events):
        assert topic == "metrics"
        await asyncio.sleep(0)
        if self.trouble is not None:
            raise self.trouble
        self.published.extend(events)


def named(signal, request):
    """A normaliser: one event per resource, its name; resources with BAD_NAME are unusable."""
    resources = getattr(
        request, {"spans": "resource_spans", "metrics": "resource_metrics", "logs": "resource_logs"}[signal]
    )
    names = [one.schema_url for one in resources]
    bad = names.count(BAD_NAME)
    return Normalised(
        [(signal, n) for n in names if n != BAD_NAME], bad, "schema_url: no such name" if bad else ""
    )


def permit(_authorization):
    """Anybody may."""


def insist(authorization):
    if authorization != ADMITTED:
        raise Refused(grpc.StatusCode.UNAUTHENTICATED, 401, "authorization: Bearer and the token")


def request_of(*names, padding=0):
    request = ExportTraceServiceRequest()
    for name in names:
        request.resource_spans.add(schema_url=name)
    if padding:
        span = request.resource_spans[0].scope_spans.add().spans.add()
        span.attributes.add(key="a").value.bytes_value = bytes(padding)
    return request.SerializeToString()


@asynccontextmanager
async def channel_to(broker, authorise=permit, **options):
    receiver = GrpcReceiver(Intake(broker, named), host="127.0.0.1", port=0, authorise=authorise)
    await receiver.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{receiver.port}", **options) as channel:
            yield channel
    finally:
        await receiver.stop()


async def export(channel, body, signal="spans", **options):
    call = channel.unary_unary(f"/{SERVICES[signal].name}/Export")
    return RESPONSES[signal].FromString(await call(body, timeout=20, **options))


def over_grpc(body, broker, authorise=permit, **options):
    """The response to one export, or the error with its google.rpc.Status."""

    async def once():
        async with channel_to(broker, authorise) as channel:
            try:
                return await export(channel, body, **options)
            except grpc.aio.AioRpcError as error:
                details = dict(error.trailing_metadata()).get("grpc-status-details-bin")
                return error, None if details is None else Status.FromString(details)

    return asyncio.run(once())


def over_http(body, broker, *, path="/v1/traces", method="POST", authorise=permit, **headers):
    async def once():
        transport = httpx.ASGITransport(application(Intake(broker, named), authorise))
        async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, content=body, headers={"content-type": PROTOBUF} | sent)

    return asyncio.run(once())


def retry_after(status):
    """Seconds after which the status says to repeat, None: never."""
    info = RetryInfo()
    return info.retry_delay.ToMilliseconds() / 1000 if any(d.Unpack(info) for d in status.details) else None


class TestGrpc:
    @pytest.mark.parametrize("signal", ["spans", "metrics", "logs"])
    def test_every_signal_is_taken_in_full(self, signal):
        broker = Broker()
        assert RESPONSES[signal]() == over_grpc(request_of("a", "b"), broker, signal=signal)
        assert [(signal, "a"), (signal, "b")] == broker.published

    def test_a_gzipped_export_is_taken(self):
        broker = Broker()
        answer = over_grpc(request_of("a", padding=100_000), broker, compression=grpc.Compression.Gzip)
        assert (ExportTraceServiceResponse(), [("spans", "a")]) == (answer, broker.published)

    def test_unusable_items_are_counted_and_the_others_taken(self):
        broker = Broker()
        answer = over_grpc(request_of("a", BAD_NAME, "b", BAD_NAME), broker)
        assert 2 == answer.partial_success.rejected_spans
        assert "schema_url: no such name" == answer.partial_success.error_message
        assert [("spans", "a"), ("spans", "b")] == broker.published

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
        error, _ = over_grpc(request_of("a"), broker, insist)
        assert grpc.StatusCode.UNAUTHENTICATED == error.code()
        over_grpc(request_of("b"), broker, insist, metadata=(("authorization", ADMITTED),))
        assert [("spans", "b")] == broker.published

    def test_health_is_served_for_the_whole_and_for_each_service(self):
        async def states():
            async with channel_to(Broker()) as channel:
                check = health_pb2_grpc.HealthStub(channel).Check
                return [
                    (await check(health_pb2.HealthCheckRequest(service=name))).status
                    for name in ("", *(service.name for service in SERVICES.values()))
                ]

        assert [health_pb2.HealthCheckResponse.SERVING] * 4 == asyncio.run(states())

    def test_a_port_that_is_taken_is_an_error(self):
        async def twice():
            one = GrpcReceiver(Intake(Broker(), named), host="127.0.0.1", port=0, authorise=permit)
            await one.start()
            try:
                await GrpcReceiver(
                    Intake(Broker(), named), host="127.0.0.1", port=one.port, authorise=permit
                ).start()
            finally:
                await one.stop()

        with pytest.raises(RuntimeError, match="bind"):
            asyncio.run(twice())

    def test_a_large_export_does_not_stop_the_others(self):
        async def both():
            broker = Broker()
            async with channel_to(broker) as channel:
                large = asyncio.create_task(export(channel, request_of("large", padding=30_000_000)))
                await export(channel, request_of("small"))
                await large
            return broker.published

        assert {("spans", "small"), ("spans", "large")} == set(asyncio.run(both()))


class TestHttp:
    @pytest.mark.parametrize(
        ("signal", "member"),
        [("spans", "resourceSpans"), ("metrics", "resourceMetrics"), ("logs", "resourceLogs")],
    )
    def test_every_signal_is_taken_in_both_encodings(self, signal, member):
        broker, path = Broker(), SERVICES[signal].path
        binary = over_http(request_of("a"), broker, path=path)
        text = over_http(
            json.dumps({member: [{"schemaUrl": "b"}]}).encode(), broker, path=path,
            content_type="application/json; charset=utf-8",
        )  # fmt: skip
        assert (200, PROTOBUF, b"") == (binary.status_code, binary.headers["content-type"], binary.content)
        assert (200, JSON, {}) == (text.status_code, text.headers["content-type"], text.json())
        assert [(signal, "a"), (signal, "b")] == broker.published

    @pytest.mark.parametrize("members", [1, 3])
    def test_gzip_is_inflated_also_in_several_members(self, members):
        broker, body = Broker(), request_of("a", padding=3 * 2**20)
        size = -(-len(body) // members)
        zipped = b"".join(gzip.compress(body[i : i + size]) for i in range(0, len(body), size))
        assert 200 == over_http(zipped, broker, content_encoding="gzip").status_code
        assert [("spans", "a")] == broker.published

    def test_unusable_items_are_counted_in_the_encoding_of_the_request(self):
        binary = over_http(request_of("a", BAD_NAME), Broker())
        text = over_http(b'{"resourceSpans":[{"schemaUrl":"bad"}]}', Broker(), content_type=JSON)
        assert 1 == ExportTraceServiceResponse.FromString(binary.content).partial_success.rejected_spans
        assert {"rejectedSpans": "1", "errorMessage": "schema_url: no such name"} == text.json()[
            "partialSuccess"
        ]

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
        text = over_http(b"{}", Broker(trouble), content_type=JSON)
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

    @pytest.mark.parametrize(("path", "method", "code"), [("/v1/traces", "GET", 405), ("/v1/x", "POST", 404)])
    def test_other_methods_and_paths_are_refused(self, path, method, code):
        assert code == over_http(b"", Broker(), path=path, method=method).status_code

    def test_a_server_takes_exports_until_it_is_stopped(self):
        async def served():
            broker = Broker()
            receiver = HttpReceiver(Intake(broker, named), host="127.0.0.1", port=0, authorise=permit)
            await receiver.start()
            url = f"http://127.0.0.1:{receiver.port}/v1/traces"
            async with httpx.AsyncClient() as client:
                taken = await client.post(url, content=request_of("a"), headers={"content-type": PROTOBUF})
                await receiver.stop()
                with pytest.raises(httpx.ConnectError):
                    await client.post(url)
            return taken.status_code, broker.published

        assert (200, [("spans", "a")]) == asyncio.run(served())

    def test_a_port_that_is_taken_is_an_error(self):
        async def twice():
            one = HttpReceiver(Intake(Broker(), named), host="127.0.0.1", port=0, authorise=permit)
            await one.start()
            try:
                await HttpReceiver(
                    Intake(Broker(), named), host="127.0.0.1", port=one.port, authorise=permit
                ).start()
            finally:
                await one.stop()

        with pytest.raises(OSError, match="in use"):
            asyncio.run(twice())

    def test_without_the_token_nothing_is_taken(self):
        broker = Broker()
        refused = over_http(request_of("a"), broker, authorise=insist)
        taken = over_http(request_of("b"), broker, authorise=insist, authorization=ADMITTED)
        assert (401, 200) == (refused.status_code, taken.status_code)
        assert [("spans", "b")] == broker.published


class TestHolding:
    def test_more_at_once_than_may_be_held_is_repeated_later(self):
        intake = Intake(Broker(), named)
        with ExitStack() as stack:
            for _ in range(intakes.MAX_HELD_BYTES // intakes.MAX_BYTES):
                stack.enter_context(intake.holding())(intakes.MAX_BYTES)
            with pytest.raises(Refused) as refused:
                stack.enter_context(intake.holding())(1)
        assert (429, grpc.StatusCode.RESOURCE_EXHAUSTED) == (refused.value.http, refused.value.code)
        assert intakes.RETRY_AFTER_S == refused.value.retry_after_s

    def test_what_was_worked_on_makes_room(self):
        intake = Intake(Broker(), named)
        for _ in range(10):
            with intake.holding() as hold:
                hold(intakes.MAX_BYTES)
        with intake.holding() as hold:
            hold(intakes.MAX_BYTES)
            with pytest.raises(Refused) as refused:
                hold(1)
        assert (413, None) == (refused.value.http, refused.value.retry_after_s)
