"""The kinds of field that a view may declare (protocol/view.py), and how another value is put in place of one.

Looked up on an element, a field is its value. Looked up on the class (`Broker.port`), it is the field itself, which
knows where it stands in an element.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, ClassVar, TypeVar

from wiremask.protocol.encode import encode_length, encode_string
from wiremask.protocol.splice import Edits, size_of
from wiremask.protocol.walk import (
    ArraySlot,
    BytesSlot,
    Elements,
    IntSlot,
    OptionalTextSlot,
    Row,
    SizedSlot,
    TextSlot,
    UuidSlot,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

E = TypeVar("E", bound=Row)


class _Int(IntSlot):
    optional = True
    packed: ClassVar[Struct]

    def put(self, edits: Edits, element: Row, value: int) -> None:
        """Write another value in its place."""
        start = self.start(element)
        edits.replace(start, start + self.packed.size, self.packed.pack(value))


class Int8(_Int):
    """An int8, or a boolean as 0 or another number; the schema's default where it is absent."""

    kind = "int8"
    packed = Struct(">b")


class Int16(_Int):
    """An int16; the schema's default where it is absent."""

    kind = "int16"
    packed = Struct(">h")


class Int32(_Int):
    """An int32; the schema's default where it is absent."""

    kind = "int32"
    packed = Struct(">i")


class Uuid(UuidSlot):
    """A uuid as its 16 bytes; None where the version has none."""

    kind = "uuid"
    optional = True


def _put_text(field: SizedSlot, edits: Edits, element: Row, text: str) -> None:
    """Write another string in the place of one that is there.

    Raises:
        ValueError: the version has no such field, or the text is beyond 32,767 bytes.
    """
    edits.replace(field.start(element), field.end(element), encode_string(text, flexible=element.walked.flexible))


class OptionalText(OptionalTextSlot):
    """A string; None where it is null, or the version has none."""

    kind = "string"
    optional = True
    put = _put_text


class Text(TextSlot):
    """A string that is there at every version and never null."""

    kind = "string"
    optional = False
    put = _put_text


class Bytes(BytesSlot):
    """A bytes field, as a view of the body; None where it is null."""

    kind = "bytes"
    optional = True


class Records(BytesSlot):
    """A records field, as a view of the body; None where it is null."""

    kind = "bytes"
    optional = True

    def put(self, edits: Edits, element: Row, *pieces: Buffer) -> None:
        """Write other records in their place; the pieces are kept, not copied, and may be none for an empty field."""
        length = encode_length(size_of(pieces), flexible=element.walked.flexible)
        edits.replace(self.start(element), self.end(element), length, *pieces)


class Many(ArraySlot[E]):
    """An array of structs; empty where it is null or the version has none."""

    kind = "array"
    optional = True


def put_count(edits: Edits, array: Elements[E], count: int) -> None:
    """Write another number of elements; the caller adds or removes as many."""
    _, start, content, _ = array.places
    edits.replace(start, content, encode_length(count, flexible=array.walked.flexible))
    put_size(edits, array)


def put_elements(edits: Edits, array: Elements[E], elements: Sequence[Buffer]) -> None:
    """Write other elements, already encoded, in the place of all."""
    _, _, content, end = array.places
    put_count(edits, array, len(elements))
    edits.replace(content, end, *elements)


def append_elements(edits: Edits, array: Elements[E], elements: Sequence[Buffer]) -> None:
    """Write more elements, already encoded, behind those that are there."""
    *_, end = array.places
    put_count(edits, array, len(array) + len(elements))
    edits.replace(end, end, *elements)


def put_size(edits: Edits, array: Elements[E]) -> None:
    """Say that edits may change the size of elements; where the array is a tagged field, the wire states it."""
    size_start, start, _, end = array.places
    if size_start >= 0:
        edits.resize(size_start, start, end)
