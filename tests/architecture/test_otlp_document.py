"""docs/otlp-attributes.md lists what is read from whom as the code's table has it."""

import os
from pathlib import Path

from optimizer.otlp.attributes import TABLE

DOCUMENT = Path(__file__).parents[2] / "docs/otlp-attributes.md"
HEAD = """# Attributes that are read, by field

Drawn from `optimizer/otlp/attributes.py` by `make accept`. Of several attributes of one field the first that is there,
and can be read, counts. What is not listed is not read; [otlp.md](otlp.md) says the rest.

| field | attribute | read as | vendor, or generation |
|---|---|---|---|
"""


def drawn():
    lines = {}
    for row in TABLE:
        line = f"| `{row.field}` | `{row.attribute}` | {row.unit} | {row.vendor} |\n"
        lines.setdefault(row.field, []).append(line)
    return HEAD + "".join(line for rows in lines.values() for line in rows)


def test_the_document_is_drawn_from_the_table():
    if "ACCEPT" in os.environ:
        DOCUMENT.write_text(drawn())
    assert DOCUMENT.read_text() == drawn()
