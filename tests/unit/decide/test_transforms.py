"""The seven transforms: they add a paragraph, keep what is to be filled in, and can be taken back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.decide.transforms import TRANSFORMS, difference, placeholders

TEXTS = st.lists(
    st.sampled_from(["Summarise", "{text}", "{{ user.name }}", "${limit}", "in", "\n\n", "{}", "…"])
).map(" ".join)


def test_there_are_seven_of_them():
    assert list(TRANSFORMS) == [
        "concise", "detailed", "chain_of_thought", "few_shot", "structured_output", "role", "step_by_step",
    ]  # fmt: skip


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
class TestEveryTransform:
    @given(text=TEXTS)
    def test_keeps_what_is_to_be_filled_in(self, transform, text):
        assert placeholders(transform.apply(text)) == placeholders(text) | transform.needs()

    @given(text=TEXTS)
    def test_done_twice_is_done_once(self, transform, text):
        assert transform.apply(transform.apply(text)) == transform.apply(text)

    @given(text=TEXTS)
    def test_can_be_taken_back(self, transform, text):
        assert transform.undo(transform.apply(text)) == text

    def test_shows_what_it_added_and_removes_nothing(self, transform):
        text = "Summarise {text}\nin three lines."
        lines = difference(text, transform.apply(text)).splitlines()[2:]
        added = [line[1:] for line in lines if line.startswith("+")]
        assert set(transform.paragraph.splitlines()) <= set(added)
        assert not [line for line in lines if line.startswith("-")]


def test_only_the_examples_are_asked_for():
    assert {name: one.needs() for name, one in TRANSFORMS.items() if one.needs()} == {
        "few_shot": {"{examples}"}
    }
