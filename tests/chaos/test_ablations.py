"""The host with one rule taken away must fail under an attack that the whole host survives.

Where one of these passes its attack unharmed, either the rule is not needed or the attacks prove nothing.
"""

from contextlib import suppress
from itertools import pairwise

import pytest
from confluent_kafka import Producer

from agents.host.rows import version
from tests.chaos.test_chaos import Killer, alternately, nap, never, same, starts
from tests.support import records
from tests.support.cluster import PATIENCE_S
from tests.support.outcome import differences, outcome
from tests.support.recording import publish

pytestmark = pytest.mark.chaos

BROKEN_S = 90
"""An ablated host that is not done by then is damaged: it may never be."""
ATTACKS = {
    # rule: (fault, kills, wiped, seconds of a life, event seconds per second)
    "no-sequence": ("emitted:0.05", 3, alternately, (40, 40), 60),
    "no-applied": ("acked:1.0:decide", 2, never, (40, 40), 60),
    "commit-first": ("", 5, never, (2.0, 4.0), 24),
    "mark-first": ("written:0.1:orient", 4, never, (40, 40), 40),
    "late-emission": ("durable:0.02", 4, never, (40, 40), 40),
    "torn": ("durable:0.02", 4, never, (40, 40), 40),
    "skip-on-error": ("", 0, never, (0, 0), None),
}


def attacked(cluster, publication, name, attack):
    """What an attack on the host without a rule leaves wrong; the ablated host does the recovery too."""
    fault, kills, wiped, lives_s, speed = attack
    published = publication(speed=speed)
    killer = Killer(cluster, seed=name)
    if kills:
        killer.until(lambda: killer.kills >= kills, fault=fault, lives_s=lives_s, wiped=wiped, ablation=name)
        cluster.workers[-1].kill()
    worker = cluster.start("a", ablation=name)
    published.end_soon()
    published.finish()
    try:
        cluster.drain(limit_s=BROKEN_S)
    except AssertionError as exc:
        return [f"never done: {exc}"]
    worker.stop()
    return outcome(cluster)


@pytest.mark.parametrize("name", ATTACKS)
def test_without_this_rule_an_attack_does_damage(cluster, publication, truth, name):
    found = attacked(cluster, publication, name, ATTACKS[name])
    assert found if isinstance(found, list) else differences(found, truth)


def written_and_lost(cluster, recording, ablation):
    """Die when RocksDB has rows that the changelog has not; go on a little; lose the local state; go on.

    The rows that died with the producer belong to targets that are quiet afterwards, and time stays
    within its minute: nothing but the rule itself writes them again.
    """
    cuts = (0, 600, 630, 655, len(recording.seconds))
    pieces = [recording.seconds[a:b] for a, b in pairwise(cuts)]

    def publish_piece(n):
        keep = {} if n == 0 else {"declarations": [], "commands": []}
        publish(cluster.bootstrap, cluster.topic, recording._replace(seconds=pieces[n], **keep))

    publish_piece(0)
    worker = cluster.start("a", ablation=ablation)
    cluster.drain(all_of_observe=False)
    worker.stop()
    publish_piece(1)
    cluster.start("a", ablation=ablation, fault="written:1.0:orient").process.wait(PATIENCE_S)
    worker = cluster.start("a", ablation=ablation)
    cluster.drain(all_of_observe=False)
    publish_piece(2)
    nap(4)
    cluster.drain(all_of_observe=False)
    worker.kill()
    cluster.wipe("a")
    publish_piece(3)
    cluster.start("a", ablation=ablation)
    cluster.drain(limit_s=BROKEN_S if ablation else PATIENCE_S)


def test_rows_that_died_before_they_reached_the_changelog_are_written_again(cluster, recording, truth):
    written_and_lost(cluster, recording, ablation="")
    same(cluster, truth, store_of="a")


def test_without_writing_them_again_they_are_lost(cluster, recording, truth):
    with suppress(AssertionError):  # it may not even come to an end
        written_and_lost(cluster, recording, ablation="no-resend")
    cluster.stop()
    assert differences(outcome(cluster), truth)


def late_write(cluster, stage="orient"):
    """What an owner that was frozen does when it continues: old versions of rows after the new ones."""
    topic = f"{cluster.prefix}-{stage}-rows-changelog"
    first, last = {}, {}
    for record in records.read(cluster.bootstrap, topic):
        if not record.key.endswith((b'!mark"', b'!crash"')):
            first.setdefault(record.key, record)
            last[record.key] = record
    old = [r for key, r in first.items() if version(r.value) < version(last[key].value)]
    producer = Producer({"bootstrap.servers": cluster.bootstrap})
    for record in old:
        producer.produce(topic, record.value, record.key, partition=record.partition)
    assert producer.flush(30) == 0
    return len(old)


def folded_then_written_late(cluster, recording, ablation):
    """Fold half, durable twice on the way; let an old owner write late, lose the local state, fold the rest."""
    half = len(recording.seconds) // 2
    begun, second, rest = (
        recording._replace(seconds=recording.seconds[: half // 2]),
        recording._replace(declarations=[], commands=[], seconds=recording.seconds[half // 2 : half]),
        recording._replace(declarations=[], commands=[], seconds=recording.seconds[half:]),
    )
    publish(cluster.bootstrap, cluster.topic, begun)
    worker = cluster.start("a", ablation=ablation)
    cluster.drain(all_of_observe=False)
    publish(cluster.bootstrap, cluster.topic, second)
    cluster.drain(all_of_observe=False)
    worker.stop()
    assert late_write(cluster) > 10
    cluster.wipe("a")
    publish(cluster.bootstrap, cluster.topic, rest)
    cluster.start("a", ablation=ablation)
    cluster.drain(limit_s=BROKEN_S if ablation else PATIENCE_S)


def test_rows_that_a_frozen_owner_wrote_late_are_overruled_and_repaired(cluster, recording, truth):
    folded_then_written_late(cluster, recording, ablation="")
    same(cluster, truth, store_of="a")


def test_without_the_highest_version_a_late_write_does_damage(cluster, recording, truth):
    with suppress(AssertionError):  # it may not even come to an end
        folded_then_written_late(cluster, recording, ablation="last-wins")
    cluster.stop()
    assert differences(outcome(cluster), truth)


def comings_and_goings(cluster, publication, ablation):
    """A second worker takes half of the partitions and gives them back, twice."""
    published = publication(speed=7, held=True)
    workers = {"a": cluster.start("a", ablation=ablation)}

    def restart_what_ended():
        if not workers["a"].alive():
            workers["a"] = cluster.start("a", ablation=ablation)

    def folds(worker, before):
        """Await that a worker is given partitions, and let it fold some."""
        patience_s = BROKEN_S if ablation else PATIENCE_S
        nap(patience_s, unless=lambda: restart_what_ended() or starts(cluster, worker) > before)
        assert starts(cluster, worker) > before, worker.tail()
        nap(4)

    folds(workers["a"], 0)
    for _ in range(2):
        second = cluster.start("b", ablation=ablation)
        folds(second, starts(cluster, second))
        before = starts(cluster, workers["a"])
        second.stop()
        folds(workers["a"], before)
    assert published.is_alive(), "all was published before the last coming and going"
    published.end_soon()
    published.finish()
    cluster.drain(limit_s=BROKEN_S if ablation else PATIENCE_S, supervise=restart_what_ended)


def test_partitions_that_come_back_are_read_anew(cluster, publication, truth):
    comings_and_goings(cluster, publication, "")
    same(cluster, truth)


def test_without_forgetting_what_was_revoked_a_rebalance_does_damage(cluster, publication, truth):
    with suppress(AssertionError):  # as above
        comings_and_goings(cluster, publication, "keep-revoked")
    cluster.stop()
    assert differences(outcome(cluster), truth)


@pytest.mark.parametrize("name", ["slow", "end-on-error"])
def test_the_whole_host_survives_what_the_ablations_are_attacked_with(cluster, publication, truth, name):
    published = publication(speed=60)
    worker = cluster.start("a", ablation=name)

    def restart_what_ended():
        nonlocal worker
        if not worker.alive():
            worker = cluster.start("a", ablation=name)

    while published.is_alive():
        restart_what_ended()
        nap(0.2)
    published.finish()
    cluster.drain(supervise=restart_what_ended)
    same(cluster, truth)
