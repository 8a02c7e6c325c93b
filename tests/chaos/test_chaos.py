"""Every attack ends with the same aggregates, decisions and configurations as an undisturbed run."""

import random
import time

import pytest

from tests.support.cluster import GROUPS, PATIENCE_S
from tests.support.outcome import differences, ledger_faults, outcome, rocksdb_equals_changelog

pytestmark = pytest.mark.chaos
POINTS = ("snapshot", "emitted", "written", "acked", "marked", "durable")
FROZEN_EXIT = 70


def nap(seconds, *, unless=lambda: False):
    """Let the attack's clock run: here time itself is what is awaited."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not unless():
        time.sleep(0.05)


def drained(cluster, workers):
    """Await the end of all input, starting afresh what ends by itself, as a supervisor does."""

    def restart_what_ended():
        for name, worker in workers.items():
            if not worker.alive():
                workers[name] = cluster.start(name)

    cluster.drain(supervise=restart_what_ended)


def same(cluster, truth, store_of=None):
    if store_of:
        *_, last = (worker for worker in cluster.workers if worker.name == store_of)
        nap(PATIENCE_S, unless=last.has_recovered)
        assert last.has_recovered(), last.tail()
    wrong = ledger_faults(cluster)
    cluster.stop()
    found = outcome(cluster)
    wrong += differences(found, truth)
    if store_of:
        wrong += rocksdb_equals_changelog(cluster, store_of)
    assert not wrong, "\n".join(wrong)
    return found


def never(_kills):
    return False


def always(_kills):
    return True


def alternately(kills):
    return kills % 2 == 0


def starts(cluster, worker):
    """How often partitions of observe were begun, in all lives of this name."""
    return worker.log.read_text().count(f"{cluster.topic('metrics')}/")


class Killer:
    """Kills a worker again and again while the recording is published.

    A life is counted from where its observe begins to fold; every fourth one from its birth, so that some
    end while they recover.
    """

    def __init__(self, cluster, seed):
        self.cluster, self.dice, self.kills = cluster, random.Random(seed), 0

    def until(self, done, *, wiped=never, lives_s=(0.5, 5.0), **broken):
        worker = self.cluster.start("a", **broken)
        while not done():
            if self.kills % 4 < 3:
                begun = starts(self.cluster, worker)
                nap(60, unless=lambda one=worker, n=begun: starts(self.cluster, one) > n or not one.alive())
            nap(self.dice.uniform(*lives_s), unless=lambda one=worker: done() or not one.alive())
            if done():
                break
            worker.kill()
            self.kills += 1
            if wiped(self.kills):
                self.cluster.wipe("a")
            worker = self.cluster.start("a", **broken)
        worker.kill()
        return self.cluster.start("a")


@pytest.mark.parametrize(
    ("name", "wiped"),
    [("kept", never), ("wiped", always), ("mixed", alternately)],
    ids=("kept", "wiped", "mixed"),
)
def test_a_worker_killed_ten_times_under_load_changes_nothing(cluster, publication, truth, name, wiped):
    published = publication(speed=14)
    killer = Killer(cluster, seed=name)
    killer.until(lambda: not published.is_alive() and killer.kills >= 10, wiped=wiped)
    published.finish()
    cluster.drain()
    same(cluster, truth, store_of="a")
    assert killer.kills >= 10


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_at_a_point_of_its_checkpoints_changes_nothing(cluster, publication, truth, point):
    published = publication(speed=40)
    killer = Killer(cluster, seed=point)
    killer.until(
        lambda: not published.is_alive() and killer.kills >= 3,
        fault=f"{point}:0.1",
        lives_s=(30, 30),
        wiped=alternately,
    )
    published.finish()
    cluster.drain()
    same(cluster, truth, store_of="a")
    assert killer.kills >= 3


def test_two_workers_that_come_and_go_change_nothing(cluster, publication, truth):
    published, dice = publication(speed=14, held=True), random.Random(2)
    workers = {name: cluster.start(name) for name in "ab"}
    step = 0
    while published.is_alive():
        nap(dice.uniform(9, 12), unless=lambda: not published.is_alive())
        name = "ab"[step % 2]
        if step % 4 < 2:
            workers[name].stop()
        else:
            workers[name].kill()
            cluster.wipe(name) if step % 4 == 3 else None
        nap(dice.uniform(0, 4))
        workers[name] = cluster.start(name)
        step += 1
        if step >= 4:
            published.released.set()
    published.finish()

    drained(cluster, workers)
    same(cluster, truth)
    assert step >= 4


def test_a_worker_frozen_beyond_its_session_ends_itself_and_changes_nothing(cluster, publication, truth):
    published = publication(speed=14)
    workers = {name: cluster.start(name) for name in "ab"}
    frozen = []
    for turn in range(4):
        name = "ab"[turn % 2]
        nap(PATIENCE_S, unless=lambda: all(worker.begun() for worker in workers.values()))
        nap(4)  # both fold
        workers[name].freeze()
        nap(9)  # its session is 6 s
        workers[name].thaw()
        workers[name].process.wait(PATIENCE_S)
        frozen.append(workers[name].process.returncode)
        workers[name] = cluster.start(name)
    published.finish()

    drained(cluster, workers)
    same(cluster, truth)
    assert frozen == [FROZEN_EXIT] * 4


def test_a_broker_killed_and_started_again_changes_nothing(servers, cluster, publication, truth):
    published = publication(speed=14)
    worker = cluster.start("a")

    def restart_what_ended():
        nonlocal worker
        if not worker.alive():
            worker = cluster.start("a")

    for outage in (servers.kill_kafka, servers.stop_kafka):
        nap(15)
        outage()
        nap(3)
        servers.start_kafka()
        restart_what_ended()
    published.finish()
    cluster.drain(supervise=restart_what_ended)
    same(cluster, truth)


def test_a_database_that_is_away_for_a_while_holds_nothing_up(servers, cluster, publication, truth):
    published = publication(speed=24)
    cluster.start("a")
    nap(12)
    servers.stop_postgres()
    nap(15)
    servers.start_postgres()
    published.finish()
    cluster.drain()
    same(cluster, truth, store_of="a")


def test_state_and_changelogs_lost_after_the_end_are_rebuilt_from_the_input(
    cluster, publication, truth, servers
):
    from confluent_kafka.admin import AdminClient

    published = publication(speed=None)
    worker = cluster.start("a")
    published.finish()
    cluster.drain()
    worker.stop()
    cluster.wipe("a")
    admin = AdminClient({"bootstrap.servers": servers.bootstrap})
    names = [f"{cluster.prefix}-{stage}-rows-changelog" for stage in GROUPS]
    for future in admin.delete_topics(names).values():
        future.result()
    before = outcome_of_inputs(cluster)
    cluster.start("a")
    # Offsets are committed already: that all is folded again is seen in what is published again, and in the rows.
    deadline = time.monotonic() + PATIENCE_S
    wrong = ["nothing yet"]
    while wrong and time.monotonic() < deadline:
        nap(5)
        try:
            wrong = differences(outcome(cluster), truth)
        except KeyError:  # a changelog that is not made yet
            continue
    assert not wrong, "\n".join(wrong)
    assert before


def outcome_of_inputs(cluster):
    from tests.support import records

    return records.ends(cluster.bootstrap, cluster.topic("metrics"))
