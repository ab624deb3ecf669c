"""ApiVersions: what the broker offers, cut down to the api table; refusals in version 0."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.kafka_oracle import join, oracle

from wiremask.protocol.api import API_VERSIONS, APIS, PRODUCE, Mode
from wiremask.protocol.errors import MalformedMessage
from wiremask.protocol.messages.api_versions import (
    ApiVersionsRequest,
    ApiVersionsResponse,
    make_unsupported_version,
)

REQUEST = oracle("ApiVersionsRequest", unknown_tags=True)
RESPONSE = oracle("ApiVersionsResponse", unknown_tags=True)
bounded = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def offer(*ranges: tuple[int, int, int]) -> list[dict[str, Any]]:
    return [{"api_key": key, "min_version": first, "max_version": last} for key, first, last in ranges]


def kept(ranges: list[dict[str, Any]], version: int) -> list[tuple[int, int, int]]:
    body = RESPONSE.encode({"error_code": 0, "api_keys": ranges, "throttle_time_ms": 0}, version)
    response = ApiVersionsResponse.read(body, version)
    edits = response.edit()
    response.keep(edits)
    told = RESPONSE.decode(join(edits.pieces()), version)["api_keys"]
    return [(api["api_key"], api["min_version"], api["max_version"]) for api in told]


@given(version=st.sampled_from(RESPONSE.versions), data=st.data())
@bounded
def test_offers_what_broker_and_table_both_know(version: int, data: st.DataObject) -> None:
    values = data.draw(RESPONSE.values(version))
    values["error_code"] = 0
    drawn = data.draw(st.lists(st.tuples(st.integers(-1, 100), st.integers(0, 4), st.integers(0, 25)), max_size=20))
    tags = [{"from_the_future": b"tag"}, {}]
    values["api_keys"] = [
        {**api, **(data.draw(st.sampled_from(tags)) if version >= 3 else {})} for api in offer(*drawn)
    ]
    response = ApiVersionsResponse.read(RESPONSE.encode(values, version), version)
    edits = response.edit()

    response.keep(edits)

    expected = copy.deepcopy(values)
    expected["api_keys"] = []
    for api in values["api_keys"]:
        known = APIS.get(api["api_key"])
        both = (
            range(max(known.first, api["min_version"]), min(known.last, api["max_version"]) + 1) if known else range(0)
        )
        if known and known.mode is not Mode.REFUSE and both:
            first = api["min_version"] if known.key == PRODUCE else both[0]
            expected["api_keys"].append({**api, "min_version": first, "max_version": both[-1]})
    assert join(edits.pieces()) == RESPONSE.encode(expected, version)


@pytest.mark.parametrize("version", RESPONSE.versions)
def test_produce_keeps_the_minimum_that_old_librdkafka_probes_for(version: int) -> None:
    assert kept(offer((0, 0, 13)), version) == [(0, 0, 13)]
    assert kept(offer((0, 0, 99)), version) == [(0, 0, 13)]
    assert kept(offer((0, 0, 2)), version) == []


@pytest.mark.parametrize("version", RESPONSE.versions)
def test_leaves_out_keys_that_are_unknown_or_refused(version: int) -> None:
    assert kept(offer((500, 0, 1), (-1, 0, 1), (78, 1, 2), (79, 1, 2), (58, 0, 0), (3, 0, 13)), version) == [(3, 0, 13)]


@pytest.mark.parametrize("version", range(99)[::14])
def test_a_broker_that_does_not_know_the_version_answers_in_version_0(version: int) -> None:
    body = RESPONSE.encode({"error_code": 35, "api_keys": offer((18, 0, 99))}, 0)

    response = ApiVersionsResponse.read(body, version)

    edits = response.edit()
    response.keep(edits)
    assert (response.version, response.error_code) == (0, 35)
    assert join(edits.pieces()) == RESPONSE.encode({"error_code": 35, "api_keys": offer((18, 0, 5))}, 0)


@pytest.mark.parametrize("layout", [0, 3, 4, 5])
def test_other_errors_are_read_in_the_version_asked_for_or_in_version_0(layout: int) -> None:
    asked = layout or 5
    body = RESPONSE.encode({"error_code": 42, "api_keys": [], "throttle_time_ms": 0}, layout)

    response = ApiVersionsResponse.read(body, asked)

    assert (response.error_code, response.version) == (42, layout)


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\0", b"\0\x2a\0", b"\0\x23\0\0"], ids=len)
def test_a_body_of_neither_layout_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        ApiVersionsResponse.read(body, 4)


def test_refuses_a_newer_client_as_a_broker_does() -> None:
    told = RESPONSE.decode(make_unsupported_version(), 0)

    assert told == {"error_code": 35, "api_keys": offer((API_VERSIONS, 0, 5))}


@given(version=st.sampled_from(REQUEST.versions), data=st.data())
@bounded
def test_reads_who_the_client_is_and_whom_it_wants(version: int, data: st.DataObject) -> None:
    values = data.draw(REQUEST.values(version))

    request = ApiVersionsRequest.read(REQUEST.encode(values, version), version)

    assert request.software_name == values.get("client_software_name")
    assert request.software_version == values.get("client_software_version")
    assert request.cluster_id == values.get("cluster_id")
    assert request.node_id == values.get("node_id", -1)
