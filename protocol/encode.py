"""Write a message, or one struct of it, from values: for the few requests and answers that the proxy makes itself.

Values are mappings by Kafka's own field names, for example `{"ThrottleTimeMs": 0, "Responses": [{"Name": "t"}]}`. A
field that is not given takes the schema's default; one that the version lacks is left out, as an ignorable field is in
Kafka.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from wiremask.protocol.schema import Field, load
from wiremask.protocol.splice import uvarint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Buffer

Values = "Mapping[str, Any]"

_FIXED: Final = {
    "bool": struct.Struct(">?"),
    "int8": struct.Struct(">b"),
    "int16": struct.Struct(">h"),
    "uint16": struct.Struct(">H"),
    "int32": struct.Struct(">i"),
    "uint32": struct.Struct(">I"),
    "int64": struct.Struct(">q"),
    "float64": struct.Struct(">d"),
}
INT16: Final = _FIXED["int16"]
INT32: Final = _FIXED["int32"]


def encode(message: str, version: int, values: Mapping[str, Any]) -> bytes:
    """The body of a message.

    Raises:
        ValueError: a name that the schema lacks, a version beyond it, or null where the version allows none.
    """
    schema = load(message)
    if version not in schema.versions:
        raise ValueError(f"{message} has no version {version}")
    return encode_struct(schema.fields, version, values, flexible=version in schema.flexible)


def encode_struct(fields: Sequence[Field], version: int, values: Mapping[str, Any], *, flexible: bool) -> bytes:
    """One struct, such as an element of an array, from its fields.

    Raises:
        ValueError: a name that the schema lacks, or null where the version allows none.
    """
    if unknown := values.keys() - {field.name for field in fields}:
        raise ValueError(f"no such field: {', '.join(sorted(unknown))}")
    out = bytearray()
    tagged: list[tuple[int, bytes]] = []
    for field in fields:
        if version not in field.versions:
            continue
        if field.is_tagged(version):
            if field.name in values:
                tagged.append((field.tag, _encode_field(field, version, values[field.name], flexible=flexible)))
            continue
        value = values.get(field.name, _default(field, version))
        out += _encode_field(field, version, value, flexible=flexible)
    if flexible:
        out += uvarint(len(tagged))
        for tag, content in sorted(tagged):
            out += uvarint(tag) + uvarint(len(content)) + content
    return bytes(out)


def encode_string(text: str | None, *, flexible: bool) -> bytes:
    """A string: its length (uvarint of one more, or int16) and its UTF-8; null is 0 or -1.

    Raises:
        ValueError: longer than the 32,767 bytes that a string of Kafka may have.
    """
    if text is None:
        return b"\0" if flexible else INT16.pack(-1)
    content = text.encode()
    if len(content) > 0x7FFF:
        raise ValueError(f"a string of {len(content)} bytes is beyond 32767")
    return (uvarint(len(content) + 1) if flexible else INT16.pack(len(content))) + content


def encode_length(size: int | None, *, flexible: bool) -> bytes:
    """The length of a bytes or records field, or the count of an array; None is null."""
    if flexible:
        return uvarint(0 if size is None else size + 1)
    return INT32.pack(-1 if size is None else size)


def encode_bytes(content: Buffer | None, *, flexible: bool) -> bytes:
    """A bytes or records field, copied."""
    if content is None:
        return encode_length(None, flexible=flexible)
    view = memoryview(content)
    return encode_length(view.nbytes, flexible=flexible) + bytes(view)


def _encode_field(field: Field, version: int, value: Any, *, flexible: bool) -> bytes:
    if value is None and version not in field.nullable:
        raise ValueError(f"{field.name} may not be null at version {version}")
    if field.is_array:
        length = encode_length(None if value is None else len(value), flexible=flexible)
        return length + b"".join(_encode_one(field, version, element, flexible=flexible) for element in value or ())
    if field.is_struct and version in field.nullable:
        return b"\xff" if value is None else b"\1" + _encode_one(field, version, value, flexible=flexible)
    return _encode_one(field, version, value, flexible=flexible)


def _encode_one(field: Field, version: int, value: Any, *, flexible: bool) -> bytes:
    if field.is_struct:
        return encode_struct(field.fields, version, value, flexible=flexible)
    if field.type == "string":
        return encode_string(value, flexible=flexible)
    if field.type == "uuid":
        if len(value) != 16:
            raise ValueError(f"{field.name} is an id of 16 bytes")
        return bytes(value)
    if field.type in _FIXED:
        return _FIXED[field.type].pack(value)
    return encode_bytes(value, flexible=flexible)


def _default(field: Field, version: int) -> Any:
    """What stands in for a value that is not given."""
    if field.default is None and version in field.nullable:
        return None
    if field.is_array:
        return ()
    if field.is_struct:
        return {}
    return "" if field.default is None else field.default
