"""The encoder against kafka-python's: every message that is decoded, at every version, whole and from values alone."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.decoded import CASES
from support.kafka_oracle import Values, oracle, python_name
from wiremask.protocol.encode import encode
from wiremask.protocol.schema import Field, load


@pytest.mark.parametrize(("name", "version"), CASES, ids=[f"{name} {version}" for name, version in CASES])
@given(data=st.data())
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_writes_what_kafka_python_writes(name: str, version: int, data: st.DataObject) -> None:
    known = oracle(name)
    values = data.draw(known.values(version))

    written = encode(name, version, by_kafkas_names(values, load(name).fields))

    assert written == known.encode(values, version)


@pytest.mark.parametrize(
    ("values", "reason"),
    [({"Nothing": 1}, "no such field: Nothing"), ({"TopicData": None}, "TopicData may not be null")],
    ids=["unknown", "null"],
)
def test_refuses_values_that_the_schema_does_not_have(values: Values, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        encode("ProduceRequest", 9, values)


def test_refuses_a_version_that_the_schema_does_not_have() -> None:
    with pytest.raises(ValueError, match="ProduceRequest has no version 99"):
        encode("ProduceRequest", 99, {})


def by_kafkas_names(values: Values, fields: Sequence[Field]) -> Values:
    """Values as kafka-python names them, as the encoder takes them."""
    return {
        field.name: _value(values[python_name(field.name)], field)
        for field in fields
        if python_name(field.name) in values
    }


def _value(value: Any, field: Field) -> Any:
    if isinstance(value, list):
        return [_value(element, field) for element in value]
    if isinstance(value, uuid.UUID):
        return value.bytes
    return by_kafkas_names(value, field.fields) if isinstance(value, dict) else value
