"""ApiVersions: what the broker offers, cut down to the api table; refusals in version 0."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.kafka_oracle import join, oracle
from wiremask.protocol.api import API_VERSIONS, APIS, PRODUCE, Api, Mode
from wiremask.protocol.errors import MalformedMessage
from wiremask.protocol.features import LEVELS
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
    for feature in [*values.get("supported_features", ()), *values.get("finalized_features", ())]:
        feature["name"] = "metadata.version"  # passes at any level
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
    assert kept(offer((500, 0, 1), (-1, 0, 1), (83, 0, 0), (58, 0, 0), (3, 0, 13)), version) == [(3, 0, 13)]


@pytest.mark.parametrize("version", range(99)[::14])
def test_a_broker_that_does_not_know_the_version_answers_in_version_0(version: int) -> None:
    body = RESPONSE.encode({"error_code": 35, "api_keys": offer((18, 0, 99))}, 0)

    response = ApiVersionsResponse.read(body, version)

    edits = response.edit()
    response.keep(edits)
    assert (response.version, response.error_code) == (0, 35)
    assert join(edits.pieces()) == RESPONSE.encode({"error_code": 35, "api_keys": offer((18, 0, 5))}, 0)


def everything() -> list[tuple[int, int, int]]:
    return [(api.key, api.first, api.last) for api in APIS.values() if api.mode is not Mode.REFUSE]


def features(
    *told: tuple[str, int, int], apis: list[tuple[int, int, int]] | None = None, known: dict[int, Api] | None = None
) -> tuple[list[tuple[str, int, int]], list[tuple[str, int, int]]]:
    """What a client sees, supported and finalised, of features that a broker tells with both."""
    body = RESPONSE.encode(
        {
            "error_code": 0,
            "api_keys": offer(*(everything() if apis is None else apis)),
            "throttle_time_ms": 0,
            "supported_features": [{"name": name, "min_version": low, "max_version": high} for name, low, high in told],
            "finalized_features_epoch": 7,
            "finalized_features": [
                {"name": name, "max_version_level": high, "min_version_level": low} for name, low, high in told
            ],
            "zk_migration_ready": True,
            "from_the_future": b"kept",
        },
        4,
    )
    response = ApiVersionsResponse.read(body, 4)
    edits = response.edit()
    response.keep(edits, APIS if known is None else known)
    seen = RESPONSE.decode(join(edits.pieces()), 4)
    assert (seen["finalized_features_epoch"], seen["zk_migration_ready"]) == (7, True)
    assert seen["from_the_future"] == b"kept"
    return (
        [(one["name"], one["min_version"], one["max_version"]) for one in seen["supported_features"] or ()],
        [(one["name"], one["min_version_level"], one["max_version_level"]) for one in seen["finalized_features"] or ()],
    )


KAFKA_4_3 = [
    ("metadata.version", 7, 29),
    ("kraft.version", 0, 1),
    ("transaction.version", 0, 2),
    ("group.version", 0, 1),
    ("eligible.leader.replicas.version", 0, 1),
    ("share.version", 0, 1),
    ("streams.version", 0, 1),
]


def test_every_feature_of_kafka_4_3_is_seen_as_it_is() -> None:
    assert features(*KAFKA_4_3) == (KAFKA_4_3, KAFKA_4_3)


def test_a_feature_that_is_off_stays_off() -> None:
    off = [(name, 0, 0) for name, _, _ in KAFKA_4_3]

    assert features(*off) == (off, off)


def without(key: int, *, last: int | None = None) -> dict[int, Api]:
    """The table with an api refused, or known up to another version."""
    api = APIS[key]
    changed = replace(api, mode=Mode.REFUSE) if last is None else replace(api, last=last)
    return {**APIS, key: changed}


@pytest.mark.parametrize(("key", "last"), [(0, 11), (26, 4), (28, 4), (28, None)], ids=str)
def test_transactions_of_kip_890_go_with_the_versions_that_they_need(key: int, last: int | None) -> None:
    told = [("transaction.version", 0, 2), ("group.version", 0, 1)]

    supported, finalized = features(*told, known=without(key, last=last))

    assert supported == finalized == [("transaction.version", 0, 1), ("group.version", 0, 1)]


def test_a_level_below_the_lowest_is_not_supported_and_finalised_at_both_ends() -> None:
    supported, finalized = features(("transaction.version", 2, 2), known=without(0, last=11))

    assert supported == []
    assert finalized == [("transaction.version", 1, 1)]


@pytest.mark.parametrize(
    ("feature", "key"),
    [
        *(("group.version", key) for key in (68, 69)),
        *(("share.version", key) for key in (76, 77, 78, 79)),
        *(("streams.version", key) for key in (88, 89)),
    ],
    ids=str,
)
def test_a_kind_of_group_goes_with_any_of_its_apis(feature: str, key: int) -> None:
    others = [told for told in KAFKA_4_3 if told[0] != feature]

    assert features(*KAFKA_4_3, known=without(key)) == (others, others)


def test_what_the_broker_itself_does_not_offer_changes_nothing() -> None:
    apis = [(key, first, 11 if key == 0 else last) for key, first, last in everything() if key not in {76, 78, 88}]

    assert features(*KAFKA_4_3, apis=apis) == (KAFKA_4_3, KAFKA_4_3)


def test_features_and_levels_of_the_future_are_not_seen() -> None:
    told = [
        ("transaction.version", 0, 3),
        ("queue.version", 0, 1),
        ("metadata.version", 7, 99),
        ("share.version", 2, 2),
    ]

    supported, finalized = features(*told)

    assert supported == [("transaction.version", 0, 2), ("metadata.version", 7, 99)]
    assert finalized == [("transaction.version", 0, 2), ("metadata.version", 7, 99), ("share.version", 1, 1)]


def test_every_need_of_a_feature_is_met_by_the_table() -> None:
    needs = [need for levels in LEVELS.values() for level in levels for need in level]

    assert needs
    assert all(APIS[key].takes(version) for key, version in needs)


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
