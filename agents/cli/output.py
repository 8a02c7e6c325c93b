"""The answers of verbs: one option `--output`, the same for every verb that has something to say."""

from enum import StrEnum
from typing import Annotated

import typer


class Output(StrEnum):
    """The two forms of an answer."""

    TEXT = "text"
    JSON = "json"


Answer = Annotated[Output, typer.Option(help="Text for people, one JSON object for programs.")]
"""The type of every `--output`; `simulate` knows markdown besides, for the table of promises."""
