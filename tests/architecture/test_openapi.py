"""The description of the REST API is the one that is kept, and describes what is there."""

import json

from agents.gateway.rest import http, openapi
from agents.settings.settings import load as load_settings
from tests.architecture.test_contracts import SCHEMAS, golden


def test_the_description_is_the_one_that_is_kept():
    expected = json.dumps(openapi.document(), indent=2, ensure_ascii=False) + "\n"
    assert golden(SCHEMAS / "http/ingest.json", expected) == expected


def test_every_address_is_described_and_every_described_address_is_there():
    app = http.application(load_settings(), publisher=None)
    assert {route.path for route in app.routes} - {"/openapi.json"} == set(openapi.document()["paths"])


def test_every_reference_in_the_description_leads_somewhere():
    text = json.dumps(openapi.document())
    names = set(openapi.document()["components"]["schemas"])
    assert {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]} <= names
