"""What people are told to run exists."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


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
