"""Spans in the shape in which OTLP/JSON has them, and the recorded exports."""

import json
from collections import Counter
from pathlib import Path

import pytest

from agents.wire.otlp.decoding import decode
from optimizer.otlp.normalise import Normaliser

T0 = 1_767_225_600_000_000_000
"""2026-01-01, nanoseconds."""
TRACE = "5b8efff798038103d269b633813fc60c"
KINDS = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}


def attributes(values):
    """OTLP/JSON's list of what a dict says."""
    return [
        {"key": key, "value": {KINDS[type(value)]: str(value) if type(value) is int else value}}
        for key, value in values.items()
    ]


def a_span(values, *, span="eee19b7ec3c1b174", parent="", trace=TRACE, start=T0, ms=250, **more):
    """One span as OTLP/JSON has it; `ms` is how long it took."""
    return {
        "traceId": trace,
        "spanId": span,
        "parentSpanId": parent,
        "name": "a span",
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + int(ms * 1_000_000)),
        "attributes": attributes(values),
        **more,
    }


def spans(*listed, resource=None, groups=None):
    """A request with these spans, of one resource; or with several groups of (resource, spans)."""
    groups = groups or [({"service.name": "chat"} if resource is None else resource, listed)]
    body = {
        "resourceSpans": [
            {"resource": {"attributes": attributes(of)}, "scopeSpans": [{"spans": list(inside)}]}
            for of, inside in groups
        ]
    }
    return decode("spans", json.dumps(body).encode(), json=True)


def logs(*records, resource=None):
    """A request with these log records."""
    body = {
        "resourceLogs": [
            {
                "resource": {"attributes": attributes(resource or {"service.name": "chat"})},
                "scopeLogs": [{"logRecords": list(records)}],
            }
        ]
    }
    return decode("logs", json.dumps(body).encode(), json=True)


def metrics(*listed, resource=None):
    """A request with these metrics."""
    body = {
        "resourceMetrics": [
            {
                "resource": {"attributes": attributes(resource or {"service.name": "chat"})},
                "scopeMetrics": [{"scope": {"name": "lib"}, "metrics": list(listed)}],
            }
        ]
    }
    return decode("metrics", json.dumps(body).encode(), json=True)


@pytest.fixture
def normaliser():
    return Normaliser()


@pytest.fixture
def only(normaliser):
    """Reads a request that must hold exactly one event."""

    def read(request, signal="spans"):
        (event,) = getattr(normaliser, signal)(request).events
        return event

    return read


@pytest.fixture
def make():
    """The makers of requests: importmode importlib knows no module to import them from."""
    return type(
        "Make",
        (),
        {
            "span": staticmethod(a_span),
            "spans": staticmethod(spans),
            "logs": staticmethod(logs),
            "metrics": staticmethod(metrics),
            "attributes": staticmethod(attributes),
            "T0": T0,
            "TRACE": TRACE,
        },
    )


@pytest.fixture
def recorded():
    """The folder of recorded exports: `data` beside this file."""
    return Path(__file__).parent / "data"


@pytest.fixture
def totals():
    """Model → (calls, input tokens, output tokens, errors) of call events."""

    def of(events):
        found = {}
        for event in events:
            call = event.data
            sums = found.setdefault(call.model, Counter())
            sums.update(
                calls=1,
                input=call.input_tokens or 0,
                output=call.output_tokens or 0,
                errors=call.error_type is not None,
            )
        return {model: (s["calls"], s["input"], s["output"], s["errors"]) for model, s in found.items()}

    return of
