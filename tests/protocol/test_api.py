"""The api table against Kafka's definitions, as far as kafka-python ships them."""

from __future__ import annotations

import json
import re

import pytest

from support.kafka_oracle import RESOURCES, message_names
from wiremask.protocol.api import APIS, Mode, find
from wiremask.protocol.errors import ErrorCode, UnknownApi
from wiremask.protocol.schema import NO_VERSIONS, load

SHIPPED = [name for name in message_names() if name.endswith("Request")]


def test_has_every_key_of_kafka_4_once() -> None:
    assert list(APIS) == list(range(93))
    assert len({api.name for api in APIS.values()}) == 93


@pytest.mark.parametrize("name", SHIPPED)
def test_versions_are_those_of_the_definition(name: str) -> None:
    schema = load(name)
    shipped = json.loads(re.sub(r"(?m)^\s*//.*$", "", (RESOURCES / f"{name}.json").read_text()))
    unstable = 1 if shipped.get("latestVersionUnstable") else 0

    api = APIS[schema.api_key]

    assert api.name == name.removesuffix("Request")
    assert (api.first, api.last) == (schema.versions.first, schema.versions.last - unstable)


@pytest.mark.parametrize("name", [name for name in message_names() if not name.endswith("Header")])
def test_request_and_response_become_flexible_together_where_the_table_says(name: str) -> None:
    schema = load(name)

    api = APIS[schema.api_key]

    assert api.flexible_from == (None if schema.flexible == NO_VERSIONS else schema.flexible.first)


def test_every_message_that_is_decoded_has_its_mode() -> None:
    modes = {api.name: api.mode for api in APIS.values() if api.mode in (Mode.READ, Mode.REWRITE, Mode.GUARD)}

    assert modes == {
        "Produce": Mode.REWRITE,
        "Fetch": Mode.REWRITE,
        "Metadata": Mode.REWRITE,
        "FindCoordinator": Mode.REWRITE,
        "DescribeCluster": Mode.REWRITE,
        "ApiVersions": Mode.REWRITE,
        "ShareFetch": Mode.REWRITE,
        "ShareAcknowledge": Mode.REWRITE,
        "SaslHandshake": Mode.READ,
        "SaslAuthenticate": Mode.READ,
        "CreateTopics": Mode.READ,
        "DescribeTopicPartitions": Mode.READ,
        "DeleteTopics": Mode.GUARD,
        "DeleteRecords": Mode.GUARD,
        "AlterConfigs": Mode.GUARD,
        "IncrementalAlterConfigs": Mode.GUARD,
    }


@pytest.mark.parametrize("key", [4, 5, 6, 7, 52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82, 83, 84, 85, 86, 87])
def test_refuses_what_is_between_servers(key: int) -> None:
    for version in (APIS[key].first, APIS[key].last):
        with pytest.raises(UnknownApi, match=f"{APIS[key].name} .* is refused"):
            find(key, version)


@pytest.mark.parametrize(
    ("key", "version"),
    [(500, 0), (93, 0), (-1, 0), (0, 2), (0, 14), (1, 3), (1, 19), (3, 99), (3, -1), (22, 6)],
    ids=str,
)
def test_an_unknown_key_or_version_is_an_error_that_closes_the_connection(key: int, version: int) -> None:
    with pytest.raises(UnknownApi) as refusal:
        find(key, version)

    assert refusal.value.kafka_code is ErrorCode.NONE
    assert str(version) in str(refusal.value)


def test_finds_every_version_that_is_taken() -> None:
    taken = [(api.key, version) for api in APIS.values() for version in range(21) if api.takes(version)]

    assert all(find(key, version).key == key for key, version in taken)
    assert len(taken) == sum(api.last - api.first + 1 for api in APIS.values() if api.mode is not Mode.REFUSE)


def test_api_versions_alone_never_has_a_flexible_response_header() -> None:
    never = {
        api.name
        for api in APIS.values()
        for version in range(api.first, api.last + 1)
        if api.has_flexible_request_header(version) and not api.has_flexible_response_header(version)
    }

    assert never == {"ApiVersions"}
