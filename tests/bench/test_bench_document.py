"""A part that is measured again replaces its own section of the document, and nothing else."""

from datetime import date

from tests.bench.document import HEAD, section, sections, written

ORDER = ("drain", "latency", "memory")


def told(number):
    return section("make bench", date(2026, 1, number), "2 cores", [f"{number} MB", "", "| a |"])


def test_the_first_part_is_written_under_the_head():
    assert f"{HEAD}\n## latency\n\n`make bench` on 2026-01-01; 2 cores.\n\n1 MB\n\n| a |\n" == written(
        "", {"latency": told(1)}, ORDER
    )


def test_a_part_that_is_measured_again_replaces_its_section_and_leaves_the_others():
    before = written("", {"latency": told(1), "memory": told(2)}, ORDER)
    after = written(before, {"memory": told(3), "drain": told(4)}, ORDER)
    assert {"drain": told(4), "latency": told(1), "memory": told(3)} == sections(after)
    assert list(ORDER) == list(sections(after))


def test_a_section_of_no_part_is_dropped():
    before = written("", {"latency": told(1), "memory": told(2)}, ORDER)
    assert {"memory": told(2)} == sections(written(before, {}, ("memory",)))
