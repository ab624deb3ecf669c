"""Kafka's definitions as they are read, and messages as they are written from them."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.kafka_oracle import RESOURCES, message_names, oracle
from wiremask.protocol.encode import encode
from wiremask.protocol.schema import NO_VERSIONS, Field, Schema, Versions, load, parse

ONE_FIELD = """// a comment
{"apiKey": 7, "type": "request", "name": "One", "validVersions": "0-2", "flexibleVersions": "%s",
  // another
  "fields": [%s]}"""


def one(field: str, *, flexible: str = "1+") -> Schema:
    return parse(ONE_FIELD % (flexible, field))


def named(fields: tuple[Field, ...], values: dict[str, Any], version: int) -> dict[str, Any]:
    """Values by Kafka's names instead of kafka-python's."""
    out: dict[str, Any] = {}
    for field in fields:
        key = "".join(
            "_" + char.lower() if char.isupper() and at else char.lower() for at, char in enumerate(field.name)
        )
        if key not in values:
            continue
        value = values[key]
        if field.is_struct and value is not None:
            inner = [named(field.fields, element, version) for element in (value if field.is_array else [value])]
            value = inner if field.is_array else inner[0]
        elif field.type == "uuid" and not field.is_array:
            value = value.bytes if value else bytes(16)
        elif field.type == "uuid":
            value = [element.bytes for element in value]
        out[field.name] = value
    return out


@given(data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_writes_every_message_as_kafka_python_does(data: st.DataObject) -> None:
    known = oracle(data.draw(st.sampled_from(message_names())))
    version = data.draw(st.sampled_from(known.versions))
    values = data.draw(known.values(version))

    written = encode(known.name, version, named(load(known.name).fields, values, version))

    assert written == known.encode(values, version)


@pytest.mark.parametrize("name", ["ApiVersionsRequest", "ApiVersionsResponse"])
def test_our_definitions_are_those_of_kafka_up_to_the_version_that_it_has(name: str) -> None:
    shipped = parse((RESOURCES / f"{name}.json").read_text())

    ours = load(name)

    assert ours.versions == Versions(first=0, last=shipped.versions.last + 1)
    older = tuple(field for field in ours.fields if field.versions.first <= shipped.versions.last)
    assert dataclasses.replace(ours, fields=older, versions=shipped.versions) == shipped


def test_finds_the_definitions_without_importing_kafka_python() -> None:
    code = (
        "import sys; from wiremask.protocol.messages.produce import ProduceRequest as P\n"
        "P.read(b'\\0\\0\\1\\0\\0\\0\\0\\1\\0', 9); print([m for m in sys.modules if m.split('.')[0] == 'kafka'])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [("3", [3], [2, 4]), ("3+", [3, 99], [2]), ("3-5", [3, 4, 5], [2, 6]), ("none", [], [0, 1])],
    ids=str,
)
def test_reads_ranges_of_versions(text: str, inside: list[int], outside: list[int]) -> None:
    field = one(f'{{"name": "F", "type": "int8", "versions": "{text}"}}').fields[0]

    assert all(version in field.versions for version in inside)
    assert not any(version in field.versions for version in outside)


@pytest.mark.parametrize(
    ("kind", "default", "value"),
    [
        ("int32", "", 0),
        ("int32", ', "default": "-1"', -1),
        ("int32", ', "default": -1', -1),
        ("int32", ', "default": "0x7fffffff"', 2**31 - 1),
        ("bool", ', "default": "true"', True),
        ("bool", "", False),
        ("string", ', "default": "null"', None),
        ("string", "", ""),
        ("float64", ', "default": "0.5"', 0.5),
        ("uuid", "", bytes(16)),
    ],
    ids=str,
)
def test_reads_defaults(kind: str, default: str, value: object) -> None:
    field = one(f'{{"name": "F", "type": "{kind}", "versions": "0+"{default}}}').fields[0]

    assert field.default == value


def test_common_structs_are_put_where_they_are_named() -> None:
    text = ONE_FIELD % ("none", '{"name": "F", "type": "[]Shared", "versions": "0+"}')
    shared = '"commonStructs": [{"name": "Shared", "versions": "0+", "fields": [{"name": "A", "type": "int8", "versions": "0+"}]}],'

    schema = parse(text.replace('"fields"', shared + ' "fields"', 1))

    assert schema.field("F", "A").type == "int8"
    assert schema.flexible == NO_VERSIONS


@pytest.mark.parametrize("kind", ["Unknown", "[]Unknown", "varint"])
def test_a_type_that_is_not_known_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="not known"):
        one(f'{{"name": "F", "type": "{kind}", "versions": "0+"}}')


def test_a_message_that_nobody_describes_is_not_found() -> None:
    with pytest.raises(FileNotFoundError):
        load("NoSuchRequest")
    with pytest.raises(KeyError, match=r"ProduceRequest has no field TopicData\.Nothing"):
        load("ProduceRequest").field("TopicData", "Nothing")


@pytest.mark.parametrize(
    ("version", "values", "reason"),
    [
        (9, {"Nothing": 1}, "no such field: Nothing"),
        (14, {}, "no version 14"),
        (9, {"TopicData": None}, "may not be null"),
        (9, {"TopicData": [{"Name": None}]}, "may not be null"),
        (9, {"TopicData": [{"Name": "x" * 32768}]}, "beyond 32767"),
        (13, {"TopicData": [{"TopicId": b"short"}]}, "16 bytes"),
    ],
    ids=["name", "version", "null array", "null string", "long string", "short id"],
)
def test_values_that_a_message_cannot_have_are_refused(version: int, values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        encode("ProduceRequest", version, values)
