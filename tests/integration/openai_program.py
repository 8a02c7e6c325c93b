"""A program as callers have them: OpenAI's client, its public instrumentation, OTLP exporters; nothing of ours.

    python -m tests.integration.openai_program MODEL_SERVER SERVICE grpc=ADDRESS|http=URL …

Exports spans and metrics of some calls (plain, streamed, failing), to every place named, and prints
what it knows of them from the answers: the truth that the receiving side has to find.
"""

import json
import sys

import openai
from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as grpc_metrics
from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc_spans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http import metric_exporter as http_metrics
from opentelemetry.exporter.otlp.proto.http import trace_exporter as http_spans
from opentelemetry.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

PLAIN, STREAMED, FAILING = 12, 6, 4


def exporters(protocol, endpoint):
    if protocol == "grpc":
        arguments = {"endpoint": endpoint, "insecure": True}
        return grpc_spans.OTLPSpanExporter(**arguments), grpc_metrics.OTLPMetricExporter(**arguments)
    return (
        http_spans.OTLPSpanExporter(f"{endpoint}/v1/traces", compression=Compression.Gzip),
        http_metrics.OTLPMetricExporter(f"{endpoint}/v1/metrics"),
    )


def ask(client, model, number, **options):
    return client.chat.completions.create(
        model=model, max_tokens=5 + number, messages=[{"role": "user", "content": "tell me more " * number}], **options
    )  # fmt: skip


def calls(client):
    """Make them, and yield the usage of each; None: it failed."""
    for number in range(1, PLAIN + 1):
        yield ask(client, "small" if number % 2 else "large", number).usage
    for number in range(1, STREAMED + 1):
        chunks = list(ask(client, "small", number, stream=True, stream_options={"include_usage": True}))
        yield chunks[-1].usage
    for number in range(1, FAILING + 1):
        try:
            ask(client, "broken", number)
        except openai.InternalServerError:
            yield None


def main():
    server, service, *places = sys.argv[1:]
    about = Resource.create({"service.name": service})
    pairs = [exporters(*place.split("=", 1)) for place in places]
    tracing = TracerProvider(resource=about)
    for spans, _ in pairs:
        tracing.add_span_processor(BatchSpanProcessor(spans))
    metering = MeterProvider([PeriodicExportingMetricReader(metrics) for _, metrics in pairs], resource=about)
    OpenAIInstrumentor().instrument(tracer_provider=tracing, meter_provider=metering)
    client = openai.OpenAI(base_url=f"{server}/v1", api_key="none is needed", max_retries=0)
    usages = list(calls(client))
    metering.force_flush()  # and once more when it is shut down: cumulative numbers arrive twice
    tracing.shutdown()
    metering.shutdown()
    known = [usage for usage in usages if usage is not None]
    print(json.dumps({
        "calls": len(usages),
        "errors": len(usages) - len(known),
        "input_tokens": sum(usage.prompt_tokens for usage in known),
        "output_tokens": sum(usage.completion_tokens for usage in known),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
