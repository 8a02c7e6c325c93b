"""The settings of whoever runs a stage: topics, time, checkpoints, and membership in consumer groups."""

from pathlib import Path
from typing import Self

from pydantic import model_validator

from agents.settings.group import SettingsGroup, setting
from optimizer.model.pane import PARTITIONS_MOST
from optimizer.model.progress import WATERMARK_DELAY_S


class HostSettings(SettingsGroup):
    """The settings of hosted stages; all workers of an installation agree on it."""

    prefix: str = setting(
        "llmopt",
        "first part of every topic, consumer group and table name",
        "several installations share a broker; no dots, they separate the parts of a topic's name",
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
    )
    partitions: int = setting(
        4,
        "P, the partition count of every topic of ours",
        "one count for all, so that a worker owns partition n of every stage; it bounds a stage's workers",
        ge=1,
        le=PARTITIONS_MOST,
    )
    pane_s: int = setting(
        10, "length of a pane, seconds", "windows are whole panes; changes re-align all of them", ge=1
    )
    watermark_delay_s: int = setting(
        WATERMARK_DELAY_S, "how far watermarks lag the clock, seconds", "longer counts more stragglers", ge=0
    )
    stalled_source_s: int = setting(
        300,
        "a source partition this far behind is reported as stalled, seconds",
        "longer than a restart",
        ge=1,
    )
    tick_s: float = setting(
        1.0, "interval of the clock's ticks, seconds", "watermarks move in steps of it", gt=0
    )
    dedupe_records: int = setting(
        200_000,
        "records of a partition in which a producer's duplicate is found",
        "retries arrive within seconds; 200,000 are 20 s at 10,000 events/s and 20 MB",
        ge=0,
    )
    checkpoint_orient_s: float = setting(
        5.0, "interval of orient's checkpoints, seconds", "fat rows, cheap refold", gt=0
    )
    checkpoint_decide_s: float = setting(
        1.0, "interval of decide's checkpoints, seconds", "thin rows, little refold", gt=0
    )
    checkpoint_act_s: float = setting(1.0, "interval of act's checkpoints, seconds", "as decide", gt=0)
    session_timeout_s: float = setting(
        10.0,
        "after this long without a heartbeat a worker is dead, seconds",
        "60 s, Faust's own, idles its partitions",
        gt=0,
        le=90,
    )
    heartbeat_s: float = setting(
        2.0, "interval of heartbeats, seconds", "at most a third of the session", gt=0
    )
    rebalance_timeout_s: float = setting(
        20.0,
        "time a worker has to rejoin, seconds",
        "more than a checkpoint and a recovery of small tables",
        gt=0,
    )
    max_poll_records: int = setting(
        2000,
        "records of one fetch, all partitions together",
        "batches large enough for numpy, small enough for 100 ms",
        ge=1,
    )
    commit_s: float = setting(
        0.5, "interval of offset commits, seconds", "reports for lag tools; nothing starts there", gt=0
    )
    linger_ms: int = setting(
        5, "how long a producer gathers a batch, milliseconds", "5–20 trade latency for load", ge=0
    )
    watchdog_s: float = setting(
        30.0,
        "with input waiting and no progress for this long a worker ends, seconds",
        "a fresh start always recovers",
        gt=0,
    )
    state_dir: Path = setting(
        Path(".local/state"),
        "folder of the stages' RocksDB tables",
        "one per worker; may be lost, changelogs restore it",
    )

    @model_validator(mode="after")
    def _agree_with_one_another(self) -> Self:
        if self.heartbeat_s * 3 > self.session_timeout_s:
            most = self.session_timeout_s / 3
            raise ValueError(
                f"heartbeat_s must be at most {most:.1f}, a third of the session, got {self.heartbeat_s}"
            )
        return self

    def checkpoint_s(self, stage: str) -> float:
        """Return the checkpoint interval of `orient`, `decide` or `act` in seconds; `observe` has none."""
        return float(getattr(self, f"checkpoint_{stage}_s"))
