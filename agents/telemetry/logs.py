"""Logs: one JSON object a line where a machine reads them, coloured text where a person does."""

import logging
import sys

import structlog

QUIET = ("agents", "faust", "aiokafka", "kafka", "mode", "asyncio")
"""Libraries; `agents` is what they call our subclasses of theirs.

Their debug calls alone cost a tenth of the throughput, even when nothing is printed.
"""


def configure(*, debug: bool = False) -> None:
    """Send every log line of this process to standard error, through structlog."""
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    person = sys.stderr.isatty()
    last: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if person else structlog.processors.JSONRenderer()
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *([] if person else [structlog.processors.format_exc_info]),
            last,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.INFO if debug else logging.WARNING)
