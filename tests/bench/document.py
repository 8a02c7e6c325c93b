"""docs/benchmarks.md: a section for each part, replaced when that part is measured again.

A whole run takes long, and parts change apart: each section says by which command, when, on which machine and
beside how much other work it was measured.
"""

import re

HEAD = """# Benchmarks

Each section was written by the command it names. Numbers of one machine on one day: the ratios travel, the absolute
values do not. Genuine Apache Kafka runs on the same machine, so broker and producers share its cores. Nothing here is
asserted by a test.
"""
_SECTION = re.compile(r"^## (\w+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def sections(text):
    """Part → what its section says."""
    return {name: body.strip() for name, body in _SECTION.findall(text)}


def section(command, on, about, lines):
    """What a part says: how it was measured, and what was found."""
    return "\n".join((f"`{command}` on {on:%Y-%m-%d}; {about}.", "", *lines)).strip()


def written(before, measured, order):
    """The document after some parts were measured; those in `order` stay, others are gone."""
    known = sections(before) | measured
    return HEAD + "".join(f"\n## {name}\n\n{known[name]}\n" for name in order if name in known)
