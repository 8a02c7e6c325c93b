"""The version of a broker: no client of ours tells, so it is asked for the features it has settled on.

    request    ApiVersions v3, which a broker answers before anybody has logged in
    answer     among others `metadata.version`, the level that grows with every release

Source: KIP-584, KIP-482 (compact arrays, tagged fields).
"""

from __future__ import annotations

import socket
import struct
from contextlib import ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

RELEASES = {
    7: "3.3", 8: "3.4", 11: "3.5", 14: "3.6", 19: "3.7", 20: "3.8", 21: "3.9", 25: "4.0", 27: "4.1",
    32: "4.2 to 4.4", 33: "4.4",
}  # fmt: skip
"""The last `metadata.version` of each release; a cluster may be held at an older level than its brokers."""
FINALIZED = 2
"""The tag of the features that the cluster has settled on."""
MOST_BYTES = 1_000_000


def settled_level(address: str, tls: ssl.SSLContext | None, timeout_s: float) -> int | None:
    """The `metadata.version` of the broker at host:port; None where it does not say, as Kafka 2 or another make.

    Raises:
        OSError: It does not answer.
    """
    host, _, port = address.rpartition(":")
    with ExitStack() as stack:
        link = stack.enter_context(socket.create_connection((host.strip("[]"), int(port)), timeout_s))
        if tls is not None:
            link = stack.enter_context(tls.wrap_socket(link, server_hostname=host.strip("[]")))
        name = b"\x07llmopt\x021"  # the client's name and version, each a compact string
        body = struct.pack(">hhih", 18, 3, 1, -1) + b"\x00" + name + b"\x00"
        link.sendall(struct.pack(">i", len(body)) + body)
        (size,) = struct.unpack(">i", _exactly(link, 4))
        if not 0 < size < MOST_BYTES:
            return None
        answer = _exactly(link, size)
    try:
        return _level(_Bytes(answer))
    except (IndexError, struct.error, UnicodeDecodeError):
        return None


def release(level: int) -> str:
    """The release that a level belongs to, such as `4.4`, as far as releases are known here."""
    newest = max(RELEASES)
    if level > newest:
        return f"newer than {RELEASES[newest]}"
    return next(RELEASES[last] for last in sorted(RELEASES) if level <= last)


def _exactly(link: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        some = link.recv(count - len(got))
        if not some:
            raise ConnectionError("the connection was closed in the middle of an answer")
        got += some
    return got


class _Bytes:
    """The unread rest of an answer."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self, form: str) -> int:
        value: int
        (value,) = struct.unpack_from(f">{form}", self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the bit that says: there is more
                return value
            shift += 7

    def text(self) -> str:
        length = self.varint() - 1
        self.at += length
        return self.data[self.at - length : self.at].decode()


def _level(answer: _Bytes) -> int | None:
    """`metadata.version` in the body of an ApiVersions v3 answer."""
    answer.number("i")  # the correlation; the header has no tags
    if answer.number("h"):
        return None
    for _ in range(answer.varint() - 1):
        answer.at += 6  # key, lowest, highest
        _skip_tags(answer)
    answer.number("i")  # throttled, ms
    for _ in range(answer.varint()):
        tag, size = answer.varint(), answer.varint()
        end = answer.at + size
        if tag == FINALIZED:
            for _ in range(answer.varint() - 1):
                name, highest = answer.text(), answer.number("h")
                answer.number("h")
                _skip_tags(answer)
                if name == "metadata.version":
                    return highest
        answer.at = end
    return None


def _skip_tags(answer: _Bytes) -> None:
    for _ in range(answer.varint()):
        answer.varint()
        size = answer.varint()
        answer.at += size
