"""Every example in a docstring of the mathematics runs and gives what it says."""

import ast
import doctest
import importlib
from pathlib import Path

import pytest

import optimizer.stats

PATHS = sorted(p for p in Path(optimizer.stats.__file__).parent.glob("*.py") if p.stem != "__init__")


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
class TestEveryMethod:
    def test_has_an_example_that_is_true(self, path):
        ran = doctest.testmod(importlib.import_module(f"optimizer.stats.{path.stem}"))
        assert (ran.failed, ran.attempted > 0) == (0, True)

    def test_states_its_formula_and_its_source(self, path):
        doc = ast.get_docstring(ast.parse(path.read_text()))
        assert "\nSource: " in doc
        assert "\n    " in doc.split("Source: ")[0], "the formula stands in an indented block"
