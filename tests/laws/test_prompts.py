"""What must hold for every transform of a prompt, whoever wrote it, and for the text that it is given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.declaration.phrases import COURTESIES, OPENERS, PAIRS, PLAIN, THANKS
from optimizer.declaration.prompts import TRANSFORMS, Example, variations, varied
from optimizer.declaration.template import masked, placeholders, prose
from optimizer.model.lever import PromptVersion

FILLED_IN = (
    "{text}", "{{ user.name }}", "{{name}}", "{{{raw}}}", "${limit}", "$who", "{}", "{0:>8}", "%(name)s",
    "{% if long %}", "{% endif %}", "{%", "%}", "{{#each items}}", "{{/each}}", "{# please #}",
)  # fmt: skip
LEFT_ALONE = (
    "```\nplease utilize the the  code\n```", "```", "~~~", '"""', "`please  utilize`",
    '"please utilize it in order to"', '"',
    "'each and every'", "“Please note that”", "> please  quote", "# Please head", "    please = indented",
    '{"please": {"utilize": "in order to"}}', "<example>please utilize</example>", "<input>", "{", "}",
    "Input: please utilize\nOutput: each and every", "| please | utilize |", "https://example.test/please",
)  # fmt: skip
SAID = (
    "Answer", "answer in English.", "Answer in English.", "please", "Please", "ẞ", "kindly,", "the", "the the",
    "an end result", "Utilize",
    "UTILIZE", "in order  to", "I would like you to", "make sure to", "Note that", "each and every", "JSON",
    "Think step by step", "Answer:", "- ", "1. ", "* Cite a document each time.", "- Cite a document each time.",
    "Then answer in English.", "Thank you!", "thanks.", ".", "!", ":", ",", "e.g.", "not", "brief", "\ue000", "…", "ﬁ",
)  # fmt: skip
BETWEEN = (" ", " ", "  ", "\n", "\n\n", "\n\n\n", "   \n", "\t", "", "\n  ", "\r\n")
TEXTS = st.lists(
    st.tuples(st.sampled_from((*SAID, *SAID, *FILLED_IN, *LEFT_ALONE)), st.sampled_from(BETWEEN)), max_size=14
).map(lambda parts: "".join(word + between for word, between in parts))
EXAMPLES = st.lists(
    st.builds(
        Example,
        input=st.sampled_from(("Where is it?", "{text}", "%}", '{"a": 1}', "please\n\nutilize", "```", "$who")),
        output=st.sampled_from(("There.", '{"b": {"c": 2}}', "Output: x", "{{ name }}", "{% endif %}")),
    ),
    max_size=2,
)  # fmt: skip

every_transform = pytest.mark.parametrize("name", TRANSFORMS)
TAKE_AWAY = ("compression", "simpler_language", "less_redundancy")


@every_transform
class TestEveryTransform:
    @given(text=TEXTS, examples=EXAMPLES)
    def test_keeps_every_placeholder_in_its_order(self, name, text, examples):
        assert placeholders(varied(name, text, examples).text) == placeholders(text)

    @given(text=TEXTS, examples=EXAMPLES)
    def test_done_twice_is_done_once(self, name, text, examples):
        once = varied(name, text, examples).text
        assert varied(name, once, examples).text == once

    @given(text=TEXTS, examples=EXAMPLES)
    def test_does_the_same_every_time(self, name, text, examples):
        assert varied(name, text, examples) == varied(name, text, examples)

    @given(text=TEXTS, examples=EXAMPLES)
    def test_says_why_exactly_where_it_changed_nothing(self, name, text, examples):
        draft = varied(name, text, examples)
        assert (draft.text == text) == bool(draft.why_not)

    @given(text=TEXTS, examples=EXAMPLES)
    def test_a_text_with_windows_line_ends_keeps_them(self, name, text, examples):
        windows = text.replace("\r", "").replace("\n", "\r\n")
        after = varied(name, windows, examples).text
        assert after.count("\n") == after.count("\r\n") or windows.count("\n") == 0

    @given(text=TEXTS)
    def test_makes_a_version_that_a_declaration_takes(self, name, text):
        (one,) = variations(text, [name])
        expected = PromptVersion(name="reply", version=f"{name}-{one.hash[:8]}", hash=one.hash)
        assert expected == one.declared("reply")


@pytest.mark.parametrize("name", TAKE_AWAY)
class TestEveryTransformThatTakesAway:
    @given(text=TEXTS)
    def test_makes_the_text_shorter_or_leaves_it(self, name, text):
        draft = varied(name, text)
        assert len(draft.text) < len(text) or draft.text == text

    @given(text=TEXTS)
    def test_leaves_what_is_protected(self, name, text):
        was = [char for char, cover in zip(text, masked(text), strict=True) if char != cover]
        left = iter(varied(name, text).text)
        assert all(char in left for char in was)

    @pytest.mark.parametrize("part", LEFT_ALONE)
    def test_leaves_code_quotations_and_examples_as_they_are(self, name, part):
        text = f"Please utilize it.\n\n{part}\n\nCite a document each time. Cite a document each time."
        assert part in varied(name, text).text


class TestWhatTransformsAddRemainsAlone:
    @given(text=TEXTS, examples=EXAMPLES)
    def test_the_words_of_the_prompt_are_all_still_there(self, text, examples):
        for name in TRANSFORMS.keys() - set(TAKE_AWAY):
            left = iter(varied(name, text.replace("\r", ""), examples).text)
            assert all(char in left for char in text.replace("\r", "")), name


def test_every_phrase_is_longer_than_what_replaces_it():
    assert [] == [old for table in (PLAIN, PAIRS) for old, new in table.items() if len(new) >= len(old)]


def test_every_phrase_is_written_as_it_is_looked_up():
    phrases = (*COURTESIES, *OPENERS, *THANKS, *PLAIN, *PAIRS)
    assert [] == [one for one in phrases if one != " ".join(one.lower().split())]


@given(text=TEXTS)
def test_the_mask_is_as_long_as_the_text_and_covers_every_placeholder(text):
    cover = masked(text)
    assert (len(text), ()) == (len(cover), placeholders(cover))


@given(text=TEXTS)
def test_prose_holds_no_placeholder(text):
    assert placeholders(prose(text)) == ()
