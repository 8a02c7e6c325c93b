"""Real servers for every test that asks: one of each a session, a prefix and a database a test."""

import uuid
from pathlib import Path

import psycopg
import pytest

from agents import local
from agents.settings import settings


def pytest_addoption(parser):
    parser.addoption("--containers", action="store_true", help="start the servers as containers")


@pytest.fixture(scope="session")
def _settings():
    return settings.load()


@pytest.fixture(scope="session")
def kafka(request, _settings, tmp_path_factory):
    """Address of the session's broker, started when the first test asks."""
    with local.servers(
        _settings,
        directory=tmp_path_factory.mktemp("servers"),
        postgres=False,
        use_containers=request.config.getoption("containers"),
    ) as running:
        yield running.bootstrap


@pytest.fixture(scope="session")
def postgres(request, _settings, tmp_path_factory):
    """Connection string of the session's database server, started when the first test asks."""
    with local.servers(
        _settings,
        directory=tmp_path_factory.mktemp("servers"),
        kafka=False,
        use_containers=request.config.getoption("containers"),
    ) as running:
        yield running.dsn


@pytest.fixture
def database(postgres):
    """Connection string of an empty database of the test's own."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield psycopg.conninfo.make_conninfo(postgres, dbname=name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def prefix():
    """First part of every topic and group name of one test, so that tests share a broker unnoticed."""
    return f"t-{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="session")
def checkout():
    """Folder of the checkout."""
    return Path(__file__).parents[1]
