"""`llmopt`: the command line.

Exit codes: 0 done, 1 the thing asked about is bad, 2 usage, 3 unreachable, 70 a worker ended itself.
"""

import sys

INTERRUPTED = 130


def main() -> None:
    """Run `llmopt`; every expected failure is one sentence and a remedy on standard error."""
    try:
        _run(next((word for word in sys.argv[1:] if not word.startswith("-")), None))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _run(verb: str | None) -> None:
    # Imported here, so that Ctrl-C while a second's worth of libraries is loading is no traceback.
    from rich.console import Console  # noqa: PLC0415
    from rich.markup import escape  # noqa: PLC0415

    from agents.cli.app import app  # noqa: PLC0415
    from agents.cli.failure import Failure, plainly  # noqa: PLC0415

    try:
        app(verb)()
    except Exception as exc:
        if "--debug" in sys.argv:
            raise
        failure = plainly(exc)
        if failure is None:
            failure = Failure(
                f"unexpected {type(exc).__name__}: {exc}",
                "run it again with `llmopt --debug …` and report the traceback",
                1,
            )
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"[red]✗[/red] {escape(failure.message)}\n  → {escape(failure.remedy)}"
        )
        sys.exit(failure.code)
