"""Access: one bearer token for those who may send, and a bucket of tokens for each remote address."""

import hashlib
import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

from agents.settings.group import SettingsError
from agents.settings.settings import Settings

MAX_SENDERS = 10_000
"""Buckets kept; the longest unused is forgotten, which only ever lets somebody send more."""
BURST_S = 2.0
"""A bucket holds what its sender may send in so many seconds."""


class Access:
    """The judgement of a request's `Authorization`."""

    def __init__(self, settings: Settings) -> None:
        """Ask for the settings' token.

        Raises:
            SettingsError: without a token we listen on loopback only, and these settings say otherwise.
        """
        token = settings.gateway.ingest_token
        if token is None and not _is_loopback(settings.gateway.ingest_host):
            raise SettingsError(
                f"ingest_host is {settings.gateway.ingest_host}, where anybody could send: that needs a token",
                "set LLMOPT_INGEST_TOKEN to a long random text, or LLMOPT_INGEST_HOST to 127.0.0.1",
            )
        if token is not None and not token.get_secret_value():
            raise SettingsError("ingest_token is empty", "set LLMOPT_INGEST_TOKEN to a long random text")
        self._digest = None if token is None else _digest(token.get_secret_value())

    def permits(self, authorization: str) -> bool:
        """True if this header's value (empty: there was none) carries the token; always without a token."""
        if self._digest is None:
            return True
        scheme, _, given = authorization.partition(" ")
        # Digests have one length, so that the time of the comparison tells nothing.
        return scheme.lower() == "bearer" and hmac.compare_digest(_digest(given.strip()), self._digest)


class RateLimits:
    """A bucket of tokens for each sender: filled at `rate` a second, up to `BURST_S` seconds' worth."""

    def __init__(self, rate: float, *, least: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Let each sender take `rate` a second; a bucket has room for `least`, or a large batch would never pass."""
        self.rate, self.room = rate, max(rate * BURST_S, float(least))
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, sender: str, number: int) -> float:
        """Take `number` from the sender's bucket: 0 when they were there, else the seconds until they will be."""
        now = self._clock()
        left, at = self._buckets.pop(sender, (self.room, now))
        left = min(self.room, left + (now - at) * self.rate)
        wait = max(0.0, (min(number, self.room) - left) / self.rate)
        self._buckets[sender] = (left if wait else left - number, now)
        if len(self._buckets) > MAX_SENDERS:
            self._buckets.popitem(last=False)
        return wait


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
