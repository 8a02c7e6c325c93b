"""`llmopt prompts variants`: what it writes, what it never overwrites, and that what it prints can be declared."""

import json
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents.cli.app import app
from agents.cli.failure import Failure
from agents.declarations.targets import read
from optimizer.declaration.prompts import TRANSFORMS
from optimizer.model.variant import variants_of

ROOT = Path(__file__).parents[3]
PROMPT = """\
You help customers of {company}.

I would like you to answer in order to help. Cite a document each time.
- Cite a document each time.

Question: {question}
Answer:
"""


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "reply.txt"
    path.write_text(PROMPT)
    return path


@pytest.fixture
def out(tmp_path):
    return tmp_path / "prompts"


def run(base, out, *more):
    """Exit code and what was printed; of a failure its code and sentence."""
    done = CliRunner().invoke(app("prompts"), ["prompts", "variants", str(base), "--out", str(out), *more])
    if isinstance(done.exception, Failure):
        return done.exception.code, f"{done.output}{done.exception.message}"
    return done.exit_code, done.output


def patched(before, diff):
    """The text after a unified diff, whose every kept or removed line must be the next one of the text."""
    left, after = before.splitlines(keepends=True), []
    for line in diff.replace("\n\\ No newline at end of file\n", "").splitlines(keepends=True)[2:]:
        if line.startswith("@@"):
            start = int(re.match(r"@@ -(\d+)", line)[1]) - 1
            skip = start - (len(before.splitlines()) - len(left))
            after, left = after + left[:skip], left[skip:]
            continue
        if line[0] in " -":
            assert left.pop(0) == line[1:]
        if line[0] in " +":
            after.append(line[1:])
    return "".join(after + left)


class TestWhatIsWritten:
    def test_every_variant_has_its_text_and_its_difference(self, base, out, tmp_path):
        examples = tmp_path / "examples.jsonl"
        examples.write_text('{"input": "Where is it?", "output": "On its way."}\n\n')
        assert run(base, out, "--examples", str(examples))[0] == 0
        expected = {f"{name}.{end}" for name in TRANSFORMS for end in ("txt", "diff")} | {"declaration.yaml"}
        assert expected == {path.name for path in (out / "reply").iterdir()}

    def test_the_hash_is_that_of_the_file(self, base, out):
        _, printed = run(base, out, "--output", "json")
        for one in json.loads(printed)["variants"]:
            found = sha256((out / "reply" / one["file"]).read_bytes()).hexdigest()
            assert (found[:16], f"{one['transform']}-{found[:8]}") == (one["hash"], one["version"])

    def test_the_difference_turns_the_prompt_into_the_variant(self, base, out):
        base.write_text(PROMPT.removesuffix("\n"))
        assert run(base, out)[0] == 0
        diffs = list((out / "reply").glob("*.diff"))
        assert diffs
        for diff in diffs:
            expected = diff.with_suffix(".txt").read_text()
            assert expected == patched(base.read_text(), diff.read_text())

    def test_the_prompt_itself_stays_as_it_is(self, base, out):
        run(base, out)
        assert base.read_text() == PROMPT

    def test_what_has_nothing_to_do_writes_nothing_and_says_why(self, base, out):
        _, printed = run(base, out)
        assert "no few_shot: it needs examples of yours: give a file of them with --examples" in printed
        assert not (out / "reply" / "few_shot.txt").exists()

    def test_only_what_is_asked_for_is_written(self, base, out):
        code, _ = run(base, out, "--only", "compression", "--name", "answer.v2")
        expected = ["compression.diff", "compression.txt", "declaration.yaml"]
        assert (code, expected) == (0, sorted(path.name for path in (out / "answer.v2").iterdir()))

    def test_the_table_names_version_lengths_placeholders_and_hash(self, base, out):
        _, printed = run(base, out, "--only", "compression")
        found = sha256((out / "reply" / "compression.txt").read_bytes()).hexdigest()
        length = len((out / "reply" / "compression.txt").read_text())
        row = next(line for line in printed.splitlines() if line.strip().startswith("compression-"))
        expected = f"compression-{found[:8]} {len(PROMPT)} → {length} 2 of 2 kept {found[:16]}"
        assert expected == " ".join(row.split())

    def test_no_variant_at_all_is_bad(self, base, out):
        base.write_text("Answer {q}.")
        code, printed = run(base, out, "--only", "less_redundancy")
        assert (code, out.exists()) == (1, False)
        assert "no less_redundancy: it says nothing twice in the same words" in printed
        assert "no variant differs from it" in printed


class TestDeclaration:
    @pytest.mark.parametrize("name", ["summaries", "traffic"])
    def test_pasted_into_a_declaration_it_passes_the_check(self, base, out, tmp_path, name):
        run(base, out)
        target = tmp_path / "target.yaml"
        declared = (ROOT / "docs" / "targets" / f"{name}.yaml").read_text()
        target.write_text(declared + (out / "reply" / "declaration.yaml").read_text())
        checked = subprocess.run(
            [sys.executable, "-m", "agents.cli", "check", "-f", str(target)],
            capture_output=True, text=True, check=False, cwd=ROOT,
        )  # fmt: skip
        assert (0, "") == (checked.returncode, checked.stderr)
        assert "nothing is wrong" in checked.stdout

    def test_every_version_becomes_a_variant_beside_the_prompt_as_it_is(self, base, out):
        _, printed = run(base, out, "--output", "json")
        snippet = (out / "reply" / "declaration.yaml").read_text()
        (target,) = read(f"target: chat\nincumbent: a\nmodels: [{{name: a}}]\n{snippet}").targets
        made = json.loads(printed)["variants"]
        expected = [None, *(("reply", one["version"], one["hash"]) for one in made)]
        prompts = [one.prompt for one in variants_of(target).values()]
        assert expected == [one and (one.name, one.version, one.hash) for one in prompts]

    @pytest.mark.parametrize("name", ["no", "1e5", "null", "2024-01-01"])
    def test_a_name_that_yaml_would_read_as_something_else_stays_a_name(self, base, out, name):
        run(base, out, "--name", name)
        snippet = (out / name / "declaration.yaml").read_text()
        (target,) = read(f"target: chat\nincumbent: a\nmodels: [{{name: a}}]\n{snippet}").targets
        assert {name} == {one.name for one in target.levers.prompt}


class TestOverwriting:
    def test_the_same_again_changes_nothing(self, base, out):
        assert run(base, out) == run(base, out)

    def test_a_file_that_differs_is_kept_and_nothing_else_written(self, base, out):
        run(base, out, "--only", "compression")
        mine = out / "reply" / "compression.txt"
        mine.write_text("mine")
        code, printed = run(base, out)
        assert (code, "mine", False) == (
            1,
            mine.read_text(),
            (out / "reply" / "simpler_language.txt").exists(),
        )
        assert f"nothing was written, as what is there differs: {mine}" in printed

    def test_force_replaces_it(self, base, out):
        (out / "reply").mkdir(parents=True)
        (out / "reply" / "compression.txt").write_text("mine")
        code, _ = run(base, out, "--force")
        assert (code, True) == (0, (out / "reply" / "compression.txt").read_text().startswith("You help"))

    def test_a_variant_that_an_earlier_run_has_left_is_named(self, base, out):
        run(base, out)
        base.write_text("Answer {q}.")
        _, printed = run(base, out, "--force")
        old = out / "reply" / "compression.txt"
        assert f"could be dropped; {old} is of an earlier run and not declared" in printed


class TestMistakes:
    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (b"", "must hold a prompt, found nothing"),
            (b" \n\t\n", "must hold a prompt, found nothing"),
            (b"\xff\xfe\x00", "must be UTF-8 text"),
            (b"Answer\0", "must be text, found a NUL character"),
            (b"x" * 400_001, "must have at most 400,000 bytes, found 400,001; is this the file?"),
        ],
    )
    def test_a_file_that_is_no_prompt_is_refused(self, base, out, content, expected):
        base.write_bytes(content)
        assert (2, f"{base} {expected}") == run(base, out)

    def test_a_missing_file_and_a_folder_are_refused(self, base, out, tmp_path):
        missing = tmp_path / "none.txt"
        assert (2, f"{missing} is not there") == run(missing, out)
        assert (2, f"{tmp_path} is no file") == run(tmp_path, out)

    def test_a_folder_that_cannot_be_made_is_refused(self, base):
        code, printed = run(base, base)
        assert (code, printed) == (2, f"{base / 'reply'} cannot be written: Not a directory")

    def test_a_folder_in_the_place_of_a_file_is_refused(self, base, out):
        (out / "reply" / "compression.txt").mkdir(parents=True)
        code, printed = run(base, out)
        assert (code, printed) == (
            2,
            f"{out / 'reply' / 'compression.txt'} cannot be written: Is a directory",
        )

    @pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a b", "x" * 101])
    def test_a_name_that_is_no_file_name_is_refused(self, base, out, name):
        code, printed = run(base, out, "--name", name)
        assert (code, out.exists()) == (2, False)
        assert f"found {name!r}" in printed

    def test_an_unknown_transform_is_refused(self, base, out):
        assert (2, "--only must name a transform, found 'shorter'") == run(base, out, "--only", "shorter")

    def test_a_byte_order_mark_is_no_part_of_the_prompt(self, base, out):
        base.write_bytes(b"\xef\xbb\xbf" + PROMPT.encode())
        run(base, out)
        assert (out / "reply" / "compression.txt").read_bytes().startswith(b"You help")


class TestExamples:
    @pytest.fixture
    def file(self, tmp_path):
        return tmp_path / "examples.yaml"

    def test_yaml_and_json_lines_show_the_same(self, base, out, file, tmp_path):
        file.write_text("- input: |-\n    Where\n    is it?\n  output: On its way.\n")
        lines = tmp_path / "examples.jsonl"
        lines.write_text('{"input": "Where\\nis it?", "output": "On its way."}')
        run(base, out, "--examples", str(file), "--name", "one", "--only", "few_shot")
        run(base, out, "--examples", str(lines), "--name", "two", "--only", "few_shot")
        shot = (out / "one" / "few_shot.txt").read_text()
        assert shot == (out / "two" / "few_shot.txt").read_text()
        assert "Input: Where\nis it?\nOutput: On its way.\n\nQuestion: {question}" in shot

    @pytest.mark.parametrize(
        ("suffix", "content", "expected"),
        [
            (".yaml", "- {input: a, output: b}\n- {input: 3, output: b}", "2:11: input: must be text, found 3"),
            (".yaml", "- {inptu: a, output: b}", "1:4: inptu: is not a known key; did you mean 'input'?"),
            (".yaml", "input: a\noutput: b", "1:1: must be one list of examples"),
            (".yaml", "", "1:1: must have at least one example, found none"),
            (".yaml", "- {input: [", "1:12: must be YAML"),
            (".yaml", "- {input: a, output: b}\n" * 65, "1:1: must have at most 64 examples, found 65"),
            (".jsonl", '{"input": "a", "output": "b"}\n{"input": 3}', "2:11: input: must be text, found 3"),
            (".jsonl", '{"input": "a", "output": "b"}\n\n"a"', "3:1: must be a mapping of keys to values"),
            (".jsonl", "\n", "1:1: must have at least one example, found none"),
        ],
    )  # fmt: skip
    def test_a_mistake_is_found_where_it_is(self, base, out, file, suffix, content, expected):
        path = file.with_suffix(suffix)
        path.write_text(content)
        code, printed = run(base, out, "--examples", str(path))
        assert (code, out.exists()) == (2, False)
        assert f"{path}:{expected}" in printed


class TestTheDocument:
    """docs/prompts.md, typed as it is written."""

    @pytest.fixture
    def blocks(self):
        """Kind → the blocks of that kind, in order."""
        found = {}
        for kind, block in re.findall(
            r"```(\w+)\n(.*?)```", (ROOT / "docs" / "prompts.md").read_text(), re.DOTALL
        ):
            found.setdefault(kind, []).append(block)
        return found

    def test_prints_what_the_command_prints_and_declares_what_can_be_declared(
        self, blocks, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        Path("answer.txt").write_text(blocks["text"][0])
        Path("examples.yaml").write_text(blocks["yaml"][0])
        command, expected = blocks["console"][0].split("\n", 1)
        printed = CliRunner().invoke(app("prompts"), command.split()[2:]).output
        assert expected.splitlines() == [line.rstrip() for line in printed.splitlines()]
        (target,) = read(blocks["yaml"][1]).targets
        snippet = Path("prompts/answer/declaration.yaml").read_text()
        assert target.levers.prompt
        assert [] == [
            one.hash for one in target.levers.prompt if f'{one.version}, hash: "{one.hash}"' not in snippet
        ]

    def test_callers_find_every_text_by_its_hash(self, blocks, base, out):
        _, printed = run(base, out, "--output", "json")
        folder = f'Path("{out / "reply"}")'
        lines = [
            line
            for line in blocks["python"][0].splitlines()
            if not line.startswith(("AS_IT_IS", "assigned", "prompt"))
        ]
        names = {}
        exec("\n".join(lines).replace('Path("prompts/answer")', folder), names)  # noqa: S102 - the document's own words
        assert {one["hash"] for one in json.loads(printed)["variants"]} == names["TEXTS"].keys()
