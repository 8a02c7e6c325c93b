"""python -m tests.bench.otlp grpc|http SPANS: a receiver that takes and publishes what a sender beside it exports.

The sender is a process of its own (`… send`), several exports of 500 spans under way at a time. Prints one JSON
row: spans a second from the first export to the last acknowledgement, and the receiver's CPU time.
"""

import asyncio
import cProfile
import json
import os
import pstats
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import grpc
import httpx
import uvloop
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agents.cli.run import die_with_parent
from agents.gateway.otlp.over_http import PROTOBUF
from agents.gateway.otlp.protocol import SERVICES
from agents.gateway.otlp.receivers import receivers
from agents.gateway.publisher import AsyncPublisher
from agents.host.garbage import collect_seldom
from agents.settings.settings import load

PROTOCOLS = ("grpc", "http")
BATCH, UNDER_WAY, WARM_UP = 500, 4, 10
SPAN = {
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.request.max_tokens": 200, "gen_ai.request.temperature": 0.2, "gen_ai.is_streaming": False,
    "gen_ai.openai.api_base": "https://models.example/v1/", "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
    "gen_ai.response.id": "", "gen_ai.usage.input_tokens": 812, "gen_ai.usage.output_tokens": 97,
    "gen_ai.usage.total_tokens": 909, "server.address": "models.example", "server.port": 443,
}  # fmt: skip
"""What a public instrumentation says of a call, without the texts."""


def requests(count):
    """Exports of BATCH spans, each span with ids, an answer and an instant of its own."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "support"
    spans = resource.scope_spans.add().spans
    answers = []
    for _ in range(BATCH):
        span = spans.add(name="chat gpt-4o-mini", kind=3)
        for name, value in SPAN.items():
            item = span.attributes.add(key=name).value
            if isinstance(value, bool):
                item.bool_value = value
            elif isinstance(value, int):
                item.int_value = value
            elif isinstance(value, float):
                item.double_value = value
            else:
                item.string_value = value
            if name == "gen_ai.response.id":
                answers.append(item)
    for number in range(count):
        now = time.time_ns()
        for i, span in enumerate(spans):
            unique = (number * BATCH + i + 1).to_bytes(8, "big")
            span.trace_id, span.span_id = os.urandom(8) + unique, unique
            span.start_time_unix_nano, span.end_time_unix_nano = now - 800_000_000 - i * 1000, now - i * 1000
            answers[i].string_value = f"chatcmpl-{unique.hex()}"
        yield request.SerializeToString()


SIZE = len(next(requests(1))) // BATCH


def medians(rows):
    return tuple(
        statistics.median(row[name] for row in rows) for name in ("spans_per_s", "cpu_s_per_thousand")
    )


def send(protocol, port, spans):
    """Export until so many spans are acknowledged; print the seconds it took."""
    if protocol == "grpc":
        channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        export = channel.unary_unary(f"/{SERVICES['spans'].name}/Export")
    else:
        channel = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"content-type": PROTOBUF})

        def export(body):
            channel.post(SERVICES["spans"].path, content=body).raise_for_status()

    with ThreadPoolExecutor(UNDER_WAY) as pool:
        list(pool.map(export, requests(WARM_UP)))
        print("warm", flush=True)
        sys.stdin.readline()
        began, waiting = time.monotonic(), []
        for body in requests(spans // BATCH):
            waiting.append(pool.submit(export, body))
            if len(waiting) > 2 * UNDER_WAY:
                waiting.pop(0).result()
        for one in waiting:
            one.result()
        print(time.monotonic() - began, flush=True)
    channel.close()


async def receive(protocol, spans, profile):
    settings = load().but(otlp_grpc_port=0, otlp_http_port=0)
    publisher = AsyncPublisher(settings)
    receiver = receivers(settings, publisher)[PROTOCOLS.index(protocol)]
    port = (await receiver.start()).rpartition(":")[2]
    sender = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.otlp", "send", protocol, port, str(spans),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=die_with_parent,
    )  # fmt: skip
    await sender.stdout.readline()
    collect_seldom()
    with profile or nullcontext():
        began = time.process_time()
        sender.stdin.write(b"go\n")
        seconds = float(await sender.stdout.readline())
        cpu_s = time.process_time() - began
    await sender.wait()
    await receiver.stop()
    await publisher.close()
    return {"spans_per_s": spans / seconds, "cpu_s_per_thousand": cpu_s * 1000 / spans, "spans": spans}


def main():
    if sys.argv[1] == "send":
        send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        return
    profile = cProfile.Profile() if os.environ.get("BENCH_PROFILE") else None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as `llmopt ingest` runs
        row = runner.run(receive(sys.argv[1], int(sys.argv[2]), profile))
    if profile is not None:
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(40)
    print(json.dumps(row))


if __name__ == "__main__":
    main()
