"""kafka-python's own codecs as the oracle for messages: values to bytes and back, without its classes or their patches.

Values are dicts by kafka-python's names (`topic_data`, not `TopicData`). Strategies draw them from the schema: every field of a
version, nulls where they are allowed, tagged fields now and then. With `unknown_tags`, structs also carry tagged fields that
the schema proper lacks, as a newer peer would send.
"""

from __future__ import annotations

import io
import json
import re
import string
import uuid
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kafka.protocol.schemas
from hypothesis import strategies as st
from kafka.protocol.schemas.fields import BaseField, StructField

from wiremask.protocol import schema as our_schema

if TYPE_CHECKING:
    from collections.abc import Callable

Values = dict[str, Any]

RESOURCES = Path(kafka.protocol.schemas.__file__).parent / "resources"
_OWN = Path(our_schema.__file__).parent / "messages" / "schemas"
_UNKNOWN_TAG = 99
_FIXED = {
    "bool": st.booleans(),
    "int8": st.integers(-128, 127),
    "int16": st.integers(-32768, 32767),
    "uint16": st.integers(0, 65535),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float64": st.floats(allow_nan=False),
    "uuid": st.uuids(),
}
_SAMPLES: Values = {
    "bool": True,
    "int8": 1,
    "int16": 2,
    "uint16": 3,
    "int32": 4,
    "int64": 5,
    "float64": 6.0,
    "uuid": uuid.UUID(int=7),
    "string": "eight",
    "bytes": b"nine",
    "records": b"records",
}
_TEXT = st.text(string.ascii_letters + "äß€𝄞\0", max_size=12)


def message_names() -> list[str]:
    """Every request and response that kafka-python has a schema for."""
    return sorted(path.stem for path in RESOURCES.glob("*Re*.json") if re.search("(Request|Response)$", path.stem))


class Oracle:
    """One message at all of its versions."""

    def __init__(self, name: str, *, unknown_tags: bool = False) -> None:
        own = _OWN / f"{name}.json"
        text = (own if own.exists() else RESOURCES / f"{name}.json").read_text()
        message = json.loads(re.sub(r"(?m)^\s*//.*$", "", text))
        shared = {shape["name"]: shape["fields"] for shape in message.get("commonStructs", ())}
        _prepare(message["fields"], shared, message["flexibleVersions"] if unknown_tags else "none")
        if unknown_tags:
            message["fields"].append(_unknown(message["flexibleVersions"]))
        self.name = name
        self.struct = StructField(message)
        first, last = BaseField.parse_versions(message["validVersions"])
        self.versions = range(first, last + 1)
        first, last = BaseField.parse_versions(message["flexibleVersions"])
        self._flexible = range(first, last + 1)

    def is_flexible(self, version: int) -> bool:
        """Whether the version has compact lengths and tagged fields."""
        return version in self._flexible

    def encode(self, values: Values, version: int) -> bytes:
        """A body."""
        flexible = self.is_flexible(version)
        return bytes(self.struct.encode(values, version=version, compact=flexible, tagged=flexible))

    def decode(self, body: Any, version: int) -> Values:
        """The values of a body, which must be consumed exactly."""
        data = io.BytesIO(bytes(body))
        flexible = self.is_flexible(version)
        values: Values = self.struct.decode(data, version=version, compact=flexible, tagged=flexible)
        assert data.read() == b"", "kafka-python left bytes over"
        return values

    def values(self, version: int) -> st.SearchStrategy[Values]:
        """Values of a body."""
        return _struct_values(self.struct._fields, version, tagged=self.is_flexible(version))

    def sample(self, version: int) -> Values:
        """The same values at each call: two elements in every array, no nulls, every tagged field that can be written."""
        return _struct_sample(self.struct._fields, version, tagged=self.is_flexible(version))


@cache
def oracle(name: str, *, unknown_tags: bool = False) -> Oracle:
    """The oracle for one message; schemas are read once."""
    return Oracle(name, unknown_tags=unknown_tags)


def python_name(name: str) -> str:
    """kafka-python's name of a field: `topic_data` for `TopicData`."""
    return "".join("_" + char.lower() if char.isupper() and at else char.lower() for at, char in enumerate(name))


def join(pieces: list[Any]) -> bytes:
    """What is written, in one."""
    return b"".join(bytes(piece) for piece in pieces)


def _prepare(fields: list[Values], shared: dict[str, Any], unknown: str) -> None:
    """Resolve common structs, and give every struct a tagged field that our schema lacks."""
    for field in fields:
        kind = field["type"].removeprefix("[]")
        if kind in shared and "fields" not in field:
            field["fields"] = json.loads(json.dumps(shared[kind]))
        if "fields" in field:
            _prepare(field["fields"], shared, unknown)
            if unknown != "none" and "tag" not in field:
                field["fields"].append(_unknown(unknown))


def _unknown(versions: str) -> Values:
    return {
        "name": "FromTheFuture",
        "type": "bytes",
        "versions": versions,
        "taggedVersions": versions,
        "tag": _UNKNOWN_TAG,
    }


def _struct_values(fields: Any, version: int, *, tagged: bool) -> st.SearchStrategy[Values]:
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for field in fields:
        if not field.for_version_q(version):
            continue
        if not field.tagged_field_q(version):
            required[field.name] = _field_values(field, version, tagged=tagged)
        elif tagged:
            # kafka-python neither writes a tagged field that has its default, nor tagged fields inside tagged ones.
            default = None if field.is_struct() or field.is_struct_array() else field.default
            drawn = _field_values(field, version, tagged=False)
            optional[field.name] = drawn.filter(_is_none_of((None, [], b"", default)))
    order = {name: index for index, name in enumerate([*required, *optional])}
    drawn = st.fixed_dictionaries(required, optional=optional)
    return drawn.map(lambda values: dict(sorted(values.items(), key=lambda item: order[item[0]])))


def _is_none_of(values: tuple[Any, ...]) -> Callable[[Any], bool]:
    return lambda value: value not in values


def _field_values(field: Any, version: int, *, tagged: bool) -> st.SearchStrategy[Any]:
    if field.is_struct_array():
        drawn: st.SearchStrategy[Any] = st.lists(
            _struct_values(field.array_of._fields, version, tagged=tagged), max_size=3
        )
    elif field.is_struct():
        drawn = _struct_values(field._fields, version, tagged=tagged)
    elif field.is_array():
        drawn = st.lists(_simple_values(field.array_of._type_str), max_size=3)
    else:
        drawn = _simple_values(field._type_str)
    return st.none() | drawn if field.nullable_for_version_q(version) else drawn


def _struct_sample(fields: Any, version: int, *, tagged: bool) -> Values:
    taken = [field for field in fields if field.for_version_q(version)]
    required = [field for field in taken if not field.tagged_field_q(version)]
    optional = [field for field in taken if field.tagged_field_q(version)] if tagged else []
    return {
        **{field.name: _field_sample(field, version, tagged=tagged) for field in required},
        **{field.name: _field_sample(field, version, tagged=False) for field in optional},
    }


def _field_sample(field: Any, version: int, *, tagged: bool) -> Any:
    if field.is_struct_array():
        return [_struct_sample(field.array_of._fields, version, tagged=tagged) for _ in range(2)]
    if field.is_struct():
        return _struct_sample(field._fields, version, tagged=tagged)
    if field.is_array():
        return [_SAMPLES[field.array_of._type_str]] * 2
    return _SAMPLES[field._type_str]


def _simple_values(kind: str) -> st.SearchStrategy[Any]:
    if kind == "string":
        return _TEXT
    return st.binary(max_size=40) if kind in ("bytes", "records") else _FIXED[kind]
