"""The masks as values: what each does to a leaf, with its arguments resolved.

A mask is decided at load. Nothing here reads a record; the kernel (`jsonmask`) does, by the tables
that it makes of these. Every mask leaves JSON `null` as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

REDACTED = "[redacted]"
SEPARATORS = " -./"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Leaves the value, and ends the search for later rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redact:
    """Fixed text for strings, 0 for numbers, false for booleans: the type is kept."""

    text: str = REDACTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """The same JSON literal for every string, number and boolean.

    Attributes:
        literal: a valid JSON text, already encoded, for example `b'"n/a"'` or `b'-1'`.
        whole: an object or array that the selector hits becomes the literal as a whole.
    """

    literal: bytes
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Nullify:
    """JSON null in place of the value; with `whole`, in place of a whole object or array."""

    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """The member or element is removed with its comma; what the selector hits goes as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """Keeps the first and last characters of a string and hides the others.

    Characters are Unicode code points. A separator is kept where it stands and is not counted. A value
    with no more than `keep_first + keep_last` countable characters is hidden whole.

    Attributes:
        char: one character that stands for each hidden one.
        separators: the characters that are kept; "" for none.
        as_string: a number is taken as its text and becomes a string.
    """

    keep_first: int = 0
    keep_last: int = 0
    char: str = "*"
    separators: str = SEPARATORS
    as_string: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hash:
    """HMAC-SHA-256 of the decoded string's UTF-8, as hex or base64url text (no padding).

    Attributes:
        subkey: 32 bytes, by HKDF-SHA-256 from the rule's key, the mask's name and `domain`.
        length: characters of output that are kept, from the left.
        as_string: a number is taken as its text and becomes a string.

    Source: PCI DSS 4.0.1 requirement 3.5.1.1 (keyed cryptographic hash of the whole value).
    """

    subkey: bytes = field(repr=False)
    encoding: Literal["hex", "base64url"] = "hex"
    length: int = 64
    as_string: bool = False


Mask = Keep | Redact | Fixed | Nullify | Drop | Partial | Hash

OnUnreadable = Literal["reject", "redact"]
OnUnmaskable = Literal["reject", "redact"]
