"""What the whole product agrees on has one home: a constant that is written twice will one day say two things."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOMES = {
    "DAY_MS": "optimizer/model/instants.py",
    "DAY_S": "optimizer/model/instants.py",
    "EPOCH": "optimizer/model/instants.py",
    "EVIDENCE_MOST": "optimizer/model/finding.py",
    "HOUR_MS": "optimizer/model/instants.py",
    "MILLIONTHS": "optimizer/model/fixed_point.py",
    "MINUTE_MS": "optimizer/model/instants.py",
    "NANO_USD": "optimizer/model/fixed_point.py",
    "OTHER": "optimizer/model/segments.py",
    "PARTITIONS_MOST": "optimizer/model/pane.py",
    "WATERMARK_DELAY_S": "optimizer/model/progress.py",
    "WHOLE_BPS": "optimizer/model/shares.py",
    "Z95": "optimizer/stats/proportion.py",
}
"""Constant → the only module of the product that says its value."""
BELOW = {
    ("DAY_MS", "optimizer/stats/extremes.py"): "statistics stand below the model",
    ("HOUR_MS", "optimizer/stats/seasonal.py"): "as extremes.py",
}
NEVER_AGAIN = {1.959963984540054: "Z95"}
"""Literal → the constant that is it."""


def modules():
    return [path for top in ("optimizer", "agents") for path in sorted((ROOT / top).rglob("*.py"))]


def constants(path):
    """The names in capitals that a module gives a value, and each value as it is written."""
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, ast.unparse(value)
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                yield from ((name.id, ast.unparse(value)) for name, value in zip(names, values, strict=True))
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, ast.unparse(value)


@pytest.fixture(scope="module")
def written():
    """Constant → the modules that give it a value."""
    found = defaultdict(set)
    for path in modules():
        for name, _ in constants(path):
            if name.isupper():
                found[name].add(str(path.relative_to(ROOT)))
    return found


@pytest.mark.parametrize("name", HOMES)
def test_what_the_product_agrees_on_is_written_in_one_place(name, written):
    below = {path for constant, path in BELOW if constant == name}
    assert {HOMES[name]} | below == written[name]


def test_a_literal_that_has_a_name_is_not_written_again():
    again = [
        (str(path.relative_to(ROOT)), node.value)
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in NEVER_AGAIN
        if str(path.relative_to(ROOT)) != HOMES[NEVER_AGAIN[node.value]]
    ]
    assert [] == again


def test_where_statistics_repeat_the_model_both_say_the_same():
    values = {
        (name, str(path.relative_to(ROOT))): value for path in modules() for name, value in constants(path)
    }
    assert {"DAY_MS": 86_400_000, "HOUR_MS": 3_600_000} == {
        name: ast.literal_eval(values[name, path].replace("_", "")) for name, path in BELOW
    }


def test_how_few_are_too_few_says_of_what(written):
    counts = {name: paths for name, paths in written.items() if name.endswith("FEWEST")}
    assert "FEWEST" not in counts
    assert {1} == {len(paths) for paths in counts.values()}
