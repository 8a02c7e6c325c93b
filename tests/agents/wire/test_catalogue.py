"""The catalogue: names, types, routes, and what it refuses."""

import pytest

from agents.wire.catalogue import Catalogue, CatalogueError, Topic, as_markdown, load
from optimizer.model.configuration import Configuration
from optimizer.model.decision import Decision
from optimizer.model.pane import Pane
from optimizer.model.progress import Watermark

ONE = """
[topic."llmopt.metrics"]
purpose = "p"
types = ["call"]
key = "any"
cleanup = "delete"
retention = "7d"
written_by = ["world"]
read_by = ["observe"]
"""


def topic(**fields):
    given = {
        "purpose": "p",
        "types": (),
        "key": "k",
        "cleanup": "delete",
        "retention": "7d",
        "written_by": (),
        "read_by": (),
    }
    return Topic(**(given | fields))


def test_names_take_the_prefix_and_those_of_others_do_not():
    listed = load("acme-eu")
    assert listed.name("metrics") == "acme-eu.metrics"
    assert listed.name("otlp_spans") == "otlp_spans"


def test_only_our_topics_are_ours():
    loop = ["metrics", "aggregates", "findings", "decisions", "rollouts", "configurations"]
    shorts = [*loop, "targets", "quarantine"]
    assert list(load().ours()) == [f"llmopt.{name}" for name in shorts]


def test_types_come_in_the_order_of_the_catalogue():
    assert load().types_on("decisions") == ("decision", "watermark")
    assert load().types_on("quarantine") == ()


def test_a_stage_sends_each_payload_to_one_topic():
    listed = load("x")
    assert listed.routes("observe")[Pane] == listed.routes("observe")[Watermark] == "x.aggregates"
    assert listed.routes("decide") == {Decision: "x.decisions", Watermark: "x.decisions"}
    assert listed.routes("act")[Configuration] == "x.configurations"
    assert listed.topic_of("watermark", "orient") == "x.findings"


def test_a_type_that_a_writer_sends_nowhere_or_everywhere_has_no_topic():
    with pytest.raises(CatalogueError, match="act must write call to one topic; the catalogue says no topic"):
        load().topic_of("call", "act")
    with pytest.raises(CatalogueError, match="metrics and aggregates and findings and targets"):
        load().topic_of("target.declared", "cli")


def test_an_unknown_topic_is_an_error_that_lists_the_known():
    with pytest.raises(CatalogueError, match="no topic 'metric'; there are metrics, aggregates"):
        load().name("metric")


@pytest.mark.parametrize(
    ("retention", "expected_ms"), [("7d", 604_800_000), ("1y", 31_536_000_000), ("forever", -1)]
)
def test_retention_is_told_in_milliseconds(retention, expected_ms):
    assert topic(retention=retention).retention_ms() == expected_ms


@pytest.mark.parametrize("retention", ["", "7", "d", "1.5d", "-1d", "7h"])
def test_a_retention_of_another_form_is_refused(retention):
    with pytest.raises(CatalogueError, match="retention must be"):
        topic(retention=retention).retention_ms()


def test_every_property_goes_to_the_broker():
    assert topic(cleanup="compact", retention="forever", config={"segment.ms": "5"}).properties() == {
        "cleanup.policy": "compact",
        "retention.ms": "-1",
        "max.message.bytes": "1048588",
        "segment.ms": "5",
    }


def test_every_topic_of_ours_has_a_retention():
    assert all(t.retention_ms() for t in load().ours().values())


def test_an_unknown_event_type_is_refused():
    with pytest.raises(CatalogueError, match="metrics: no event type is called calls"):
        Catalogue({"metrics": topic(types=("calls",))})


@pytest.mark.parametrize(
    ("typo", "reason"),
    [
        (("retention", "retension"), "retension"),
        (('"delete"', '"remove"'), "remove"),
        (("[topic", "[topics"), "topics"),
        (('"p"', '"p'), "line 3"),
    ],
)
def test_a_typo_in_the_file_is_named(tmp_path, typo, reason):
    file = tmp_path / "catalogue.toml"
    file.write_text(ONE)
    assert load(path=file).types_on("metrics") == ("call",)
    file.write_text(ONE.replace(*typo))
    with pytest.raises(CatalogueError, match=reason):
        load(path=file)


def test_the_document_names_every_topic_with_its_purpose():
    listed = load()
    document = as_markdown(listed)
    for short, one in listed.topics.items():
        assert f"| `{listed.name(short)}` |" in document
        assert one.purpose in document
