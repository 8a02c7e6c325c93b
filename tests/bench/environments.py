"""What the peers run in: made on demand below the cache folder, each file pinned and held against its hash."""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
QUIX, STREAMS = PEERS / "quix.lock", PEERS / "kafka-streams"
SUMS = STREAMS / "jars.sha256"
READY = ".ready"
MAKING_S = 300
LAST_LINES = 2


def version_of(name):
    """The version that is locked, of `quixstreams` or of `kafka-streams`."""
    locked = QUIX.read_text() + SUMS.read_text()
    return re.search(rf"\b{name}(?:==|-)([\d.]+\d)", locked).group(1)


class NotMadeError(Exception):
    """An environment cannot be made here; the text is one sentence."""


def quix_python(cache):
    """The interpreter of an environment that holds exactly quix.lock."""

    def make(home):
        _run(sys.executable, "-m", "venv", str(home))
        pip = (str(home / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        _run(*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(QUIX))

    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return _made(cache, f"quix-{version}", [QUIX], make) / "bin/python"


def kafka_streams(cache):
    """The class path of the Kafka Streams program, compiled from the sources beside this file."""
    if missing := [tool for tool in ("mvn", "javac") if shutil.which(tool) is None]:
        raise NotMadeError(f"{' and '.join(missing)} must be on the PATH to compile it")

    def make(home):
        sources = home / "project"
        shutil.copytree(STREAMS, sources)
        _run("mvn", "--quiet", "--batch-mode", "compile", where=sources)
        shutil.move(sources / "target/jars", home / "jars")
        shutil.move(sources / "target/classes", home / "classes")
        shutil.rmtree(sources)

    home = _made(cache, "kafka-streams", sorted(p for p in STREAMS.rglob("*") if p.is_file()), make)
    locked = dict(reversed(line.split()) for line in SUMS.read_text().splitlines())
    found = {jar.name: _sha256([jar]) for jar in (home / "jars").iterdir()}
    if found != locked:
        wrong = sorted({name for name, _ in found.items() ^ locked.items()})
        raise NotMadeError(f"{', '.join(wrong)} must be as jars.sha256 says; delete {home}")
    return f"{home / 'classes'}:{home / 'jars'}/*"


def _made(cache, name, sources, make):
    """The folder that `make` has filled, once for all runs with the same sources."""
    home = cache.expanduser() / "peers" / f"{name}-{_sha256(sources)[:12]}"
    if not (home / READY).exists():
        print(f"making the environment {home.name}, once", flush=True)
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        make(home)
        (home / READY).touch()
    return home


def _sha256(files):
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _run(*command, where=None):
    try:
        done = subprocess.run(
            command, cwd=where, check=False, capture_output=True, text=True, timeout=MAKING_S
        )
    except subprocess.TimeoutExpired:
        raise NotMadeError(f"`{Path(command[0]).name}` did not end within {MAKING_S} s") from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).strip().splitlines()[-LAST_LINES:])
        raise NotMadeError(f"`{Path(command[0]).name}` ended with {done.returncode}: {said}")
