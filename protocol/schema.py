"""Kafka's own message definitions, read as values.

Kafka describes each message in a JSON file: its fields in order, and for each field the versions that have it, those
where it may be null, and those where it is a tagged field. kafka-python ships these files; ours, for messages that it
lacks, stand in `messages/schemas` in the same form. Nothing here imports kafka-python: its files are found, and read as
data.

Source: Apache Kafka, clients/src/main/resources/common/message/README.md; KIP-482 (flexible versions).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

# Bytes of each type whose size the wire never states.
FIXED_SIZES: Final = {
    "bool": 1,
    "int8": 1,
    "int16": 2,
    "uint16": 2,
    "int32": 4,
    "uint32": 4,
    "int64": 8,
    "float64": 8,
    "uuid": 16,
}
SIZED_TYPES: Final = frozenset({"string", "bytes", "records"})

_OWN: Final = Path(__file__).parent / "messages" / "schemas"
_COMMENT: Final = re.compile(r"^\s*//.*$", re.MULTILINE)
_OPEN_END: Final = 32767


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """A range of versions with both ends in it; `last` below `first` is none at all."""

    first: int
    last: int

    def __contains__(self, version: int) -> bool:
        return self.first <= version <= self.last


NO_VERSIONS: Final = Versions(first=0, last=-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a struct.

    `type` is Kafka's word without the `[]` of an array: `int32`, `string`, `records`, or the name of a struct, whose
    fields are then in `fields`. `default` is what a reader sees when the field is absent.
    """

    name: str
    type: str
    is_array: bool
    versions: Versions
    nullable: Versions
    tagged: Versions
    tag: int
    default: object
    fields: tuple[Field, ...]

    @property
    def is_struct(self) -> bool:
        """Whether the field, or each of its elements, is a struct."""
        return bool(self.fields)

    def is_tagged(self, version: int) -> bool:
        """Whether the field stands in the tagged section of its struct at this version."""
        return version in self.tagged


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A message: `flexible` versions have compact lengths and a tagged section at the end of each struct."""

    name: str
    api_key: int
    versions: Versions
    flexible: Versions
    fields: tuple[Field, ...]

    def field(self, *path: str) -> Field:
        """The field at a path of names.

        Raises:
            KeyError: no such field.
        """
        fields, found = self.fields, None
        for name in path:
            found = next((field for field in fields if field.name == name), None)
            if found is None:
                raise KeyError(f"{self.name} has no field {'.'.join(path)}")
            fields = found.fields
        if found is None:
            raise KeyError(f"{self.name}: empty path")
        return found


@cache
def load(name: str) -> Schema:
    """The schema of a message, such as `ProduceRequest`; ours go before kafka-python's.

    Raises:
        FileNotFoundError: no file describes this message.
        ValueError: the file has a type that this module does not know.
    """
    own = _OWN / f"{name}.json"
    return parse((own if own.exists() else _shipped() / f"{name}.json").read_text(encoding="utf-8"))


def parse(text: str) -> Schema:
    """Read one definition file: JSON with lines of `//` comments.

    Raises:
        ValueError: the text is not JSON, or has a type that this module does not know.
    """
    message: dict[str, Any] = json.loads(_COMMENT.sub("", text))
    structs = {struct["name"]: struct["fields"] for struct in message.get("commonStructs", ())}
    return Schema(
        name=message["name"],
        api_key=message["apiKey"],
        versions=_versions(message["validVersions"]),
        flexible=_versions(message["flexibleVersions"]),
        fields=_fields(message["fields"], structs),
    )


def _fields(fields: list[dict[str, Any]], structs: dict[str, list[dict[str, Any]]]) -> tuple[Field, ...]:
    return tuple(_field(field, structs) for field in fields)


def _field(field: dict[str, Any], structs: dict[str, list[dict[str, Any]]]) -> Field:
    kind = field["type"].removeprefix("[]")
    inner = field.get("fields") or structs.get(kind, [])
    if not inner and kind not in FIXED_SIZES and kind not in SIZED_TYPES:
        raise ValueError(f"field {field['name']} has a type that is not known: {field['type']}")
    if "flexibleVersions" in field:
        raise ValueError(f"field {field['name']} overrides flexibleVersions; only the request header does so")
    return Field(
        name=field["name"],
        type=kind,
        is_array=field["type"].startswith("[]"),
        versions=_versions(field["versions"]),
        nullable=_versions(field.get("nullableVersions", "none")),
        tagged=_versions(field.get("taggedVersions", "none")),
        tag=int(field.get("tag", -1)),
        default=_default(kind, field.get("default", "")),
        fields=_fields(inner, structs),
    )


def _default(kind: str, text: object) -> object:
    """The default as a value; in the files it is text, or for a few fields a JSON number."""
    if text == "null":
        return None
    if kind == "bool":
        return str(text).lower() == "true"
    if kind == "uuid":
        return bytes(16)
    if kind == "float64":
        return float(str(text) or 0)
    if kind in FIXED_SIZES:
        return int(str(text) or "0", 0)
    return str(text) if kind == "string" else b""


def _versions(text: str) -> Versions:
    """Read `3`, `3+`, `3-7` or `none`."""
    if text == "none":
        return NO_VERSIONS
    if text.endswith("+"):
        return Versions(first=int(text[:-1]), last=_OPEN_END)
    first, _, last = text.partition("-")
    return Versions(first=int(first), last=int(last or first))


def _shipped() -> Path:
    """The folder of kafka-python's definitions; finding a package does not run it."""
    found = find_spec("kafka")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError("kafka-python is not installed; it carries Kafka's message definitions")
    return Path(found.submodule_search_locations[0]) / "protocol" / "schemas" / "resources"
