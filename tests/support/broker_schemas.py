"""Decodes any Kafka message by the schemas that Apache Kafka ships in its own jar: an oracle that shares nothing with us.

Every request and response of every version, also those that no Python library knows. A message becomes a dict by Kafka's
names (`{"ErrorCode": 0, "Topics": [{"Name": ...}]}`); what a version lacks is not there.
"""

from __future__ import annotations

import json
import re
import struct
import uuid
import zipfile
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from support import kafka

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

API_VERSIONS = 18
_NUMBERS = {
    "bool": ">?",
    "int8": ">b",
    "int16": ">h",
    "uint16": ">H",
    "int32": ">i",
    "uint32": ">I",
    "int64": ">q",
    "float64": ">d",
}

Kind = Literal["request", "response"]
Schema = dict[str, Any]


@cache
def _definitions() -> dict[tuple[Kind, int], str]:
    """All definitions as JSON without comments, by kind and api key."""
    (jar,) = kafka.libraries().glob("kafka-clients-*.jar")
    found: dict[tuple[Kind, int], str] = {}
    with zipfile.ZipFile(jar) as archive:
        for name in archive.namelist():
            if re.fullmatch(r"common/message/\w+(Request|Response)\.json", name):
                definition = re.sub(r"(?m)^\s*//.*$", "", archive.read(name).decode())
                schema = json.loads(definition)
                if "apiKey" in schema:
                    found[schema["type"], schema["apiKey"]] = definition
    return found


@cache
def _schemas() -> dict[tuple[Kind, int], Schema]:
    """All schemas, by kind and api key."""
    return {key: json.loads(definition) for key, definition in _definitions().items()}


def text(kind: Kind, key: int) -> str:
    """The definition of a message, as JSON."""
    return _definitions()[kind, key]


def api_name(key: int) -> str:
    """The name of an api, for example `Produce`."""
    return str(_schemas()["request", key]["name"]).removesuffix("Request")


def decode(kind: Kind, key: int, version: int, frame: bytes) -> Schema:
    """The body of a frame (without its size) as a dict.

    Raises:
        ValueError: bytes are left over.
        struct.error, IndexError: bytes are missing.
    """
    schema = _schemas()[kind, key]
    flexible = _has(schema["flexibleVersions"], version)
    reader = _Reader(frame, version, {shared["name"]: shared["fields"] for shared in schema.get("commonStructs", ())})
    if kind == "request":
        reader.take(8)
        reader.text(flexible=False)
    else:
        reader.take(4)
        if key == API_VERSIONS:  # the header stays at version 0 (KIP-511), and so does a refusal
            if version and struct.unpack_from(">h", frame, 4)[0] == 35:
                reader.version, flexible = 0, False
        elif flexible:
            reader.tags({})
    if kind == "request" and flexible:
        reader.tags({})
    body = reader.fields(schema["fields"], flexible=flexible)
    if reader.place != len(frame):
        raise ValueError(f"{schema['name']} {version} leaves {len(frame) - reader.place} bytes")
    return body


def error_codes(body: Any) -> Iterator[int]:
    """Every error code that stands anywhere in a decoded response."""
    if isinstance(body, dict):
        for name, value in body.items():
            if name.endswith("ErrorCode"):
                yield value
            else:
                yield from error_codes(value)
    elif isinstance(body, list):
        for item in body:
            yield from error_codes(item)


def _has(versions: str, version: int) -> bool:
    """Whether `3`, `2-5`, `4+` or `none` has the version."""
    if versions == "none":
        return False
    first, dash, last = versions.partition("-")
    if versions.endswith("+"):
        return version >= int(versions[:-1])
    return int(first) <= version <= int(last if dash else first)


class _Reader:
    def __init__(self, data: bytes, version: int, shared: Mapping[str, list[Schema]]) -> None:
        self.data = data
        self.version = version
        self.place = 0
        self._shared = shared

    def take(self, count: int) -> bytes:
        if count < 0 or self.place + count > len(self.data):
            raise IndexError(f"{count} bytes wanted at {self.place} of {len(self.data)}")
        self.place += count
        return self.data[self.place - count : self.place]

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def count(self, form: str, *, flexible: bool) -> int:
        """A length or an array's size; -1 is null."""
        return self.varint() - 1 if flexible else int(self.number(form))

    def text(self, *, flexible: bool) -> str | None:
        size = self.count(">h", flexible=flexible)
        return None if size < 0 else self.take(size).decode()

    def tags(self, known: Mapping[int, Schema]) -> Schema:
        """A tagged section; what the schema lacks is told by its number."""
        found: Schema = {}
        for _ in range(self.varint()):
            tag, size = self.varint(), self.varint()
            end = self.place + size
            if tag in known:
                found[known[tag]["name"]] = self.value(known[tag], known[tag]["type"], flexible=True)
            else:
                found[f"tag {tag}"] = self.take(size).hex()
            if self.place != end:
                raise ValueError(f"tagged field {tag} is {size} bytes, and {self.place - end + size} were read")
        return found

    def fields(self, fields: list[Schema], *, flexible: bool) -> Schema:
        found: Schema = {}
        tagged: dict[int, Schema] = {}
        for field in fields:
            if _has(field.get("taggedVersions", "none"), self.version):
                tagged[field["tag"]] = field
            elif _has(field["versions"], self.version):
                own = flexible and field.get("flexibleVersions") != "none"
                found[field["name"]] = self.value(field, field["type"], flexible=own)
        return found | self.tags(tagged) if flexible else found

    def value(self, field: Schema, kind: str, *, flexible: bool) -> Any:
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind])
        if kind == "uuid":
            return uuid.UUID(bytes=self.take(16))
        if kind == "string":
            return self.text(flexible=flexible)
        if kind in ("bytes", "records"):
            size = self.count(">i", flexible=flexible)
            return None if size < 0 else self.take(size)
        if kind.startswith("[]"):
            size = self.count(">i", flexible=flexible)
            return None if size < 0 else [self.value(field, kind[2:], flexible=flexible) for _ in range(size)]
        nullable = _has(field.get("nullableVersions", "none"), self.version) and not field["type"].startswith("[]")
        if nullable and self.number(">b") < 0:
            return None
        return self.fields(field.get("fields") or self._shared[kind], flexible=flexible)
