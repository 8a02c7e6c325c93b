"""What people are told to run exists, and every document can be found by reading."""

import re
import subprocess
from collections import Counter
from pathlib import Path

from optimizer.decide.strategies import STRATEGIES
from optimizer.orient.analyzers import ANALYZERS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ARCHITECTURE = DOCS / "architecture.md"
PATHS = ("use", "operate", "extend")


def make_verbs():
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_make_verb_in_a_document_exists():
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / ".ci/run"]
    named = {
        verb
        for d in documents
        for verb in re.findall(r"(?:^|`|exec )make ([a-z]+)", d.read_text(), re.MULTILINE)
    }
    assert named <= make_verbs()


def test_the_default_target_prints_the_verbs():
    printed = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for verb in ("setup", "demo", "test", "check", "chaos", "bench", "accept", "docs"):
        assert f"make {verb} " in printed


def test_links_between_documents_lead_somewhere():
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", document.read_text())
        if not (document.parent / target).exists()
    ]
    assert not broken


def links(text):
    """The targets of links, without their fragments."""
    return [target for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text) if target]


def steps(text):
    """The page that each line of an ordered list leads to, in order."""
    return re.findall(r"^\d+\. \[[^\]]*\]\(([^)#]+)\)", text, re.MULTILINE)


def test_every_page_stands_in_exactly_one_reading_path():
    in_paths = Counter(page for path in PATHS for page in steps((DOCS / f"{path}.md").read_text()))
    pages = {page.name for page in DOCS.glob("*.md")} - {"README.md", *(f"{path}.md" for path in PATHS)}
    pages |= {page.relative_to(DOCS).as_posix() for page in DOCS.glob("*/README.md")}
    assert dict.fromkeys(pages, 1) == in_paths


def test_the_list_of_documents_has_each_path_in_its_order():
    listed = (DOCS / "README.md").read_text()
    for path, section in zip(PATHS, listed.split("\n## ")[1:], strict=True):
        assert f"{path}.md" in links(section)
        assert steps((DOCS / f"{path}.md").read_text()) == steps(section)


def test_every_page_of_a_folder_is_named_by_the_folders_first_page():
    for first in DOCS.glob("*/README.md"):
        pages = {page.name for page in first.parent.iterdir()} - {"README.md"}
        assert not pages - set(links(first.read_text()))


def test_every_package_is_named_once_in_the_architecture():
    packages = {
        package.parent.relative_to(ROOT).as_posix()
        for top in ("optimizer", "agents")
        for package in (ROOT / top).rglob("__init__.py")
        if package.parent != ROOT / top
    }
    rows = re.findall(r"^\| `((?:optimizer|agents)/[a-z_/]+)` \|", ARCHITECTURE.read_text(), re.MULTILINE)
    assert dict.fromkeys(packages, 1) == Counter(rows)


def test_every_strategy_has_its_row():
    rows = re.findall(r"^\| `([a-z_]+)` \|", (DOCS / "strategies.md").read_text(), re.MULTILINE)
    assert set(STRATEGIES) <= set(rows)


def test_every_analyzer_has_its_row():
    rows = re.findall(r"^\| ([a-z_]+)(?: \(`\*` only\))? \|", (DOCS / "orient.md").read_text(), re.MULTILINE)
    assert {one.name for one in ANALYZERS} <= set(rows)
