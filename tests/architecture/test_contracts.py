"""Catalogue, schemas and code say the same, in both directions."""

import ast
import inspect
import io
import json
import os
from itertools import pairwise
from pathlib import Path
from typing import get_args

import fastavro
import msgspec
import pytest
from msgspec import inspect as types

from agents.wire import catalogue
from agents.wire.codec import Decoder, encode, headers_for
from optimizer.model.event import BY_DATA, BY_NAME, EVENTS, name_of
from tests.support.payloads import complete

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "schemas"
ACCEPT = "ACCEPT" in os.environ
LIMITS = ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern")
BIG = {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 0}
STAGES = ("observe", "orient", "decide", "act")

event_types = pytest.mark.parametrize("name", BY_NAME)


def golden(path, expected):
    """The file as committed; `make accept` writes it first."""
    if ACCEPT:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(expected)
    return path.read_text()


class Avro:
    """The Avro schema that a struct implies: fields, types, defaults, limits and the words about them."""

    def __init__(self, data):
        self.named = {}
        self.schema = self.of(types.type_info(data), data.__name__)

    def of(self, info, name):  # noqa: PLR0911 - a table
        match info:
            case types.StructType():
                return self.record(info.cls)
            case types.LiteralType(values=values):
                return self.enum(name, list(values))
            case types.UnionType(types=members):
                order = [types.NoneType, types.BoolType, types.IntType, types.FloatType, types.StrType]
                ranked = sorted(
                    members, key=lambda m: order.index(type(m)) if type(m) in order else len(order)
                )
                return [
                    self.of(member, name) for member in ranked
                ]  # an int is a double too: the narrow one first
            case types.DictType(value_type=value):
                return {"type": "map", "values": self.of(value, name)}
            case types.ListType(item_type=item) | types.VarTupleType(item_type=item):
                return {"type": "array", "items": self.of(item, name)}
            case types.IntType():
                return ["long", BIG] if name.endswith("squares") else "long"
        return {
            types.FloatType: "double",
            types.StrType: "string",
            types.BoolType: "boolean",
            types.NoneType: "null",
        }[type(info)]

    def enum(self, field, symbols):
        if not all(symbol.isidentifier() for symbol in symbols):
            return "string"  # Avro's symbols are names; `limits` lists the values
        name = field.capitalize()
        while self.named.get(name, symbols) != symbols:
            name += "_"
        if name in self.named:
            return name
        self.named[name] = symbols
        return {"type": "enum", "name": name, "symbols": sorted(symbols)}

    def record(self, struct):
        if struct.__name__ in self.named:
            return struct.__name__
        self.named[struct.__name__] = struct
        docs = words(struct)
        return {
            "type": "record",
            "name": struct.__name__,
            "doc": inspect.getdoc(struct),
            "fields": [self.field(field, docs.get(field.name)) for field in types.type_info(struct).fields],
        }

    def field(self, field, doc):
        info = field.type
        optional = not field.required
        default = field.default_factory() if callable(field.default_factory) else field.default
        members = self.of(info, field.name)
        if isinstance(members, list):  # Avro: the default is of the first branch
            members.sort(key=lambda member: (member == "null") != (default is None))
        return (
            {"name": field.name, "type": members}
            | ({"doc": doc} if doc else {})
            | ({"default": msgspec.to_builtins(default)} if optional else {})
            | ({"limits": found} if (found := limits(info)) else {})
        )


def words(struct):
    """Field → the sentence under it."""
    body = ast.parse(inspect.getsource(struct)).body[0].body
    return {
        field.target.id: inspect.cleandoc(said.value.value)
        for field, said in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(said, ast.Expr)
        and isinstance(said.value, ast.Constant)
    }


def limits(info):
    members = info.types if isinstance(info, types.UnionType) else [info]
    literal = next((m for m in members if isinstance(m, types.LiteralType) and "" in m.values), None)
    one_of = {"one_of": sorted(literal.values)} if literal else {}
    return one_of | {n: v for m in members for n in LIMITS if (v := getattr(m, n, None)) is not None}


def payload(name):
    return {event: data for data, event in BY_DATA.items()}[BY_NAME[name]]


def avsc(name):
    schema = {"namespace": "llmopt", **Avro(payload(name)).schema}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def example(name):
    return (SCHEMAS / name / "v1.example.json").read_bytes()


class TestSchemas:
    @event_types
    def test_every_payload_has_the_schema_that_its_struct_implies(self, name):
        expected = avsc(name)
        assert golden(SCHEMAS / name / "v1.avsc", expected) == expected

    @event_types
    def test_every_schema_is_avro(self, name):
        fastavro.parse_schema(json.loads((SCHEMAS / name / "v1.avsc").read_text()))

    def test_every_schema_belongs_to_an_event_type(self):
        assert {path.parent.name for path in SCHEMAS.glob("*/v1.*")} == set(BY_NAME)

    def test_every_event_type_is_told_by_its_payload(self):
        assert len(BY_DATA) == len(BY_NAME) == len(EVENTS) == len({name_of(event) for event in EVENTS})


class TestExamples:
    @event_types
    def test_every_example_is_an_event_of_its_type(self, name):
        assert isinstance(Decoder([name]).decode(example(name)), BY_NAME[name])

    @event_types
    def test_every_example_says_nothing_that_is_lost(self, name):
        written = json.loads(example(name))
        read = json.loads(encode(Decoder([name]).decode(example(name))))
        assert set(written) <= set(read)
        assert contains(read["data"], written["data"])

    @event_types
    def test_every_example_fills_every_field_that_is_not_a_default(self, name):
        written = json.loads(example(name))["data"]
        schema = json.loads((SCHEMAS / name / "v1.avsc").read_text())
        assert {field["name"] for field in schema["fields"] if "default" not in field} <= set(written)
        assert set(written) <= {field["name"] for field in schema["fields"]}

    @event_types
    def test_every_example_agrees_with_its_schema(self, name):
        event = Decoder([name]).decode(example(name))
        schema = fastavro.schema.load_schema(SCHEMAS / name / "v1.avsc")
        whole = complete(event.data)
        assert fastavro.validate(whole, schema, strict=True)

    @event_types
    def test_every_example_comes_back_from_avro(self, name):
        event = Decoder([name]).decode(example(name))
        schema = fastavro.schema.load_schema(SCHEMAS / name / "v1.avsc")
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, schema, complete(event.data))
        attributes = {k: v for k, v in json.loads(encode(event)).items() if k != "data"}
        headers = [(f"ce_{k}", str(v).encode()) for k, v in attributes.items()]
        read = Decoder([name]).decode(stream.getvalue(), [*headers, ("content-type", b"application/avro")])
        assert read.data == event.data

    @event_types
    def test_every_example_is_written_as_we_write(self, name):
        event = Decoder([name]).decode(example(name))
        again = Decoder([name]).decode(encode(event), headers_for(event))
        assert again == event


def contains(whole, part):
    """Whether everything that `part` says stands in `whole`."""
    if isinstance(part, dict):
        return all(key in whole and contains(whole[key], value) for key, value in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(contains, whole, part))
    return whole == part


class TestCatalogue:
    def test_every_event_type_travels_on_a_topic(self):
        listed = {name for topic in catalogue.load().topics.values() for name in topic.types}
        assert listed == set(BY_NAME)

    def test_every_stage_folds_one_topic(self):
        from agents.settings.settings import load as load_settings
        from agents.worker import WIRE

        assert tuple(WIRE) == STAGES
        listed = catalogue.load()
        for stage, wire in WIRE.items():
            (source,) = (name for name, topic in listed.ours().items() if stage in topic.read_by)
            wired = wire(load_settings(), listed)
            assert (wired.source, wired.stage.name) == (source, stage)
            assert wired.reads == listed.types_on(source.partition(".")[2])

    def test_stages_follow_one_another(self):
        listed = catalogue.load()
        for stage, following in pairwise(STAGES):
            topics = {
                name for name, t in listed.topics.items() if stage in t.written_by and following in t.read_by
            }
            assert len(topics) == 1, f"{stage} → {following}"

    @pytest.mark.parametrize("stage", STAGES)
    def test_what_a_stage_emits_has_a_topic(self, stage):
        emitted = payloads_made_in(ROOT / "optimizer" / stage)
        assert emitted, "a stage that emits nothing"
        assert emitted <= {data.__name__ for data in catalogue.load().routes(stage)}

    @pytest.mark.parametrize("stage", STAGES)
    def test_what_a_stage_alone_writes_is_made_by_it(self, stage):
        alone = {
            payload(name).__name__
            for topic in catalogue.load().topics.values()
            if topic.written_by == (stage,)
            for name in topic.types
        } - {"Watermark"}  # handed on by the host
        assert alone <= payloads_made_in(ROOT / "optimizer" / stage)

    def test_every_writer_and_reader_is_a_room_or_a_module_or_the_world(self):
        named = {n for topic in catalogue.load().topics.values() for n in (*topic.written_by, *topic.read_by)}
        assert {n for n in named if not module(n)} <= {catalogue.WORLD}

    def test_every_topic_that_code_names_is_listed(self):
        named = {name for path in (ROOT / "agents").rglob("*.py") for name in topics_named_in(path)}
        assert "metrics" in named
        assert named <= set(catalogue.load().topics)

    def test_no_topic_is_named_outside_the_catalogue(self):
        names = {f'"{name}"' for name in catalogue.load().ours()}
        sources = [path for top in ("agents", "optimizer") for path in (ROOT / top).rglob("*.py")]
        assert not [path for path in sources if any(name in path.read_text() for name in names)]

    def test_the_readme_is_drawn_from_it(self):
        expected = catalogue.as_markdown(catalogue.load())
        assert golden(ROOT / "topics/README.md", expected) == expected


def module(name):
    rooms = (ROOT / "agents" / name, *(ROOT / "agents" / room / f"{name}.py" for room in ("stages", "host")))
    return any(place.exists() for place in rooms)


def payloads_made_in(folder):
    """Payload classes that the modules of a folder construct."""
    known = {data.__name__ for data in BY_DATA}
    calls = (
        n
        for path in folder.rglob("*.py")
        for n in ast.walk(ast.parse(path.read_text()))
        if isinstance(n, ast.Call)
    )
    return {call.func.id for call in calls if isinstance(call.func, ast.Name)} & known


def topics_named_in(path):
    """Short names given to the catalogue: `….name("metrics")`, `types_on("metrics")`, `put("metrics", …)`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            first = node.args[0]
            if node.func.attr in ("name", "types_on", "put") and isinstance(first, ast.Constant):
                yield first.value


def test_arms_are_spelt_the_same_in_every_schema():
    from optimizer.model.call import Arm

    spelt = [
        tuple(found["symbols"])
        for path in SCHEMAS.glob("*/v1.avsc")
        for found in enums(json.loads(path.read_text()))
        if found["name"] == "Arm"
    ]
    assert set(spelt) == {tuple(sorted(get_args(Arm)))}


def enums(schema):
    """Every enum anywhere in a schema."""
    if isinstance(schema, list):
        return [found for item in schema for found in enums(item)]
    if not isinstance(schema, dict):
        return []
    inside = [found for value in schema.values() for found in enums(value)]
    return [schema, *inside] if schema.get("type") == "enum" else inside
