"""Assigns a unit to an arm: one hash, the same in every language.

    bucket = ⌊ first 8 bytes of SHA-256(salt ‖ 0x1f ‖ segment ‖ 0x1f ‖ unit), big-endian × 10,000 / 2⁶⁴ ⌋

The arms of a segment lie side by side on the buckets 0 … 9,999 in the order in which the
configuration lists them; an arm that has grown may be listed more than once, a `shadow` has no
buckets at all. `schemas/assignment/vectors.json` holds the vectors that every implementation
must reproduce.
"""

from hashlib import sha256
from typing import NamedTuple

from optimizer.model.configuration import ArmOfConfiguration, Configuration
from optimizer.model.segments import OTHER
from optimizer.model.shares import WHOLE_BPS

BUCKETS = WHOLE_BPS


class Assigned(NamedTuple):
    """The arm assigned to a unit."""

    arm: ArmOfConfiguration
    propensity: float
    """The probability that a unit is assigned to this arm: the arm's whole weight / 10,000."""
    segment: str
    """The segment of the assignment: `other` when the one asked for is not listed."""


def bucket(salt: str, segment: str, unit: str) -> int:
    """The unit's bucket, 0 … 9,999: uniform over units, constant for one (salt, segment, unit)."""
    digest = sha256(f"{salt}\x1f{segment}\x1f{unit}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * BUCKETS >> 64


def arm_of(configuration: Configuration, segment: str, unit: str) -> Assigned:
    """The arm of `configuration` that serves `unit` in `segment`.

    Raises:
        KeyError: the configuration lists neither the segment nor `other`, which act never emits.
    """
    name = segment if segment in configuration.segments else OTHER
    arms = configuration.segments[name]
    position = bucket(configuration.salt, name, unit)
    end = 0
    for arm in arms:
        end += arm.weight_bps
        if position < end:
            break
    weight = sum(one.weight_bps for one in arms if (one.arm, one.variant_id) == (arm.arm, arm.variant_id))
    return Assigned(arm, weight / BUCKETS, name)
