"""Every field that a view shows, written again from its value: nothing of the old bytes of a field is passed on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wiremask.protocol.encode import encode_bytes, encode_length, encode_string
from wiremask.protocol.fields import put_size
from wiremask.protocol.walk import ArraySlot, BytesSlot, Elements, IntSlot, OptionalTextSlot, Row, Slot, UuidSlot

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wiremask.protocol.splice import Edits

GROWTH = "x" * 200
"""Enough for lengths, and sizes of tagged fields, to take a byte more."""

Shown = list[Any]
"""The values of a message's fields in the order of the views, without those that the message lacks."""


def read_all(element: Row) -> Shown:
    """The values of all fields, those of elements included; of an array its size, or None."""
    return [value for field, holder in _fields(element) for value in [_value(field, holder)]]


def grown(values: Shown) -> Shown:
    """The same with every text and all bytes longer."""
    return [
        value + GROWTH if isinstance(value, str) else value + GROWTH.encode() if is_bytes(value) else value
        for value in values
    ]


def is_bytes(value: Any) -> bool:
    """Whether it is the content of a bytes field; an id has 16 bytes, always."""
    return isinstance(value, bytes) and not isinstance(value, Id)


class Id(bytes):
    """The 16 bytes of a uuid."""

    __slots__ = ()


def put_all(edits: Edits, element: Row, values: Sequence[Any]) -> None:
    """Writes these values, as `read_all` gave them, in the places of all fields."""
    for (field, holder), value in zip(_fields(element), values, strict=True):
        start, end, content = _written(field, holder, value)
        edits.replace(start, end, content)
        if isinstance(field, ArraySlot):
            put_size(edits, _array(field, holder))


def _fields(element: Row) -> Iterator[tuple[Any, Row]]:
    for field in vars(type(element)).values():
        if not isinstance(field, Slot) or not _is_there(field, element):
            continue
        yield field, element
        if isinstance(field, ArraySlot):
            for inner in field.__get__(element, type(element)):
                yield from _fields(inner)


def _is_there(field: Slot, element: Row) -> bool:
    try:
        field.start(element)
        if isinstance(field, ArraySlot):
            _array(field, element).places  # noqa: B018 - it raises where the array is absent
    except ValueError:
        return False
    return True


def _array(field: ArraySlot[Any], element: Row) -> Elements[Any]:
    return field.__get__(element, type(element))


def _value(field: Any, element: Row) -> Any:
    if isinstance(field, ArraySlot):
        elements = _array(field, element)
        return None if elements.is_null else len(elements)
    value = field.__get__(element, type(element))
    if isinstance(field, UuidSlot):
        return Id(value)
    return bytes(value) if isinstance(value, memoryview) else value


def _written(field: Any, element: Row, value: Any) -> tuple[int, int, bytes]:
    flexible = element.walked.flexible
    start = field.start(element)
    match field:
        case IntSlot():
            packed = field.packed.pack(value)  # type: ignore[attr-defined]
            return start, start + len(packed), packed
        case UuidSlot():
            return start, start + 16, value
        case OptionalTextSlot():
            return start, field.end(element), encode_string(value, flexible=flexible)
        case BytesSlot():
            return start, field.end(element), encode_bytes(value, flexible=flexible)
    _, count, content, _ = _array(field, element).places
    return count, content, encode_length(value, flexible=flexible)
