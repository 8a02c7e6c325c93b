"""The table of coverage adds files up by folder, and begins where nobody has looked."""

from tests.covered import rooms, table


def file(lines, statements, branches, ways):
    return {
        "covered_lines": lines, "num_statements": statements,
        "covered_branches": branches, "num_branches": ways,
    }  # fmt: skip


REPORT = {
    "files": {
        "core/act/moves.py": {"summary": file(8, 10, 1, 2)},
        "core/act/stage.py": {"summary": file(0, 6, 0, 2)},
        "core/plain.py": {"summary": file(4, 4, 0, 0)},
    },
    "totals": file(12, 20, 1, 4),
}


def test_files_of_a_folder_are_added_up_and_the_least_covered_comes_first():
    assert [(45.0, 25.0, 16, "core/act"), (100.0, 100.0, 4, "core")] == rooms(REPORT)


def test_the_total_stands_last():
    assert "   54.2 %    25.0 %          20  total" == table(REPORT).splitlines()[-1]
