"""The rules of `findings/`: every script is pinned, stands alone, and is in the table of its README."""

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FINDINGS = ROOT / "findings"
SCRIPTS = sorted(FINDINGS.glob("*.sh"))
PINNED = {"pip": re.compile(r"[\w.-]+==[\w.]+"), "npm": re.compile(r"(?:@[\w.-]+/)?[\w.-]+@\d+\.\d+\.\d+")}


def installed(script):
    """Installer and package of each argument of `pip install` and `npm install`."""
    text = script.read_text().replace("\\\n", " ")
    for installer, arguments in re.findall(
        r"^(?:\S*/)?(pip|npm) install (.*?)(?:>\S*)?$", text, re.MULTILINE
    ):
        words = re.sub(r"--prefix \S+", "", arguments).split()
        yield from ((installer, word) for word in words if not word.startswith("-"))


def test_the_table_names_every_script_once_and_nothing_else():
    rows = re.findall(r"^\| \[([\w-]+)\]\(([\w.-]+)\)", (FINDINGS / "README.md").read_text(), re.MULTILINE)
    assert [(script.stem, script.name) for script in SCRIPTS] == rows


def test_the_folder_holds_scripts_and_their_readme_only():
    assert {"README.md"} == {path.name for path in FINDINGS.iterdir()} - {script.name for script in SCRIPTS}


@pytest.mark.parametrize("path", ["Makefile", ".ci/run"])
def test_neither_ci_nor_make_runs_them(path):
    assert "findings/" not in (ROOT / path).read_text()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
class TestFinding:
    def test_it_is_executable(self, script):
        assert os.access(script, os.X_OK)

    def test_it_says_guess_truth_date_and_source_first(self, script):
        head = script.read_text().partition("\nset -euo pipefail\n")[0]
        assert ["Guess", "So", "Seen", "Source"] == re.findall(r"^# (\w+):", head, re.MULTILINE)
        assert re.search(r"^# Seen:  20\d\d-\d\d-\d\d, ", head, re.MULTILINE), "the day on which it was seen"

    def test_every_package_has_a_version(self, script):
        packages = list(installed(script))
        assert packages, "it installs what it speaks of"
        loose = [word for installer, word in packages if not PINNED[installer].fullmatch(word)]
        assert not loose

    def test_it_speaks_to_loopback_only(self, script):
        text = script.read_text()
        addresses = re.findall(r"\w+://([\w.-]+)", text)
        assert set(addresses) <= {"127.0.0.1"}
        assert not re.search(r"--(?:extra-)?index-url|--find-links|--registry|\s-i\s", text)

    def test_it_runs_without_our_product(self, script):
        assert not re.search(
            r"llmopt|llm_auto_optimizer|(?:from|import) (?:optimizer|agents)\b", script.read_text()
        )

    def test_it_cleans_up_and_fails_with_a_sentence(self, script):
        text = script.read_text()
        assert "folder=$(mktemp -d)\ntrap 'rm -rf \"$folder\"' EXIT\n" in text
        assert "diff expected.txt seen.txt" in text
        assert re.search(rf'^    echo "{script.stem}: .*\." >&2\n    exit 1$', text, re.MULTILINE)
