"""Declare what of a message is shown, and read it lazily.

A view is a class whose attributes name fields of Kafka's schema:

    class ProduceTopic(Element):
        name = OptionalText("Name")
        partitions = Many("PartitionData", ProducePartition)

The declaration is all there is: it marks the fields for the walker, which checks the whole message and reports where
they stand; an attribute is made into a value only when it is read. protocol/fields.py has the kinds of field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from wiremask.protocol.errors import UnknownApi
from wiremask.protocol.program import ABSENT, ROW_HEAD, Layout, Mark, compile_program
from wiremask.protocol.schema import load
from wiremask.protocol.splice import Edits
from wiremask.protocol.walk import ArraySlot, Row, Slot, root

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from wiremask.protocol.walk import Program


class Element(Row):
    """A struct of a walked message."""

    layout: ClassVar[Layout]

    def __init_subclass__(cls) -> None:
        """Give each declared field its slot in the row, in the order of declaration."""
        if any(isinstance(field, Slot) for base in cls.__mro__[1:] for field in vars(base).values()):
            raise TypeError(f"{cls.__name__}: a view that declares fields has no subclasses")
        marks: list[Mark] = []
        width = ROW_HEAD
        for field in vars(cls).values():
            if isinstance(field, Slot):
                field.slot = width
                width += len(ABSENT[field.kind])
                marks.append(
                    Mark(
                        field=field.field,
                        kind=field.kind,
                        slot=field.slot,
                        optional=field.optional,
                        element=field.element.layout if isinstance(field, ArraySlot) else None,
                    )
                )
        cls.layout = Layout(width=width, marks=tuple(marks))


class Message(Element):
    """A whole body of a request or response, without its header; the class has the name of its schema."""

    programs: ClassVar[dict[int, Program]]

    def __init_subclass__(cls) -> None:
        """Messages are compiled version by version, when the first such body is read."""
        super().__init_subclass__()
        cls.programs = {}

    @classmethod
    def read(cls, body: Buffer, version: int) -> Self:
        """Walk a body from its first byte to its last; views of it are handed out, so it must not change.

        Raises:
            MalformedMessage: the bytes do not follow the schema.
            UnknownApi: the schema has no such version.
        """
        return root(cls, cls.program(version).walk(body))

    @classmethod
    def program(cls, version: int) -> Program:
        """What walks a body of one version.

        Raises:
            UnknownApi: the schema has no such version.
        """
        return cls.programs.get(version) or cls._compile(version)

    @classmethod
    def _compile(cls, version: int) -> Program:
        schema = load(cls.__name__)
        if version not in schema.versions:
            raise UnknownApi(f"{schema.name} {version}")
        program = cls.programs[version] = compile_program(schema, version, cls.layout)
        return program

    @property
    def version(self) -> int:
        """The version of the message."""
        return self.walked.version

    def edit(self) -> Edits:
        """A new, empty set of edits of this body."""
        return Edits(self.walked.body)
