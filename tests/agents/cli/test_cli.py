"""How `llmopt` begins: which modules it loads for a verb, and Ctrl-C before any verb runs."""

import subprocess
import sys

import pytest
import typer.main

from agents import cli
from agents.cli.app import FORMER, VERBS, app
from agents.cli.failure import USAGE, Failure

HEAVY = {"faust", "sqlalchemy", "scipy", "aiohttp", "optimizer.simulation.life"}


def verbs_of(made):
    return list(typer.main.get_group(made).commands)


def test_help_lists_every_verb_of_every_module():
    listed = verbs_of(app())
    assert sorted(listed) == sorted(verb for verbs in VERBS.values() for verb in verbs)


@pytest.mark.parametrize("module", VERBS)
def test_a_verb_brings_those_of_its_own_module(module):
    for verb in VERBS[module]:
        assert sorted(verbs_of(app(verb))) == sorted(VERBS[module])


def test_a_mistyped_verb_is_compared_with_all():
    assert verbs_of(app("dmo")) == verbs_of(app())


@pytest.mark.parametrize(("former", "present"), FORMER.items())
def test_a_former_verb_is_answered_with_the_present_one(former, present):
    assert former not in verbs_of(app())
    assert present.split()[0] in verbs_of(app())
    with pytest.raises(Failure, match=f"is now called `llmopt {present}`") as refused:
        app(former)
    assert refused.value.code == USAGE


def test_a_verb_that_needs_no_worker_does_not_load_one():
    says = f"import sys; from agents.cli.app import app; app('down'); print({HEAVY} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", says], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"


def test_ctrl_c_while_libraries_load_is_no_traceback(monkeypatch, capsys):
    def interrupted(_verb):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code, capsys.readouterr()) == (130, ("", ""))
