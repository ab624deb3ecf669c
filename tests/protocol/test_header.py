"""Headers, against kafka-python's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.protocol.api_header import RequestHeader as KafkaRequestHeader
from kafka.protocol.api_header import ResponseHeader as KafkaResponseHeader

from wiremask.protocol.api import API_VERSIONS, APIS, METADATA, PRODUCE, Api
from wiremask.protocol.errors import MalformedFrame, UnknownApi
from wiremask.protocol.header import (
    make_request_header,
    make_response_header,
    read_request_header,
    read_response_header,
)

TAKEN = [(api, version) for api in APIS.values() for version in range(api.first, api.last + 1) if api.takes(version)]
ids = st.integers(-(2**31), 2**31 - 1)


def kafka_header(api: Api, version: int, *, correlation_id: int, client_id: str | None) -> bytes:
    header = KafkaRequestHeader(
        request_api_key=api.key, request_api_version=version, correlation_id=correlation_id, client_id=client_id
    )
    return bytes(header.encode(flexible=api.has_flexible_request_header(version)))


@given(taken=st.sampled_from(TAKEN), correlation_id=ids, client_id=st.none() | st.text(max_size=30), body=st.binary())
@settings(max_examples=300, deadline=None)
def test_reads_the_request_headers_that_kafka_python_writes(
    taken: tuple[Api, int], correlation_id: int, client_id: str | None, body: bytes
) -> None:
    api, version = taken
    written = kafka_header(api, version, correlation_id=correlation_id, client_id=client_id)

    header = read_request_header(written + body)

    assert (header.api, header.version, header.correlation_id) == (api, version, correlation_id)
    assert header.client_id == client_id
    assert header.body_start == len(written)
    assert header.is_taken


@given(taken=st.sampled_from(TAKEN), correlation_id=ids, body=st.binary())
@settings(max_examples=200, deadline=None)
def test_reads_the_response_headers_that_kafka_python_writes(
    taken: tuple[Api, int], correlation_id: int, body: bytes
) -> None:
    flexible = taken[0].has_flexible_response_header(taken[1])
    written = bytes(KafkaResponseHeader(correlation_id=correlation_id).encode(flexible=flexible))

    assert read_response_header(written + body, flexible=flexible) == (correlation_id, len(written))
    assert make_response_header(taken[0], taken[1], correlation_id=correlation_id) == written


@given(taken=st.sampled_from(TAKEN), correlation_id=ids, client_id=st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_writes_request_headers_as_kafka_python_does(
    taken: tuple[Api, int], correlation_id: int, client_id: str
) -> None:
    made = make_request_header(*taken, correlation_id=correlation_id, client_id=client_id)

    assert made == kafka_header(*taken, correlation_id=correlation_id, client_id=client_id)


@pytest.mark.parametrize("version", [6, 99, 32767])
def test_api_versions_of_any_later_version_has_a_readable_header(version: int) -> None:
    frame = b"\0\x12" + version.to_bytes(2) + b"\0\0\0\7" + b"\0\2me" + b"\0" + b"whatever follows"

    header = read_request_header(frame)

    assert (header.api.key, header.correlation_id, header.client_id) == (API_VERSIONS, 7, "me")
    assert header.body_start == 13
    assert not header.is_taken


@pytest.mark.parametrize(("key", "version"), [(500, 0), (PRODUCE, 2), (METADATA, 99), (83, 0), (API_VERSIONS, -1)])
def test_other_unknown_requests_are_unknown_before_anything_else_is_read(key: int, version: int) -> None:
    frame = key.to_bytes(2) + version.to_bytes(2, signed=True) + b"\0\0\0\7\x7f\xff"

    with pytest.raises(UnknownApi):
        read_request_header(frame)


def test_tagged_fields_of_a_header_are_stepped_over() -> None:
    tags = b"\2" + b"\1\2ab" + b"\x80\1\0"

    request = read_request_header(b"\0\3\0\x0c\0\0\0\7\xff\xff" + tags + b"body")
    response = read_response_header(b"\0\0\0\7" + tags + b"body", flexible=True)

    assert request.body_start == 10 + len(tags)
    assert response == (7, 4 + len(tags))


@pytest.mark.parametrize(
    "tags",
    [
        b"",
        b"\1",
        b"\1\1",
        b"\1\1\5abc",
        b"\2\1\0\1\0",
        b"\2\2\0\1\0",
        b"\x80\x80\x80\x80\x80\0",
        b"\xff\xff\xff\xff\x0f",
        b"\2\1\0\x81\x80\x80\x80\x10\0",
        b"\1\1\x80\x80\x80\x80\x10",
        b"\xe9\7" + b"".join(bytes([tag & 127 | 128, tag >> 7, 0]) for tag in range(1001)),
    ],
    ids=[
        "none",
        "no tag",
        "no size",
        "short",
        "twice",
        "falling",
        "six bytes",
        "millions",
        "a tag beyond 31 bits",
        "a size beyond 31 bits",
        "1001 of them",
    ],
)
def test_tagged_fields_that_contradict_the_bytes_are_refused(tags: bytes) -> None:
    with pytest.raises(MalformedFrame):
        read_request_header(b"\0\3\0\x0c\0\0\0\7\xff\xff" + tags)
    with pytest.raises(MalformedFrame):
        read_response_header(b"\0\0\0\7" + tags, flexible=True)


@pytest.mark.parametrize("client_id", [b"\xff\xfe", b"\x00\x05abcd", b"\x7f\xff"], ids=["-2", "short", "long"])
def test_a_client_id_that_contradicts_the_bytes_is_refused(client_id: bytes) -> None:
    with pytest.raises(MalformedFrame, match="client id"):
        read_request_header(b"\0\3\0\0\0\0\0\7" + client_id)


@pytest.mark.parametrize("size", range(10))
def test_a_frame_that_is_no_header_is_refused(size: int) -> None:
    with pytest.raises(MalformedFrame):
        read_request_header(b"\0\3\0\0\0\0\0\7\xff\xff"[:size])


@pytest.mark.parametrize("size", range(4))
def test_a_frame_that_is_no_response_is_refused(size: int) -> None:
    with pytest.raises(MalformedFrame):
        read_response_header(b"\0\0\0\7"[:size], flexible=False)


def test_a_client_id_that_is_not_utf8_is_read_as_java_does() -> None:
    header = read_request_header(b"\0\3\0\0\0\0\0\7\0\3a\xffb")

    assert header.client_id == "a\N{REPLACEMENT CHARACTER}b"
    assert header.body_start == 13


@given(frame=st.binary(max_size=40))
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_are_read_or_refused(frame: bytes) -> None:
    try:
        header = read_request_header(frame)
    except (MalformedFrame, UnknownApi):
        return

    assert 10 <= header.body_start <= len(frame)
