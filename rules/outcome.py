"""What masking the values of a batch comes to, the same for every format."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from enum import StrEnum

UNCHANGED = -1
REFUSED = -2
LEFT_OUT = -3
"""The start of the span of a header that goes, name and all."""


class MaskedTooLarge(ValueError):
    """The masked values of one batch outgrew the limit for output."""


class Reason(StrEnum):
    """Which failure policy decides about a value."""

    UNREADABLE = "unreadable"
    UNMASKABLE = "unmaskable"
    MISSING = "missing"


class Detail(StrEnum):
    """Why a value was refused, in words that say nothing of its content."""

    EMPTY = "no bytes"
    BYTE_ORDER_MARK = "byte order mark"
    UNEXPECTED_END = "unexpected end"
    UNEXPECTED_BYTE = "unexpected byte"
    TRAILING_BYTES = "bytes after the value"
    BAD_NUMBER = "malformed number"
    BAD_ESCAPE = "malformed escape"
    LONE_SURROGATE = "half a surrogate pair"
    CONTROL_CHARACTER = "control character in a string"
    BAD_UTF8 = "invalid UTF-8"
    TOO_DEEP = "too deep"
    NUMBER_FOR_TEXT = "number where the mask takes text"
    BOOLEAN_FOR_TEXT = "boolean where the mask takes text"
    UNFIT = "something that the mask does not take"
    MISSING = "a required field is missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One value that was refused.

    Attributes:
        index: position of the value in the batch, from 0.
        rule: index of the rule that could not be carried out; -1 for an unreadable value.
    """

    index: int
    rule: int
    reason: Reason
    detail: Detail


def unchanged(count: int, *, rules: int) -> Outcome:
    """What becomes of so many values that nothing masks."""
    return Outcome(
        values=b"",
        spans=array("i", (UNCHANGED, 0)) * count,
        changed=0,
        failures=(),
        masked=array("q", bytes(8 * rules)),
        unreadable=0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The masked values of one batch.

    Attributes:
        values: the bytes of all changed values, one after another.
        spans: two ints a value, (start, length) into `values`. Start -1 (UNCHANGED): the original bytes stay, also
            for null. Start -2 (REFUSED): the value is in `failures`, and its original bytes must not be used.
        changed: values whose bytes changed, markers included.
        failures: the values refused, in order.
        masked: leaves (and nodes taken whole) that were masked, for each rule. Refused values do not count.
        unreadable: values that were replaced by the marker.
    """

    values: bytes
    spans: array[int]
    changed: int
    failures: tuple[Failure, ...]
    masked: array[int]
    unreadable: int

    def __repr__(self) -> str:
        """Leaves out the values: they are payload."""
        return f"Outcome(changed={self.changed}, failures={len(self.failures)}, unreadable={self.unreadable})"
