"""Declarations as users of Kubernetes write them, opened: what is inside is a plain declaration.

    apiVersion: llmopt/v1
    kind: Target
    metadata: {name: support, labels: {team: help}}
    spec: {incumbent: …, models: …}

The name becomes `target`, the labels stay `labels`, and `spec` is the rest. Nodes keep their places in the
text, so that mistakes are told where they stand.
"""

from __future__ import annotations

import yaml

from agents.declarations.documents import UnreadableText

API_VERSION, KIND = "llmopt/v1", "Target"
KEYS = ("apiVersion", "kind", "metadata", "spec")
METADATA = {"name": "target", "labels": "labels"}
"""Key of `metadata` → key of the declaration."""

Pair = tuple[yaml.Node, yaml.Node]


def opened(node: yaml.Node) -> yaml.Node:
    """The declaration in an envelope; anything that is no envelope as it is.

    Raises:
        Unreadable: it is an envelope, but not one of ours, or it lacks a part.
    """
    if not isinstance(node, yaml.MappingNode) or not any(_name(key) in KEYS[:2] for key, _ in node.value):
        return node
    parts = _parts(node, KEYS, "the envelope")
    for key, expected in ((KEYS[0], API_VERSION), (KEYS[1], KIND)):
        if _name(parts[key][1]) != expected:
            raise UnreadableText(
                f"{key}: must be {expected}, found {_name(parts[key][1])!r}", parts[key][1].start_mark
            )
    metadata = _parts(_mapping(parts["metadata"]), tuple(METADATA), "metadata", optional=("labels",))
    spec = _mapping(parts["spec"])
    for key, _ in spec.value:
        if _name(key) in METADATA.values():
            said = next(inside for inside, outside in METADATA.items() if outside == _name(key))
            raise UnreadableText(
                f"spec.{_name(key)}: must not be given, metadata.{said} says it", key.start_mark
            )
    renamed = [(_renamed(key, METADATA[name]), value) for name, (key, value) in metadata.items()]
    return yaml.MappingNode(spec.tag, [*renamed, *spec.value], spec.start_mark, spec.end_mark)


def _parts(
    node: yaml.MappingNode, names: tuple[str, ...], where: str, optional: tuple[str, ...] = ()
) -> dict[str, Pair]:
    """Key → its nodes, for exactly the keys that there may be."""
    found: dict[str, Pair] = {}
    for key, value in node.value:
        name = _name(key)
        if name not in names:
            raise UnreadableText(
                f"{name}: is not a key of {where}, which has {', '.join(names)}", key.start_mark
            )
        if name in found:
            raise UnreadableText(f"{name}: is given twice", key.start_mark)
        found[name] = key, value
    for name in names:
        if name not in found and name not in optional:
            raise UnreadableText(f"{name}: is missing, {where} has {', '.join(names)}", node.start_mark)
    return found


def _mapping(pair: Pair) -> yaml.MappingNode:
    key, value = pair
    if not isinstance(value, yaml.MappingNode):
        raise UnreadableText(f"{_name(key)}: must be a mapping of keys to values", value.start_mark)
    return value


def _name(node: yaml.Node) -> str | None:
    return node.value if isinstance(node, yaml.ScalarNode) else None


def _renamed(key: yaml.Node, name: str) -> yaml.ScalarNode:
    return yaml.ScalarNode(key.tag, name, key.start_mark, key.end_mark)
