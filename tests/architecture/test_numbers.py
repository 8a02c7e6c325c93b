"""Each number that is shown has a name, a meaning, a line in the documents and a place in the code."""

import ast
import os
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from agents.telemetry import metrics

ROOT = Path(__file__).parents[2]
NAMES = get_args(metrics.Name)


def shown_in_code():
    """Name → how many labels it is given, wherever `agents/` makes a sample."""
    calls = (
        node
        for path in (ROOT / "agents").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Sample"
    )
    return Counter(call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant))


def test_every_name_has_a_meaning_and_every_meaning_a_name():
    assert set(metrics.METRICS) == set(NAMES)


def test_every_name_is_shown_somewhere_and_nothing_else_is():
    assert set(shown_in_code()) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_spelt_as_prometheus_wants_it(name):
    meaning = metrics.METRICS[name]
    assert name.startswith("llmopt_")
    assert name.endswith("_total") == (meaning.kind == "counter")
    assert name.endswith("_seconds") == (meaning.unit == "seconds")


@pytest.mark.parametrize("name", NAMES)
def test_a_meaning_says_what_it_is_and_what_to_do(name):
    meaning = metrics.METRICS[name]
    assert all(text.endswith((".", ")")) for text in (meaning.says, meaning.rises))
    assert "|" not in meaning.says + meaning.rises


def test_the_document_is_drawn_from_them():
    path, expected = ROOT / "docs/metrics.md", metrics.as_markdown()
    if "ACCEPT" in os.environ:
        path.write_text(expected)
    assert path.read_text() == expected
