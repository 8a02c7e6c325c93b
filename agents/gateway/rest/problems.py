"""Refusals of the REST API as problem details: what must hold, where, and what would do.

Source: RFC 9457.
"""

import math
from http import HTTPStatus

import msgspec
from msgspec import Struct

from agents.wire.codec import UnreadableRecord

MEDIA_TYPE = "application/problem+json"
LISTED = 100
"""The most bad items of a batch that are told; a sender repairs no more at once."""
KINDS = {
    400: ("unreadable", "The body cannot be read"),
    401: ("unauthorized", "A bearer token is needed"),
    404: ("not-found", "There is nothing here"),
    405: ("method", "This address takes another method"),
    408: ("slow", "The body did not arrive in time"),
    413: ("too-large", "The body is too large"),
    415: ("content-type", "This content type is not taken"),
    422: ("invalid", "The body does not hold what it must"),
    429: ("too-much", "Too much at once"),
    500: ("defect", "A defect of ours"),
    503: ("unavailable", "The broker did not take it"),
}
"""Status → the last part of the problem's type, and its title."""


class ItemFault(Struct, frozen=True):
    """The fault of one item."""

    index: int
    """Its position in the batch; 0 where there is only one."""
    field: str
    """A path such as `data.latency_ms`, or `body` for the item as a whole."""
    reason: str
    """A sentence that begins with the field."""


class Details(Struct, omit_defaults=True):
    """The details of a refusal."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None
    errors: list[ItemFault] | None = None


class RequestProblem(Exception):
    """A request that is refused."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        field: str | None = None,
        faults: list[ItemFault] | None = None,
        retry_after_s: float | None = None,
        allow: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.field = status, detail, field
        self.faults, self.retry_after_s, self.allow = faults, retry_after_s, allow

    def body(self) -> bytes:
        """The problem details."""
        kind, title = KINDS.get(self.status, KINDS[400])
        return msgspec.json.encode(
            Details(
                type=f"urn:llmopt:problem:{kind}",
                title=title,
                status=self.status,
                detail=self.detail,
                field=self.field,
                errors=self.faults[:LISTED] if self.faults else None,
            )
        )

    @property
    def headers(self) -> dict[str, str]:
        """The headers that belong to it."""
        belonging = {
            "WWW-Authenticate": "Bearer" if self.status == HTTPStatus.UNAUTHORIZED else None,
            "Retry-After": None if self.retry_after_s is None else str(max(1, math.ceil(self.retry_after_s))),
            "Allow": self.allow,
        }
        return {name: value for name, value in belonging.items() if value is not None}


def refused(faults: list[ItemFault], among: int) -> RequestProblem:
    """The problem that `faults` (at least one) among so many items amount to: none of them is taken."""
    first = faults[0]
    if among == 1:
        status = 400 if first.field == "body" else 422
        return RequestProblem(status, first.reason, field=first.field, faults=faults)
    return RequestProblem(
        422,
        f"{len(faults)} of {among} items cannot be taken, so none was; item {first.index}: {first.reason}",
        field=first.field,
        faults=faults,
    )


def fault_of(why: UnreadableRecord, index: int = 0) -> ItemFault:
    """The codec's complaint about a record, in the words of a request."""
    if why.field == "value":
        return ItemFault(index, "body", "body" + why.reason.removeprefix("value"))
    return ItemFault(index, why.field, why.reason)
