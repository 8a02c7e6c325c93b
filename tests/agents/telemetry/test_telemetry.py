"""Logs are one JSON object a line on standard error, with our own lines and without the libraries' chatter."""

import json
import subprocess
import sys

import pytest

SPEAK = """
import logging
from agents.telemetry import logs
logs.configure(debug={debug})
logging.getLogger("llmopt.host").info("%s starts at offset %d", "llmopt.metrics/0", 7)
for name in ("agents.host.transport", "faust.worker", "aiokafka", "mode", "asyncio"):
    logging.getLogger(name).info("chatter")
    logging.getLogger(name).warning("heed")
try:
    1 / 0
except ZeroDivisionError as exc:
    logging.getLogger("llmopt.host").critical("ending the process", exc_info=exc)
"""


@pytest.fixture(scope="module", params=[False, True], ids=["usual", "debug"])
def spoken(request):
    script = SPEAK.format(debug=request.param)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "", "standard output belongs to the answers of verbs"
    return request.param, [json.loads(line) for line in done.stderr.splitlines()]


def test_a_line_has_its_instant_level_logger_and_sentence(spoken):
    _debug, lines = spoken
    first = lines[0]
    assert (first["event"], first["level"], first["logger"]) == (
        "llmopt.metrics/0 starts at offset 7",
        "info",
        "llmopt.host",
    )
    assert first["timestamp"].endswith("Z")


def test_libraries_are_heard_from_warnings_on_and_in_full_when_debugging(spoken):
    debug, lines = spoken
    heard = [line["event"] for line in lines if line["logger"] != "llmopt.host"]
    assert heard == (["chatter", "heed"] * 5 if debug else ["heed"] * 5)


def test_a_traceback_is_part_of_its_line(spoken):
    _debug, lines = spoken
    assert lines[-1]["level"] == "critical"
    assert "ZeroDivisionError: division by zero" in lines[-1]["exception"]


def test_configuring_twice_says_nothing_twice():
    script = (
        "import logging\nfrom agents.telemetry import logs\nlogs.configure()\nlogs.configure()\n"
        "logging.getLogger('llmopt').info('once')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["once"]
