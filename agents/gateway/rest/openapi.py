"""The OpenAPI description of the REST API, drawn from the structs that read the bodies."""

from functools import cache
from importlib.metadata import version
from typing import Any

import msgspec

from agents.gateway.rest.envelopes import BATCH, BINARY, SINGLE, TYPES
from agents.gateway.rest.notices import ALERT, FEEDBACK, KEY_LENGTH, Shape, Webhook
from agents.gateway.rest.problems import KINDS, MEDIA_TYPE, Details
from optimizer.model.event import BY_NAME

_INTERNAL = ("offset", "data_base64", "sequence")
"""Members of an event that no sender sets."""
_TEMPLATE = "#/components/schemas/{name}"
_JSON = "application/json"


@cache
def document() -> dict[str, Any]:
    """The description, as a JSON object."""
    classes = [BY_NAME[name] for name in TYPES]
    refs, schemas = msgspec.json.schema_components(
        [*classes, FEEDBACK.data, ALERT.data, Webhook, Details], ref_template=_TEMPLATE
    )
    for name in (kind.__name__ for kind in classes):
        _as_sent(schemas[name])
    event = {"oneOf": list(refs[: len(classes)])}
    schemas["FeedbackBody"] = _plain(schemas, FEEDBACK)
    schemas["AlertBody"] = _plain(schemas, ALERT)
    data = {"oneOf": [_ref(kind.__annotations__["data"].__name__) for kind in classes]}
    alerts = {"oneOf": [_ref("AlertBody"), _ref(Webhook.__name__)]}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "LLM Auto-Optimizer: ingestion",
            "version": version("llm-auto-optimizer"),
            "description": "202 is said when the broker has acknowledged every event. Ids are kept and never "
            "invented, so the same request may be sent again. A request is taken whole or not at all.",
        },
        "security": [{}, {"bearer": []}],
        "paths": {
            "/api/v1/events": _post(
                "Publish one CloudEvent, or a batch",
                {SINGLE: event, BATCH: {"type": "array", "minItems": 1, "items": event}}
                | {kind: data if kind == _JSON else {} for kind in BINARY},
                _counted(),
                [_header(f"ce-{name}", must=must) for name, must in _BINARY_ATTRIBUTES.items()],
            ),
            "/api/v1/feedback": _post(
                "Publish later news of a call",
                {_JSON: _ref("FeedbackBody")},
                _counted(id={"type": "string"}),
                [_KEY],
            ),
            "/api/v1/alerts": _post(
                "Publish an alert, or the firing alerts of an Alertmanager webhook",
                {_JSON: alerts},
                _counted(ignored={"type": "integer"}),
                [_KEY],
            ),
            "/health/live": _get("Whether this process may go on"),
            "/health/ready": _get("Whether events can be published now"),
        },
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _TEMPLATE.format(name=name)}


def _header(name: str, *, must: str = "", **limits: Any) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": must, "schema": {"type": "string", **limits}}


_KEY = _header("Idempotency-Key", must="Names this request; the same as `id`.", maxLength=KEY_LENGTH)
_BINARY_ATTRIBUTES = {
    "specversion": "Binary mode: always 1.0.",
    "type": "Binary mode: such as llmopt.call.v1.",
    "id": "Binary mode: unique for its source.",
    "source": "Binary mode: the sender.",
    "subject": "Binary mode: the target.",
    "time": "Binary mode: when it happened; without it, when it arrived.",
}


def _as_sent(schema: dict[str, Any]) -> None:
    """Take away what is ours, and let the time be left out."""
    for name in _INTERNAL:
        schema["properties"].pop(name)
    schema["required"] = [name for name in schema["required"] if name != "time"]


def _plain(schemas: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """The schema of a plain body: that of the data, with what stands beside it."""
    data = schemas[shape.data.__name__]
    beside = {
        "target": {"type": "string", "minLength": 1, "maxLength": 256},
        "id": {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH},
        "time": {"type": "string", "format": "date-time"},
    }
    return {
        "type": "object",
        "description": data["description"],
        "properties": data["properties"] | beside,
        "required": ["target", *data["required"]],
        "additionalProperties": False,
    }


def _counted(**beside: dict[str, str]) -> dict[str, Any]:
    properties = {"accepted": {"type": "integer"}, **beside}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _post(summary: str, bodies: dict[str, Any], answer: dict[str, Any], headers: list[Any]) -> dict[str, Any]:
    problem = {MEDIA_TYPE: {"schema": _ref(Details.__name__)}}
    refusals = [status for status in KINDS if status not in (404, 405)]
    return {
        "post": {
            "summary": summary,
            "parameters": headers,
            "requestBody": {
                "required": True,
                "content": {kind: {"schema": schema} for kind, schema in bodies.items()},
            },
            "responses": {
                "202": {
                    "description": "The broker has acknowledged every event",
                    "content": {_JSON: {"schema": answer}},
                }
            }
            | {str(status): {"description": KINDS[status][1], "content": problem} for status in refusals},
        }
    }


def _get(summary: str) -> dict[str, Any]:
    return {
        "get": {
            "summary": summary,
            "security": [{}],
            "responses": {"200": {"description": "Yes"}, "503": {"description": "No; `reason` says why"}},
        }
    }
