"""The api table and the message definitions of our own, against those inside Kafka's own library."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import wiremask.protocol
from support.kafka import KafkaCluster, libraries
from wiremask.protocol.api import API_VERSIONS, APIS, Mode
from wiremask.protocol.schema import NO_VERSIONS, load, parse

pytestmark = pytest.mark.broker

OWN = sorted((Path(wiremask.protocol.__file__).parent / "messages" / "schemas").glob("*.json"))
NEWER = {"ApiVersionsRequest", "ApiVersionsResponse"}
"""Definitions of ours that go beyond this release."""

REMOVED = '"validVersions": "none"'


@pytest.fixture(scope="session")
def definitions(kafka: KafkaCluster) -> Iterator[zipfile.ZipFile]:
    """Kafka's definitions: `common/message/*.json` in the library of clients."""
    (clients,) = libraries().glob("kafka-clients-*.jar")
    with zipfile.ZipFile(clients) as jar:
        yield jar


@pytest.mark.parametrize("name", [path.stem for path in OWN])
def test_a_definition_of_ours_says_what_kafka_s_says(name: str, definitions: zipfile.ZipFile) -> None:
    theirs = parse(definitions.read(f"common/message/{name}.json").decode())

    ours = load(name)

    if name in NEWER:
        ours = replace(ours, versions=theirs.versions)
        known = {field.name for field in theirs.fields}
        ours = replace(ours, fields=tuple(field for field in ours.fields if field.name in known))
    assert ours == theirs


def test_the_table_has_kafka_s_apis_and_versions(definitions: zipfile.ZipFile) -> None:
    wrong = {}

    for path in definitions.namelist():
        if not re.fullmatch(r"common/message/\w+Request\.json", path):
            continue
        text = definitions.read(path).decode()
        if REMOVED in text:
            continue
        schema = parse(text)
        api = APIS[schema.api_key]
        last = schema.versions.last - ("latestVersionUnstable" in text and _is_unstable(text))
        flexible = None if schema.flexible == NO_VERSIONS or schema.flexible.first > last else schema.flexible.first
        newest = max(last, api.last) if api.key == API_VERSIONS else last
        told = (f"{api.name}Request", api.first, api.last, api.flexible_from)
        if api.last >= api.first and told != (schema.name, schema.versions.first, newest, flexible):
            wrong[api.name] = (told, (schema.name, schema.versions.first, last, flexible))

    assert wrong == {}


def test_every_api_that_brokers_serve_to_clients_is_taken_and_no_other(definitions: zipfile.ZipFile) -> None:
    texts = [definitions.read(path).decode() for path in definitions.namelist() if path.endswith("Request.json")]

    served = {parse(text).name.removesuffix("Request") for text in texts if '"broker"' in text and REMOVED not in text}

    taken = {api.name for api in APIS.values() if api.mode is not Mode.REFUSE}
    share_coordinator = {"Initialize", "Read", "Write", "Delete"}
    between_brokers = {f"{verb}ShareGroupState" for verb in share_coordinator} | {"ReadShareGroupStateSummary"}
    assert taken == served - between_brokers


def _is_unstable(text: str) -> bool:
    lines = [line for line in text.splitlines() if not line.strip().startswith("//")]
    return bool(json.loads("\n".join(lines)).get("latestVersionUnstable"))
