"""What is not one target: structs in mappings, and numbers as they are written."""

from decimal import Decimal

import yaml
from msgspec import Struct

from agents.declarations.documents import Document, declared


class Leaf(Struct):
    weight: Decimal


class Tree(Struct):
    leaves: dict[str, Leaf]


def read(text, *, exact=True):
    return Document(yaml.compose(text), exact=exact).read_as(Tree)


def test_every_struct_of_a_mapping_is_looked_into():
    _, mistakes = read("leaves:\n  a: {weight: heavy}\n  b: {wait: 1}\n")
    assert [(one.line, one.path) for one in mistakes] == [
        (2, "leaves.a.weight"),
        (3, "leaves.b"),
        (3, "leaves.b.wait"),
    ]


def test_numbers_are_read_as_they_are_written():
    tree, _ = read("leaves: {a: {weight: 0.10000000000000000001}, b: {weight: 010}}")
    assert [leaf.weight for leaf in tree.leaves.values()] == [Decimal("0.10000000000000000001"), Decimal(10)]


def test_a_number_of_another_kind_is_a_mistake():
    _, mistakes = read("leaves: {a: {weight: 0x1F}}")
    assert [str(one) for one in mistakes] == [
        "1:22: leaves.a.weight: cannot be read: '0x1F' is no plain decimal number"
    ]


class Note(Struct):
    text: str


def test_a_text_declares_one_thing():
    assert declared("text: hello", Note) == (Note("hello"), ())
    for text, expected in (
        ("", "1:1: must be one document, found 0"),
        ("text: a\n---\ntext: b\n", "3:1: must be one document, found 2"),
        ("text: [", "1:8: must be YAML"),
        ("txt: a", "1:1: txt: is not a known key; did you mean 'text'?"),
    ):
        nothing, mistakes = declared(text, Note)
        assert nothing is None
        assert any(str(one).startswith(expected) for one in mistakes), [str(one) for one in mistakes]
