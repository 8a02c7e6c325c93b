"""What a worker shows of itself to Prometheus."""

import asyncio
import math
import socket
import urllib.request
from types import SimpleNamespace

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agents.host import scrape
from agents.host.app import faust_app
from agents.host.host import Host
from agents.host.instance import claimed
from agents.host.partition import Partition, Wiring
from agents.host.rows import Row
from agents.settings.settings import load as load_settings
from agents.telemetry import metrics
from agents.telemetry.metrics import PortTaken, Sample
from optimizer.model.call import Call
from optimizer.model.pane import Late, Pane
from optimizer.model.progress import Watermark
from optimizer.stage import Emit
from tests.support.toys import P, Toy

NOW_MS = 1_800_000_000_000


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host that is attached to an app, and not started."""
    monkeypatch.setattr(Host, "consumer", None)  # asked for, Faust would make one
    settings = load_settings(prefix="p", kafka_bootstrap="127.0.0.1:1", state_dir=tmp_path)
    wiring = Wiring(
        stage=Toy(), source="p.in", reads=("call",), quarantine="p.quarantine", checkpoint_s=1.0,
        routes=dict.fromkeys((Call, Pane, Watermark), "p.out"), hands_on_watermark=False,
    )  # fmt: skip
    return Host(wiring, app=faust_app("toy", settings, "a"), partitions=P)


def shown(*sources):
    """(name, values of its labels in the order of their names) → value, as Prometheus reads it."""
    text = generate_latest(metrics.registry(*sources)).decode()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_before_any_partition_is_assigned_there_is_nothing_to_be_behind_with(host):
    found = shown(scrape.of_host(host))
    assert found["llmopt_partitions_owned", ("toy",)] == 0
    assert not [name for name, _ in found if name in ("llmopt_lag_records", "llmopt_event_time_age_seconds")]


def test_time_that_has_not_begun_is_infinitely_old_and_not_new(host):
    host.assigned[0] = Partition(0)
    assert shown(scrape.of_host(host))["llmopt_event_time_age_seconds", ("0", "toy")] == math.inf


@pytest.fixture
def stopped_clock(monkeypatch):
    """The clock by which a worker tells how old event time is stands at `NOW_MS`."""
    monkeypatch.setattr(scrape, "time", SimpleNamespace(time=lambda: NOW_MS / 1000, monotonic=lambda: 0.0))


@pytest.mark.usefixtures("stopped_clock")
def test_event_time_is_as_old_as_the_watermark_that_all_sources_have_passed(host):
    host.assigned[1] = Partition(1, watermarks={0: NOW_MS - 5_000, 1: NOW_MS - 120_000}, of=2)
    assert shown(scrape.of_host(host))["llmopt_event_time_age_seconds", ("1", "toy")] == 120


@pytest.mark.usefixtures("stopped_clock")
def test_the_event_time_of_a_stage_that_reads_ticks_is_that_of_its_row(host, monkeypatch):
    monkeypatch.setattr(Toy, "event_time", lambda _self, state: state)
    host.assigned[0] = Partition(0, rows={"0": Row(0, 0, {}, NOW_MS - 7_000)})
    assert shown(scrape.of_host(host))["llmopt_event_time_age_seconds", ("0", "toy")] == 7


def test_what_panes_and_watermarks_leave_out_is_added_up_by_reason(host, monkeypatch):
    async def produced(*_record):
        """Take it: what is counted does not depend on the broker."""

    monkeypatch.setattr(host.outbox, "_produce", produced)
    part = host.assigned[0] = Partition(0)
    pane = Pane(
        start_at=0, end_at=10, partition=0, of=1, cells=[], first_offset=0, last_offset=0, late=Late(calls=3)
    )
    told = [
        Emit(Watermark(0, 1, 10, {"folded": 2, "duplicates": 1}), 10),
        Emit(Watermark(0, 1, 20, {"folded": 5}), 20),
        Emit(pane, 10, "t"),
    ]
    for emit in told:
        asyncio.run(host.outbox.emit(part, emit, "0", 1))
    found = shown(scrape.of_host(host))
    left_out = {labels[0]: n for (name, labels), n in found.items() if name == "llmopt_left_out_total"}
    assert left_out == {"folded": 7, "duplicates": 1, "late": 3}
    assert found["llmopt_emitted_total", ("toy",)] == 3


def test_a_server_answers_on_its_port_and_a_taken_port_is_told(host):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = metrics.serve("127.0.0.1", port, scrape.of_host(host), scrape.of_instance(4))
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert b"llmopt_starts_total 4.0" in answer.read()
        with pytest.raises(PortTaken, match=f"on 127.0.0.1:{port}: "):
            metrics.serve("127.0.0.1", port)
    finally:
        server.shutdown()
        server.server_close()


def test_a_number_without_a_meaning_is_not_shown():
    with pytest.raises(KeyError, match="llmopt_made_up"):
        shown(lambda: [Sample("llmopt_made_up", 1.0)])


def test_starts_are_counted_in_the_folder_of_the_instance(tmp_path):
    counted = []
    for name in ("a", "a", "b", "a"):
        with claimed(tmp_path / name) as starts:
            counted.append(starts)
    assert counted == [1, 2, 1, 3]
