"""Branch coverage by room: how much of each folder the tests have run, the least covered first.

`make test` measures and calls this. There is no floor: a number says where nobody has looked, not what is enough.
"""

import json
import sys
from pathlib import Path, PurePath
from typing import NamedTuple


class Room(NamedTuple):
    """One folder: the share of its statements and branches that were run, of its branches alone, and its size."""

    covered_percent: float
    branches_percent: float
    statements: int
    name: str


def rooms(report):
    """Every folder of a JSON report of `coverage`, the least covered first."""
    files = {}
    for path, file in report["files"].items():
        files.setdefault(PurePath(path).parent.as_posix(), []).append(file["summary"])
    return sorted(_room(name, summaries) for name, summaries in files.items())


def table(report):
    """The text that `make test` ends with."""
    total = _room("total", [report["totals"]])
    lines = [f"{r.covered_percent:7.1f} % {r.branches_percent:7.1f} % {r.statements:11,}  {r.name}"
             for r in (*rooms(report), total)]  # fmt: skip
    return "\n".join(["  covered  branches  statements  room", *lines])


def _room(name, summaries):
    lines, statements, branches, ways = (
        sum(summary[key] for summary in summaries)
        for key in ("covered_lines", "num_statements", "covered_branches", "num_branches")
    )
    return Room(_percent(lines + branches, statements + ways), _percent(branches, ways), statements, name)


def _percent(part, whole):
    return 100 * part / whole if whole else 100.0


if __name__ == "__main__":
    print(table(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
