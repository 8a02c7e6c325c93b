"""Finds every stage, and what the laws feed it.

A stage joins the laws by having `optimizer/<stage>/stage.py`. What it is fed stands beside this file, in
`inputs_<stage>.py`:

    STAGE                 the stage
    ROW_BYTES             what a persisted row may measure at most, as JSON
    history(seed)         events of one input partition in order of offset, watermarks among them
    flood(seed)           as history, but meant to make a row grow (optional)
"""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
STAGES = sorted(path.parent.name for path in (ROOT / "optimizer").glob("*/stage.py"))


def _inputs(stage):
    path = HERE / f"inputs_{stage}.py"
    if not path.exists():
        return None
    spec = importlib.util.spec_from_file_location(f"laws_inputs_{stage}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


INPUTS = {stage: inputs for stage in STAGES if (inputs := _inputs(stage))}


def pytest_generate_tests(metafunc):
    if "inputs" in metafunc.fixturenames:
        metafunc.parametrize("inputs", INPUTS.values(), ids=INPUTS.keys())


@pytest.fixture
def stages_without_inputs():
    return set(STAGES) - set(INPUTS)
