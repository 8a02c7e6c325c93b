"""What the peers run in is pinned to the byte, and said to be missing where it cannot be made."""

import re

import pytest

from tests.bench import contest, environments

JARS = {line.split()[1] for line in environments.SUMS.read_text().splitlines()}


def test_every_package_of_quix_is_pinned_with_a_hash():
    text = environments.QUIX.read_text()
    requirements = [one for one in re.split(r"\n(?=\w)", text) if not one.startswith("#")]
    assert len(requirements) > 20
    assert [one for one in requirements if not re.match(r"\S+==\S+ \\\n +--hash=sha256:", one)] == []


def test_the_jars_are_those_that_the_project_asks_for():
    project = (environments.STREAMS / "pom.xml").read_text()
    asked = re.findall(
        r"<dependency>.*?<artifactId>(.*?)</artifactId>\s*<version>(.*?)</version>", project, re.DOTALL
    )
    assert len(asked) == 3
    assert {f"{name}-{version}.jar" for name, version in asked} <= JARS


def test_without_maven_kafka_streams_is_not_run_and_the_reason_is_given(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(environments.NotMadeError, match="mvn and javac must be on the PATH"):
        environments.kafka_streams(tmp_path)


def test_a_jar_with_another_hash_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(environments.shutil, "which", str)

    def made(_cache, _name, _sources, _make):
        (tmp_path / "jars").mkdir(exist_ok=True)
        for name in JARS:
            (tmp_path / "jars" / name).write_bytes(b"something else")
        return tmp_path

    monkeypatch.setattr(environments, "_made", made)
    with pytest.raises(
        environments.NotMadeError, match=r"kafka-streams-[\d.]+jar.* must be as jars.sha256 says"
    ):
        environments.kafka_streams(tmp_path)


def test_an_environment_is_made_once_for_the_same_sources(tmp_path):
    source, made = tmp_path / "lock", []
    source.write_text("one")
    homes = [environments._made(tmp_path, "peer", [source], made.append) for _ in range(2)]
    source.write_text("another")
    homes.append(environments._made(tmp_path, "peer", [source], made.append))
    assert made == [homes[0], homes[2]]
    assert homes[0] == homes[1] != homes[2]


def test_factors_say_how_much_better_the_other_is():
    slow, fast = contest.Result([10.0], 10.0, 8.0), contest.Result([50.0], 50.0, 2.0)
    assert slow.behind(fast) == ("5 ×", "4 ×")
