"""The layout of a segment's arms over its 10,000 buckets.

    candidate | incumbent | control or holdback
    0        w            10,000 − c          10,000        c = min(w, 10,000 − w)

The candidate grows from the low end and its concurrent control, of equal size, from the high end,
so that a growing step moves nobody between the two. Beyond one half the control gives way.
"""

from collections.abc import Mapping, Sequence

from optimizer.act.layout.mix import Slice
from optimizer.model.call import Arm
from optimizer.model.configuration import ArmOfConfiguration
from optimizer.model.shares import WHOLE_BPS
from optimizer.model.variant import Variant

Variants = Mapping[str, Variant]
"""Variant id → its content."""


def control_bps(weight_bps: int) -> int:
    """The control's share beside a candidate at `weight_bps`, in basis points: equal to it as long as both fit."""
    return min(weight_bps, WHOLE_BPS - weight_bps)


def quiet(variants: Variants, incumbent: str) -> tuple[ArmOfConfiguration, ...]:
    """The layout without a rollout: the incumbent serves everybody."""
    return (_arm(variants, "incumbent", incumbent, WHOLE_BPS),)


def on_trial(
    variants: Variants, incumbent: str, candidate: str, weight_bps: int
) -> tuple[ArmOfConfiguration, ...]:
    """The layout of one candidate at `weight_bps` and its concurrent control; the incumbent serves the rest."""
    control = control_bps(weight_bps)
    rest = WHOLE_BPS - weight_bps - control
    arms = (
        _arm(variants, "candidate", candidate, weight_bps),
        _arm(variants, "incumbent", incumbent, rest),
        _arm(variants, "control", incumbent, control),
    )
    return tuple(arm for arm in arms if arm.weight_bps)


def shadowed(
    variants: Variants, incumbent: str, candidate: str, mirror_bps: int
) -> tuple[ArmOfConfiguration, ...]:
    """The layout of a candidate in shadow: it serves nobody, and the calls of its control are mirrored to it."""
    rest = WHOLE_BPS - mirror_bps
    arms = (_arm(variants, "incumbent", incumbent, rest),) if rest else ()
    return (
        _arm(variants, "shadow", candidate, 0),
        *arms,
        _arm(variants, "control", incumbent, mirror_bps),
    )


def mixed(variants: Variants, slices: Sequence[Slice]) -> tuple[ArmOfConfiguration, ...]:
    """The layout of several arms, slice by slice as they were dealt."""
    return tuple(_arm(variants, arm, variant, buckets) for arm, variant, buckets in slices)


def held_back(
    variants: Variants, incumbent: str, former: str, share_bps: int
) -> tuple[ArmOfConfiguration, ...]:
    """The layout after a promotion: the new incumbent, and the former one for `share_bps` of the units."""
    return (
        _arm(variants, "incumbent", incumbent, WHOLE_BPS - share_bps),
        _arm(variants, "holdback", former, share_bps),
    )


def _arm(variants: Variants, arm: Arm, variant_id: str, weight_bps: int) -> ArmOfConfiguration:
    variant = variants[variant_id]
    return ArmOfConfiguration(
        arm=arm,
        variant_id=variant_id,
        weight_bps=weight_bps,
        **{name: getattr(variant, name) for name in variant.__struct_fields__},
    )
