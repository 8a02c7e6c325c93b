"""The assignment of units to variants: the rule that callers in every language share.

    bucket = first 8 bytes of SHA-256(salt ␟ segment ␟ unit), big-endian, scaled to 0 … 9,999

␟ is the byte 0x1f. The arms of a segment lie side by side over the buckets in the order in which
the configuration lists them; an arm that has grown may be listed more than once. The bucket
depends on nothing else: a unit keeps its variant while a candidate grows, and two callers agree
without speaking to each other.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

import msgspec
from msgspec import Struct, field

from llm_auto_optimizer_client.configuration import Arm, Configuration, Parameter, Turned

BUCKETS = 10_000
OTHER = "other"
"""The segment that serves whatever is not listed."""


def bucket(salt: str, segment: str, unit: str) -> int:
    """The place of a unit in a segment, in [0, 10,000)."""
    digest = sha256(f"{salt}\x1f{segment}\x1f{unit}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") * BUCKETS >> 64


class Assigned(Turned, frozen=True, kw_only=True):
    """The variant that serves one call."""

    target: str
    model: str
    call_id: str
    provider: str = ""
    parameters: dict[str, Parameter] = field(default_factory=dict)
    variant_id: str = "-"
    arm: str = "incumbent"
    segment: str = OTHER
    generation: int = 0
    """0: the default, because no configuration is known."""
    propensity: float = 1.0
    """The probability with which this unit met this arm."""
    unit_id: str = ""
    """A hash of the unit."""
    mirror: "Assigned | None" = None
    """A candidate in shadow: make this call a second time with it, after the user was answered, and report it
    under this assignment. Nobody is shown its answer, and none of the tools it asks for is executed."""

    @property
    def token(self) -> str:
        """Everything `feedback` needs to know of this call, as a string of letters, digits, - and _."""
        token = Token(
            self.target, self.call_id, self.generation, self.variant_id, self.arm,
            self.segment, self.propensity, self.unit_id,
        )  # fmt: skip
        return urlsafe_b64encode(msgspec.json.encode(token)).rstrip(b"=").decode()


class Token(Struct, array_like=True, frozen=True):
    """A call, as feedback speaks of it."""

    target: str
    call_id: str
    generation: int
    variant_id: str
    arm: str
    segment: str
    propensity: float
    unit_id: str


def read_token(token: str) -> Token:
    """The call a token stands for.

    Raises:
        ValueError: it is not a token that `Assigned.token` made.
    """
    try:
        padded = token + "=" * (-len(token) % 4)
        return msgspec.json.decode(urlsafe_b64decode(padded), type=Token)
    except (ValueError, TypeError) as error:
        raise ValueError(f"a token must be what Assigned.token gave, found {token!r} ({error})") from None


def hashed(target: str, unit: str) -> str:
    """The name under which a unit travels: 16 hex digits that do not tell who it is."""
    return sha256(f"{target}\x1f{unit}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Router:
    """A configuration, prepared for many assignments."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self._edges: dict[str, tuple[tuple[int, Arm], ...]] = {}
        for segment, arms in configuration.segments.items():
            reached, edges = 0, []
            for arm in arms:
                reached += arm.weight_bps
                edges.append((reached, arm))
            self._edges[segment] = tuple(edges)

    def segment_of(self, segment: str | None) -> str:
        """The segment that serves: as asked for when it is listed, else `other`."""
        return segment if segment is not None and segment in self._edges else OTHER

    def arm_of(self, segment: str, place: int) -> Arm | None:
        """The arm whose part of the segment a bucket lies in; None where the configuration has nobody."""
        return next((arm for edge, arm in self._edges.get(segment, ()) if place < edge), None)

    def propensity(self, segment: str, arm: Arm) -> float:
        """The probability of meeting an arm, wherever in the segment it is listed."""
        arms = self.configuration.segments[segment]
        weight = sum(one.weight_bps for one in arms if (one.arm, one.variant_id) == (arm.arm, arm.variant_id))
        return weight / BUCKETS

    def mirrored_to(self, segment: str, arm: Arm) -> Arm | None:
        """The candidate in shadow to which a control's calls are mirrored; None for all other calls."""
        if arm.arm != "control":
            return None
        return next((one for one in self.configuration.segments[segment] if one.arm == "shadow"), None)

    def arm_for(self, unit: str, segment: str | None = None) -> Arm | None:
        """The arm that serves a unit; None where the configuration has nobody."""
        served = self.segment_of(segment)
        return self.arm_of(served, bucket(self.configuration.salt, served, unit))
