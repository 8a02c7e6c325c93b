"""Which call failed, and with which class of error, although not every exporter says so by its span's status.

A call failed if its span's status is an error, if it names an error, if its answer ended in one, if its server said
400 or more, or if it carries an exception and no answer. A reader who stops a stream is no failure of anybody's: see
`optimizer.model.call.is_stop`.
"""

from collections.abc import Mapping
from typing import Any

from optimizer.otlp.reading import scalar, text

OTHER_ERROR = "_OTHER"
"""OpenTelemetry's name for an error of no known class."""
FAILED_FINISHES = frozenset({"error", "failed"})
"""Reasons for which an answer ended that mean a failure; a filter of contents is an answer."""
STATUS_ERROR = 2
LEAST_FAILED_STATUS = 400
_EXCEPTION = "exception"


def exception_in(events: Any) -> str | None:
    """The class of the exception among a span's events, OTHER_ERROR where it names none; None: there is none."""
    for event in events:
        if event.name == _EXCEPTION:
            kinds = (
                text(scalar(item.value), 1024) for item in event.attributes if item.key == "exception.type"
            )
            return next((kind for kind in kinds if kind), OTHER_ERROR)
    return None


def error_of(found: Mapping[str, Any], events: Any, *, is_failed: bool) -> str | None:
    """The class of the error of a call with these fields and events; None if it did not fail."""
    told: str | None = found.get("error_type")
    status: int = found.get("http_status", 0)
    if told is None and is_failed:
        told = exception_in(events)
    if told is None and events and "output_tokens" not in found and "finish" not in found:
        told = exception_in(events)
    has_failed = is_failed or status >= LEAST_FAILED_STATUS or found.get("finish") in FAILED_FINISHES
    if told in (None, OTHER_ERROR) and has_failed:
        told = str(status) if status >= LEAST_FAILED_STATUS else OTHER_ERROR
    return told[:64] if told else None
