"""Compile a schema at one version to the small program that `walk` runs.

A view (protocol/view.py) marks the fields that it shows; all else becomes bytes to step over, and neighbours of fixed
size one step. The instructions are those of walk.pyx, where each is described.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from wiremask.protocol.schema import FIXED_SIZES, Field, Schema
from wiremask.protocol.walk import Program

if TYPE_CHECKING:
    from collections.abc import Sequence

END, SKIP, INT, UUID, STRING, BYTES, FIXED_ARRAY, ARRAY, STRUCT, TAGS = range(10)
COMPACT: Final = 1
NULLABLE: Final = 2

# Words of a slot, and what they hold when the field is absent. An integer's second word is the schema's default.
ABSENT: Final = {
    "int8": (-1, 0),
    "int16": (-1, 0),
    "int32": (-1, 0),
    "uuid": (-1,),
    "string": (-1, -1, -1),
    "bytes": (-1, -1, -1),
    "array": (-1, -1, -1, -1, -1, -1),
}
ROW_HEAD: Final = 2  # start and end of the struct itself
_UNMARKED: Final = -1

INTEGERS: Final = frozenset({"int8", "int16", "int32"})

Kind = Literal["int8", "int16", "int32", "uuid", "string", "bytes", "array"]
_KINDS: Final[dict[str, Kind]] = {
    "bool": "int8",
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "uuid": "uuid",
    "string": "string",
    "bytes": "bytes",
    "records": "bytes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A field whose place is wanted: `slot` words into the row of its struct.

    `optional` says that the view knows what to do when the field is null or absent; one that does not is refused at
    compile time for a version where that could be.
    """

    field: str
    kind: Kind
    slot: int
    optional: bool
    element: Layout | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The marked fields of a struct; the same for all versions, so that a view's slots are constants."""

    width: int
    marks: tuple[Mark, ...]


EMPTY: Final = Layout(width=0, marks=())


def compile_program(schema: Schema, version: int, layout: Layout) -> Program:
    """The program for one version of a message.

    Raises:
        ValueError: the schema lacks this version or a marked field, or the field does not suit its mark.
    """
    if version not in schema.versions:
        raise ValueError(f"{schema.name} has no version {version}")
    compiler = _Compiler(flags=COMPACT if version in schema.flexible else 0, version=version)
    start, _ = compiler.struct(schema.fields, layout, "")
    template = compiler.template(schema.fields, layout)
    flexible = version in schema.flexible
    return Program(schema.name, version, flexible, compiler.code, start, template, layout.width, compiler.names)


class _Compiler:
    """Programs of inner structs are written before those that use them, each as one run of `code`."""

    def __init__(self, *, flags: int, version: int) -> None:
        self.code: list[int] = []
        self.names: dict[int, str] = {}  # instruction -> the field that it reads, for errors
        self._flags = flags
        self._version = version

    def struct(self, fields: Sequence[Field], layout: Layout, path: str) -> tuple[int, int]:
        """Write a struct's program; gives where it starts and the least bytes that such a struct takes."""
        marks = _by_field(fields, layout, path)
        block: list[int] = []
        names: dict[int, str] = {}
        tagged: list[tuple[int, int, int]] = []
        least = 0
        skip_at = -1  # the operand of a SKIP that is still the last instruction
        for field in fields:
            if self._version not in field.versions:
                continue
            inner = f"{path}.{field.name}" if path else field.name
            mark = marks.get(field.name)
            words, size = self._instruction(field, mark, inner)
            if field.is_tagged(self._version):
                slot = mark.slot if mark is not None and mark.kind == "array" else _UNMARKED
                tagged.append((field.tag, self._write([*words, END], {0: inner}), slot))
                continue
            least += size
            if words[0] == SKIP and skip_at >= 0:
                block[skip_at] += words[1]
                continue
            names[len(block)] = inner
            block += words
            skip_at = len(block) - 1 if words[0] == SKIP else -1
        if self._flags & COMPACT:
            least += 1
            names[len(block)] = f"tagged fields of {path or 'the message'}"
            block += [TAGS, len(tagged), *(word for entry in sorted(tagged) for word in entry)]
        return self._write([*block, END], names), max(least, 1)

    def template(self, fields: Sequence[Field], layout: Layout) -> int:
        """Write the row of a struct in which every marked field is absent; gives where it stands."""
        defaults = {field.name: field.default for field in fields}
        row = [0] * layout.width
        for mark in layout.marks:
            words = list(ABSENT[mark.kind])
            if mark.kind in INTEGERS:
                default = defaults[mark.field]
                if not isinstance(default, int):
                    raise ValueError(f"{mark.field} has a default that is no integer")
                words[1] = int(default)
            row[mark.slot : mark.slot + len(words)] = words
            if not mark.optional and self._may_lack(next(field for field in fields if field.name == mark.field)):
                raise ValueError(f"{mark.field} may be null or absent at version {self._version}")
        self.code += row
        return len(self.code) - len(row)

    def _may_lack(self, field: Field) -> bool:
        version = self._version
        return version not in field.versions or version in field.nullable or field.is_tagged(version)

    def _instruction(self, field: Field, mark: Mark | None, path: str) -> tuple[list[int], int]:
        """One field's instruction, and the least bytes that the field takes."""
        slot = _UNMARKED if mark is None else mark.slot
        flags = self._flags | (NULLABLE if self._version in field.nullable else 0)
        length_size = 1 if self._flags & COMPACT else 2 if field.type == "string" and not field.is_array else 4
        kind = "array" if field.is_array and field.is_struct else _KINDS.get(field.type)
        if mark is not None and mark.kind != kind:
            raise ValueError(f"{path} is not of the marked kind {mark.kind}")
        if field.is_array:
            return self._array(field, mark, flags, path), length_size
        if field.is_struct:
            program, size = self.struct(field.fields, EMPTY, path)
            return [STRUCT, flags & NULLABLE, program], 1 if flags & NULLABLE else size
        if field.type in FIXED_SIZES:
            size = FIXED_SIZES[field.type]
            if mark is None:
                return [SKIP, size], size
            return ([UUID, slot] if mark.kind == "uuid" else [INT, size, slot]), size
        return [STRING if field.type == "string" else BYTES, flags, slot], length_size

    def _array(self, field: Field, mark: Mark | None, flags: int, path: str) -> list[int]:
        if not field.is_struct and field.type in FIXED_SIZES:
            return [FIXED_ARRAY, flags, FIXED_SIZES[field.type]]
        if not field.is_struct:
            element = self._write([STRING if field.type == "string" else BYTES, self._flags, _UNMARKED, END], {0: path})
            return [ARRAY, flags, _UNMARKED, element, 1 if self._flags & COMPACT else 2, 0, 0]
        if mark is None or mark.element is None:
            element, least = self.struct(field.fields, EMPTY, path)
            return [ARRAY, flags, _UNMARKED, element, least, 0, 0]
        element, least = self.struct(field.fields, mark.element, path)
        template = self.template(field.fields, mark.element)
        return [ARRAY, flags, mark.slot, element, least, mark.element.width, template]

    def _write(self, block: list[int], names: dict[int, str]) -> int:
        start = len(self.code)
        self.code += block
        self.names |= {start + at: name for at, name in names.items()}
        return start


def _by_field(fields: Sequence[Field], layout: Layout, path: str) -> dict[str, Mark]:
    """The marks by name; a mark that no version of the struct could meet is a mistake in the view."""
    marks = {mark.field: mark for mark in layout.marks}
    if unknown := marks.keys() - {field.name for field in fields}:
        raise ValueError(f"{path or 'the message'} has no field {', '.join(sorted(unknown))}")
    return marks
