"""docs/statistics/metrics.md lists what is compared, guarded and limited as the code's table has it."""

import os
from pathlib import Path

from optimizer.model.metric import TABLE

DOCUMENT = Path(__file__).parents[2] / "docs/statistics/metrics.md"
HEAD = """# Metrics: what they are called, which side is better, where a declaration speaks of them

Drawn from `optimizer/model/metric.py` by `make accept`. A margin is relative to the control's number or in the metric's
own unit; a hard limit is in the metric's unit. A level marked *where guarded* is kept and told only where a declaration
guards or limits the metric. How arms are compared: [comparisons.md](comparisons.md).

| metric | in sentences | unit | better | estimator | guardrail | hard limit | goal | level |
|---|---|---|---|---|---|---|---|---|
"""
SIDES = {1: "more", -1: "less", 0: "neither"}


def _of(row):
    margin = f"`{row.guardrail}`, {'relative' if row.is_relative else 'absolute'}" if row.guardrail else ""
    level = ("where guarded" if row.histogram else "yes") if row.is_level else ""
    cells = (
        f"`{row.name}`", row.words, row.unit, SIDES[row.direction], row.estimator or "", margin,
        f"`{row.limit}`" if row.limit else "", "yes" if row.is_goal else "", level,
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |\n"


def drawn():
    return HEAD + "".join(map(_of, TABLE))


def test_the_document_is_drawn_from_the_table():
    if "ACCEPT" in os.environ:
        DOCUMENT.write_text(drawn())
    assert DOCUMENT.read_text() == drawn()
