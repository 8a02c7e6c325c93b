"""The same calls lead to the same decisions, however they were spread over partitions."""

import msgspec
from msgspec import structs

STORY = (
    "model large price=10 quality=0.84",
    "model tiny price=0.2 quality=0.5",
    "model small price=1 quality=0.84",
    "declare autonomy=auto incumbent=large step_min_s=120 bake_s=120 cooldown_s=60 segments=code",
    "run 18m",
    "say pause segment=code: lunch",
    "run 4m",
)


def played(world):
    for line in STORY:
        world.do(line)
    return {
        name: [event for partition in log for event in partition]
        for name, log in world.loop.topics.items()
        if name in ("decisions", "rollouts", "configurations")
    }


def test_twice_the_same_world_gives_the_same_bytes(a_world):
    first, second = (played(a_world(seed=3)) for _ in range(2))
    assert msgspec.json.encode(first) == msgspec.json.encode(second)
    assert {e.data.kind for e in first["decisions"] if hasattr(e.data, "kind")} >= {
        "rollback",
        "advance",
        "pause",
    }


def test_the_number_of_partitions_changes_nothing_but_the_offsets(a_world):
    def decided(partitions):
        decisions = [e.data for e in played(a_world(3, partitions))["decisions"] if hasattr(e.data, "kind")]
        return [structs.replace(one, evidence=(), findings_hash="") for one in decisions]

    assert decided(1) == decided(3)
