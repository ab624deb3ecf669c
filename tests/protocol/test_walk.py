"""The walker against kafka-python's codecs: every message, every version, every field that can be marked."""

from __future__ import annotations

import uuid
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.kafka_oracle import Oracle, message_names, oracle, python_name
from wiremask.protocol.errors import MalformedMessage, UnknownApi
from wiremask.protocol.fields import Int8, Int16, Int32, Many, OptionalText, Records, Uuid
from wiremask.protocol.messages.metadata import MetadataResponse
from wiremask.protocol.messages.produce import ProduceRequest
from wiremask.protocol.program import compile_program
from wiremask.protocol.schema import Field, load, parse
from wiremask.protocol.view import Element, Message
from wiremask.protocol.walk import MAX_ELEMENTS, Elements, Row

DECODED = [
    "ApiVersionsRequest",
    "ApiVersionsResponse",
    "CreateTopicsResponse",
    "DescribeClusterResponse",
    "DescribeTopicPartitionsResponse",
    "FetchRequest",
    "FetchResponse",
    "FindCoordinatorResponse",
    "MetadataResponse",
    "ProduceRequest",
    "ProduceResponse",
    "SaslAuthenticateResponse",
    "SaslHandshakeRequest",
    "SaslHandshakeResponse",
]
KINDS = {
    "bool": Int8,
    "int8": Int8,
    "int16": Int16,
    "int32": Int32,
    "uuid": Uuid,
    "string": OptionalText,
    "bytes": Records,
    "records": Records,
}
bounded = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@cache
def view_of_everything(name: str) -> type[Message]:
    """A view that declares every field which can be."""
    return type(name, (Message,), _declared(load(name).fields))


def _declared(fields: tuple[Field, ...]) -> dict[str, Any]:
    declared: dict[str, Any] = {}
    for field in fields:
        if field.is_array and field.is_struct:
            declared[field.name] = Many(field.name, type(field.type, (Element,), _declared(field.fields)))
        elif not field.is_array and field.type in KINDS:
            declared[field.name] = KINDS[field.type](field.name)
    return declared


def seen(element: Element, values: dict[str, Any], fields: tuple[Field, ...], version: int) -> tuple[Any, Any]:
    """What the view shows, and what the values say that it should show."""
    ours: dict[str, Any] = {}
    theirs: dict[str, Any] = {}
    for field in fields:
        shown = getattr(element, field.name, None)
        key = python_name(field.name)
        if isinstance(shown, Elements):
            told = values.get(key)
            ours[key] = None if shown.is_null else len(shown)
            theirs[key] = None if told is None else len(told)
            for index, (inner, value) in enumerate(zip(shown, told or (), strict=True)):
                ours[f"{key}{index}"], theirs[f"{key}{index}"] = seen(inner, value, field.fields, version)
        elif hasattr(type(element), field.name):
            absent = field.default if field.type in ("bool", "int8", "int16", "int32") else None
            told = values.get(key, absent) if version in field.versions else absent
            if field.type == "uuid" and version in field.versions and not field.is_tagged(version):
                told = told or uuid.UUID(int=0)
            ours[key] = bytes(shown) if isinstance(shown, memoryview) else shown
            theirs[key] = told.bytes if isinstance(told, uuid.UUID) else told
    return ours, theirs


def draw_message(data: st.DataObject, known: Oracle) -> tuple[int, dict[str, Any], bytes]:
    version = data.draw(st.sampled_from(known.versions), label="version")
    values = data.draw(known.values(version), label="values")
    return version, values, known.encode(values, version)


@given(data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_reads_what_kafka_python_wrote_for_every_message_it_knows(data: st.DataObject) -> None:
    known = oracle(data.draw(st.sampled_from(message_names())), unknown_tags=True)
    version, values, body = draw_message(data, known)

    view = view_of_everything(known.name).read(body, version)

    ours, theirs = seen(view, values, load(known.name).fields, version)
    assert ours == theirs
    assert view.span == (0, len(body))


@pytest.mark.parametrize("name", DECODED)
@bounded
@given(data=st.data())
def test_refuses_every_truncation_and_every_trailing_byte(name: str, data: st.DataObject) -> None:
    known = oracle(name)
    version, _, body = draw_message(data, known)
    view = view_of_everything(name)

    wrong = [body[:size] for size in range(len(body))]
    wrong += [body + extra for extra in (b"\0", b"\1", b"\xff", b"\0\0\0\0")]

    for bad in wrong:
        with pytest.raises(MalformedMessage):
            view.read(bad, version)


@pytest.mark.parametrize("name", DECODED)
@bounded
@given(data=st.data())
def test_what_it_accepts_after_any_mutation_kafka_python_reads_the_same(name: str, data: st.DataObject) -> None:
    known = oracle(name)
    version, _, body = draw_message(data, known)
    mutated = bytearray(body or b"\0")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(mutated) - 1))
        mutated[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"\0", b"\1", b"\2", b"\x7f", b"\xff"])
        )
        mutated = mutated or bytearray(b"\0")

    try:
        view = view_of_everything(name).read(bytes(mutated), version)
    except MalformedMessage:
        return

    values = known.decode(mutated, version)
    ours, theirs = seen(view, values, load(name).fields, version)
    assert _agree(ours, theirs)


def _agree(ours: Any, theirs: Any) -> bool:
    """Java and kafka-python take any byte but 0 as true, and so does the walker, which shows the byte."""
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(_agree(ours[key], theirs[key]) for key in ours)
    return bool(ours == theirs or (theirs is True and ours != 0))


@given(body=st.binary(max_size=200), data=st.data())
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_are_read_or_refused(body: bytes, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(DECODED))
    version = data.draw(st.sampled_from(oracle(name).versions))

    try:
        view = view_of_everything(name).read(body, version)
    except MalformedMessage:
        return

    assert view.span == (0, len(body))


def produce(topics: bytes, *, flexible: bool = True) -> bytes:
    """A Produce request 9 (or 8) with these topics, count and all."""
    head = b"\0" if flexible else b"\xff\xff"
    return head + b"\xff\xff" + b"\0\0\0\0" + topics + (b"\0" if flexible else b"")


TOPIC = b"\x02t" + b"\x02" + b"\0\0\0\1" + b"\x03ab" + b"\0" + b"\0"

STRICT = {
    "null array": (9, produce(b"\0"), "null where the schema allows none"),
    "null string": (9, produce(b"\x02" + b"\0" + TOPIC[2:]), "null where the schema allows none"),
    "length -2": (8, produce(b"\0\0\0\1" + b"\xff\xfe\0\0\0\0", flexible=False), "negative length"),
    "count -2": (8, produce(b"\xff\xff\xff\xfe", flexible=False), "negative length"),
    "count of -1 where null is not allowed": (8, produce(b"\xff\xff\xff\xff", flexible=False), "null"),
    "count beyond bytes": (8, produce(b"\x7f\xff\xff\xff", flexible=False), "more elements"),
    "six byte varint": (9, produce(b"\x82\x80\x80\x80\x80\x00" + TOPIC), "varint"),
    "varint of 32 bits": (9, produce(b"\xff\xff\xff\xff\x0f"), "varint"),
    "not utf-8": (9, produce(b"\x02" + b"\x02\xff" + TOPIC[2:]), "UTF-8"),
    "surrogate": (9, produce(b"\x02" + b"\x04\xed\xa0\x80" + TOPIC[2:]), "UTF-8"),
    "overlong": (9, produce(b"\x02" + b"\x03\xc0\x80" + TOPIC[2:]), "UTF-8"),
    "string beyond 32767": (9, produce(b"\x02" + b"\x81\x80\x02" + b"a" * 32768 + TOPIC[2:]), "32767"),
    "tag twice": (9, produce(b"\x02" + TOPIC[:-1] + b"\x02\x05\0\x05\0"), "ascend"),
    "tags fall": (9, produce(b"\x02" + TOPIC[:-1] + b"\x02\x05\0\x04\0"), "ascend"),
    "tag beyond end": (9, produce(b"\x02" + TOPIC[:-1] + b"\x01\x05\x7f"), "end inside"),
    "more tags than bytes": (9, produce(b"\x02" + TOPIC[:-1] + b"\x7f\x05\0"), "more elements"),
}


@pytest.mark.parametrize(("version", "body", "reason"), STRICT.values(), ids=STRICT.keys())
def test_refuses_what_a_broker_could_read_otherwise(version: int, body: bytes, reason: str) -> None:
    with pytest.raises(MalformedMessage, match=reason):
        ProduceRequest.read(body, version)


@pytest.mark.parametrize(
    "count", [b"\x02", b"\x82\x00", b"\x82\x80\x00", b"\x82\x80\x80\x00", b"\x82\x80\x80\x80\x00"], ids=len
)
def test_takes_varints_of_up_to_five_bytes_as_java_does(count: bytes) -> None:
    request = ProduceRequest.read(produce(count + TOPIC), 9)

    assert [topic.name for topic in request.topics] == ["t"]


class Tagged(Element):
    tagged = Int32("Tagged")


@pytest.mark.parametrize(("size", "fits"), [(3, False), (4, True), (5, False)])
def test_a_known_tagged_field_fills_its_size(size: int, fits: bool) -> None:
    shape = """{"apiKey": 1, "type": "request", "name": "Made", "validVersions": "0", "flexibleVersions": "0+", "fields": [
        {"name": "Tagged", "type": "int32", "versions": "0+", "taggedVersions": "0+", "tag": 0}]}"""
    program = compile_program(parse(shape), 0, Tagged.layout)
    body = bytes([1, 0, size]) + b"\0\0\0\7" + b"\0" * (size - 4)

    if fits:
        assert program.walk(body).body == body
    else:
        with pytest.raises(MalformedMessage):
            program.walk(body)


@pytest.mark.parametrize("presence", range(256))
def test_a_nullable_struct_is_there_or_not(presence: int) -> None:
    name = "DescribeTopicPartitionsResponse"
    absent = oracle(name).encode({"throttle_time_ms": 0, "topics": [], "next_cursor": None}, 0)
    cursor = {"topic_name": "t", "partition_index": 1}
    present = oracle(name).encode({"throttle_time_ms": 0, "topics": [], "next_cursor": cursor}, 0)
    at = 5
    body = bytearray(absent if presence == 255 else present)
    body[at] = presence

    if presence in (1, 255):
        assert view_of_everything(name).read(body, 0).span == (0, len(body))
    else:
        with pytest.raises(MalformedMessage, match="presence"):
            view_of_everything(name).read(body, 0)


@given(text=st.binary(max_size=24) | st.text(max_size=12).map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(max_examples=300, deadline=None)
def test_agrees_with_python_on_what_utf8_is(text: bytes) -> None:
    body = len(text).to_bytes(2) + text
    view = view_of_everything("SaslHandshakeRequest")

    try:
        expected: str | None = text.decode()
    except UnicodeDecodeError:
        expected = None

    if expected is None:
        with pytest.raises(MalformedMessage, match="UTF-8"):
            view.read(body, 0)
    else:
        assert view.read(body, 0).Mechanism == expected  # type: ignore[attr-defined]


def test_every_pair_of_bytes_in_a_string_is_judged_as_python_does() -> None:
    view = view_of_everything("SaslHandshakeRequest")

    for first in range(256):
        for second in range(256):
            text = bytes((first, second, 0x80, 0x80))
            accepted = True
            try:
                view.read(b"\0\4" + text, 0)
            except MalformedMessage:
                accepted = False
            assert accepted == _is_utf8(text), text


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_refuses_more_elements_than_a_message_may_have() -> None:
    count = MAX_ELEMENTS + 1
    topics = count.to_bytes(4) + b"\0\0\0\0\0\0" * count

    with pytest.raises(MalformedMessage, match="more elements than a message may have"):
        ProduceRequest.read(produce(topics, flexible=False), 8)


def test_a_message_with_many_elements_is_read() -> None:
    topics = (50_000).to_bytes(4) + b"\0\1t\0\0\0\0" * 50_000

    request = ProduceRequest.read(produce(topics, flexible=False), 8)

    assert sum(topic.name == "t" and not topic.partitions for topic in request.topics) == 50_000


def test_errors_name_the_field_and_no_content() -> None:
    body = produce(b"\x02" + b"\x07secret" + b"\x02\0\0\0\1\x7fsecret")

    with pytest.raises(MalformedMessage) as refusal:
        ProduceRequest.read(body, 9)

    assert "ProduceRequest 9, TopicData.PartitionData.Records at byte" in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_records_are_views_of_the_body_and_hold_it() -> None:
    body = bytearray(produce(b"\x02" + TOPIC))

    records = ProduceRequest.read(body, 9).topics[0].partitions[0].records

    assert records is not None
    assert records.obj is body
    with pytest.raises(BufferError):
        body.append(0)


def test_an_array_counts_indexes_and_iterates() -> None:
    topics = ProduceRequest.read(produce(b"\x03" + TOPIC + TOPIC), 9).topics

    assert len(topics) == 2
    assert topics[1].name == "t"
    assert [topic.span for topic in topics] == [(8, 20), (20, 32)]
    for beyond in (-1, 2):
        with pytest.raises(IndexError):
            topics[beyond]


def test_a_field_asked_about_another_view_is_refused_and_does_not_read_astray() -> None:
    request = ProduceRequest.read(produce(b"\x01"), 9)
    far = Int32("Nothing")
    far.slot = 2**31 - 1

    with pytest.raises(IndexError):
        far.start(request)
    with pytest.raises(TypeError):
        Row()


def test_a_version_beyond_the_schema_is_unknown() -> None:
    with pytest.raises(UnknownApi, match="MetadataResponse 14"):
        MetadataResponse.read(b"", 14)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"wrong": Int32("Nothing")}, "no field Nothing"),
        ({"wrong": Int16("TimeoutMs")}, "not of the marked kind"),
        ({"wrong": Int32("TopicData")}, "not of the marked kind"),
    ],
    ids=["unknown", "other size", "array"],
)
def test_a_view_that_contradicts_its_schema_is_refused(fields: dict[str, Any], reason: str) -> None:
    view: type[Message] = type("ProduceRequest", (Message,), fields)

    with pytest.raises(ValueError, match=reason):
        view.read(b"", 9)


def test_a_view_with_fields_has_no_subclasses() -> None:
    with pytest.raises(TypeError, match="no subclasses"):
        type("Narrower", (ProduceRequest,), {})
