"""`make collector`: builds the OpenTelemetry Collector of compose/otel/builder.yaml, once for every version of it.

It takes Go, the Go module proxy and some minutes of CPU, hence a verb of its own: the tests use the binary
where it has been built, and are skipped where it has not.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from agents.settings import settings

MANIFEST = Path(__file__).parents[2] / "compose/otel/builder.yaml"
CONFIGURATION = MANIFEST.with_name("collector.yaml")
LONGEST_S = 1800


def binary():
    """Where the collector of this manifest is, or will be."""
    version = hashlib.sha256(MANIFEST.read_bytes()).hexdigest()[:12]
    return settings.load().operations.cache_dir.expanduser() / f"otelcol-{version}"


def build():
    """Build it unless it is there; end with a sentence where Go or what it has to fetch is missing."""
    built = binary()
    if built.exists():
        return built
    if shutil.which("go") is None:
        raise SystemExit("building the collector needs Go on the PATH; see go.dev/doc/install")
    builder = re.search(r"go run (\S+)", MANIFEST.read_text())[1]
    environment = os.environ | {"CGO_ENABLED": "0"}
    with tempfile.TemporaryDirectory(prefix="otelcol-") as directory:
        manifest = Path(directory) / "builder.yaml"
        manifest.write_text(MANIFEST.read_text())
        print(f"→ building the collector with {builder}: some minutes the first time", flush=True)
        made = subprocess.run(
            ["go", "run", builder, "--config=builder.yaml"],
            cwd=directory, env=environment, timeout=LONGEST_S, check=False,
        )  # fmt: skip
        if made.returncode:
            raise SystemExit("the collector was not built; the lines above say why")
        built.parent.mkdir(parents=True, exist_ok=True)
        # In two steps: an interrupted copy must not look like a collector.
        shutil.move(Path(directory) / "otelcol/otelcol", built.with_suffix(".part"))
        built.with_suffix(".part").rename(built)
    return built


if __name__ == "__main__":
    print(build())
