"""The house rules a linter does not know."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    p
    for top in ("optimizer", "agents", "sdk/python")
    for p in (ROOT / top).rglob("*.py")
    if "versions" not in p.parts
)
LINES_PER_MODULE, LINES_PER_FUNCTION = 400, 70
VAGUE = {"utils", "util", "helpers", "common", "misc", "manager", "base_utils", "engine", "service"}
TOP_LEVEL = {
    "README.md", "Makefile", "pyproject.toml", "CHANGELOG.md", "LICENSE", "requirements.lock", ".github", ".ci",
    ".gitignore", "optimizer", "agents", "topics", "schemas", "compose", "tests", "docs", "sdk",
    "findings",
}  # fmt: skip


def tracked():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
class TestTidy:
    def test_module_fits_in_one_sitting(self, path):
        lines = path.read_text().count("\n")
        assert lines <= LINES_PER_MODULE, f"{lines} lines; split it along a noun"

    def test_functions_fit_on_one_screen(self, path):
        long = {
            node.name: size
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (size := node.end_lineno - node.lineno + 1) > LINES_PER_FUNCTION
        }
        assert not long, f"over {LINES_PER_FUNCTION} lines: {long}"

    def test_module_says_what_it_is_for(self, path):
        doc = ast.get_docstring(ast.parse(path.read_text()))
        assert doc, "a module begins with a sentence"
        assert doc.splitlines()[0].endswith("."), "first line: one sentence, full stop"

    def test_module_has_a_name_that_means_something(self, path):
        assert path.stem not in VAGUE


@pytest.mark.parametrize("folder", ["topics", "schemas", "compose"])
def test_data_folders_hold_no_python(folder):
    assert not list((ROOT / folder).rglob("*.py")), f"{folder}/ is read by more than Python"


def test_the_top_level_is_the_houses():
    assert {path.parts[0] for path in tracked()} <= TOP_LEVEL


def test_no_file_names_a_package_registry():
    registry = re.compile(
        rb"https?://[\w.-]*(?:maven|python-?hosted|pypi|npmjs|crates\.io|proxy\.golang|deb\.debian)"
    )
    named = [p for p in tracked() if p.name != "test_tidy.py" and registry.search((ROOT / p).read_bytes())]
    assert not named


def test_nothing_is_left_unfinished():
    unfinished = re.compile(
        r"\b(?:TODO|FIXME|XXX)\b|raise NotImplementedError|pytest\.mark\.(?:skip|xfail)\b|pytest\.xfail"
    )
    left = [
        str(p)
        for p in tracked()
        if p.suffix == ".py" and p.name != "test_tidy.py" and unfinished.search((ROOT / p).read_text())
    ]
    assert not left


def test_no_folder_of_tests_imports_from_another_but_from_support():
    strangers = {}
    for path in (ROOT / "tests").rglob("*.py"):
        own = path.relative_to(ROOT / "tests").parts[0]
        named = {
            node.module.split(".")[1]
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests.")
        }
        if others := named - {own, "support", "covered"}:
            strangers[str(path.relative_to(ROOT))] = others
    assert not strangers, "what two folders need lies in tests/support"


def test_no_two_classes_have_one_name():
    """The client is a distribution of its own and speaks of the same things by the same names."""
    places = {}
    for path in SOURCES:
        if path.is_relative_to(ROOT / "sdk"):
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {} == {name: paths for name, paths in places.items() if len(paths) > 1}


def test_clients_of_kafka_are_made_in_one_room():
    """Only there is it said how a client is secured, how a key is placed, and that nothing is committed by a timer."""
    made = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.is_relative_to(ROOT / "agents") and re.search(r"\b(Consumer|Producer)\(", path.read_text())
    }
    assert made == {"agents/wire/consumer.py", "agents/wire/publisher.py"}
