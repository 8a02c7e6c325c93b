"""One recording and one undisturbed run a session; every attack is held against it."""

import threading

import psycopg
import pytest

from agents import local
from agents.ledger.connection import migrate
from agents.settings import settings
from tests.support import recording as recordings
from tests.support.cluster import Cluster
from tests.support.outcome import outcome


@pytest.fixture(scope="session")
def recording():
    return recordings.record()


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """A broker and a database of the chaos runs' own: they are killed here."""
    told = settings.load()
    with local.servers(told, directory=tmp_path_factory.mktemp("chaos-servers")) as running:
        yield running


class Publication(threading.Thread):
    """Publishes the recording beside the test."""

    def __init__(self, cluster, recording, speed, *, held):
        super().__init__(daemon=True)
        self.cluster, self.recording, self.speed, self.error = cluster, recording, speed, None
        self.hurry, self.released = threading.Event(), threading.Event()
        if not held:
            self.released.set()

    def end_soon(self):
        """Let go what was held back, and do not pace the rest."""
        self.hurry.set()
        self.released.set()

    def run(self):
        try:
            recordings.publish(
                self.cluster.bootstrap,
                self.cluster.topic,
                self.recording,
                self.speed,
                self.hurry.is_set,
                self.released.is_set,
            )
        except BaseException as exc:
            self.error = exc
            raise

    def finish(self):
        self.join()
        assert self.error is None


@pytest.fixture
def cluster(servers, prefix, tmp_path):
    """Topics, and a ledger of the test's own."""
    name = prefix.replace("-", "_")
    with psycopg.connect(servers.dsn, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    dsn = psycopg.conninfo.make_conninfo(servers.dsn, dbname=name)
    migrate(dsn)
    made = Cluster(servers.bootstrap, prefix, tmp_path, dsn=dsn)
    made.create_topics()
    yield made
    made.stop()


@pytest.fixture
def publication(cluster, recording):
    """Starts publishing at a speed, the end of it `held` back or not; always ended, also when the test fails."""
    started = []

    def start(speed, *, held=False):
        started.append(Publication(cluster, recording, speed, held=held))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.end_soon()
        one.join(120)


@pytest.fixture(scope="session")
def truth(servers, recording, tmp_path_factory):
    """What an undisturbed worker makes of the recording."""
    calm = Cluster(servers.bootstrap, "calm", tmp_path_factory.mktemp("calm"))
    calm.create_topics()
    recordings.publish(calm.bootstrap, calm.topic, recording)
    calm.start("calm")
    try:
        calm.drain()
    finally:
        calm.stop()
    found = outcome(calm)
    assert not found.wrong
    return found
