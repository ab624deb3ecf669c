"""The masks as values: what each does to a leaf, with its arguments resolved.

A mask is decided at load. Nothing here reads a record; the kernel (`jsonmask`) does, by the tables that it makes of
these. The masks that it knows by itself come first; those from `Email` on are collected: the kernel gathers their
leaves and `collected.py` names the module that masks them. Every mask leaves JSON `null` as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from wiremask.rules.detect.detectors import Detector
    from wiremask.rules.model.rule import Field
    from wiremask.rules.model.selector import Path

REDACTED = "[redacted]"
SEPARATORS = " -./"

HashEncoding = Literal["hex", "base64url", "crockford"]
RoundDirection = Literal["nearest", "down", "up"]
DatePrecision = Literal["year", "quarter", "month", "day"]
TokenForm = Literal["text", "pan", "iban"]
HASH_CEILING: dict[str, int] = {"hex": 64, "base64url": 43, "crockford": 52}
"""Characters of a whole hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Leaves the value, and ends the search for later rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redact:
    """Something fixed for each type: the type is kept.

    Attributes:
        number: a valid JSON number, already encoded; so is `boolean`, true or false.
    """

    text: str = REDACTED
    number: bytes = b"0"
    boolean: bytes = b"false"


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
    """Keeps the first and last characters of a string and hides the others, or the other way round.

    Characters are Unicode code points. A separator is kept where it stands and is not counted. A value
    with no more than `keep_first + keep_last` (or `hide_first + hide_last`) countable characters is hidden whole.

    Attributes:
        hide_first: so many are hidden; so for `hide_last`. If any are, none are kept by number: all others are.
        char: one character that stands for each hidden one.
        separators: the characters that are kept; "" for none.
        fixed_length: so many of `char` stand for all that is hidden, whatever its length (and `keep_first + keep_last`
            more where nothing is kept); 0 for one each.
        as_string: a number is taken as its text and becomes a string.
    """

    keep_first: int = 0
    keep_last: int = 0
    hide_first: int = 0
    hide_last: int = 0
    char: str = "*"
    separators: str = SEPARATORS
    fixed_length: int = 0
    as_string: bool = False

    @property
    def hides_ends(self) -> bool:
        """Whether the ends are what is hidden, and the middle stays."""
        return self.hide_first + self.hide_last > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncate:
    """Keeps the first `length` characters (code points) of a string."""

    length: int
    as_string: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """Each character by its class: X upper case, x lower case, 9 digit; the others are kept.

    Beyond ASCII only white space is kept; what is neither a digit nor has a case becomes x.
    """

    as_string: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hash:
    """HMAC-SHA-256 of the decoded string's UTF-8, as text in hex, base64url (no padding) or Crockford's base 32.

    Attributes:
        subkey: 32 bytes, by HKDF-SHA-256 from the rule's key, the mask's name and `domain`.
        length: characters of output that are kept, from the left.
        as_string: a number is taken as its text and becomes a string.

    Source: PCI DSS 4.0.1 requirement 3.5.1.1 (keyed cryptographic hash of the whole value).
    """

    subkey: bytes = field(repr=False)
    encoding: HashEncoding = "hex"
    length: int = 64
    as_string: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Several masks one after another: each takes what the one before it gave."""

    masks: tuple[Mask, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Email:
    """An e-mail address: what stands before the last `@` and what stands behind it are masked apart."""

    local: Mask
    domain: Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A number becomes the lower end of its bucket; buckets of one size meet at `start`.

    Attributes:
        lowest: what is below counts as this; so is `highest` for what is above.
    """

    size: Decimal
    start: Decimal = Decimal(0)
    lowest: Decimal | None = None
    highest: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A number becomes a multiple of `to`: the nearest (halves away from zero), the next below, or the next above."""

    to: Decimal
    direction: RoundDirection = "nearest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A number becomes the greatest bound that is not above it, or the label of its range, a string.

    Attributes:
        bounds: rising. What is below the first counts as the first, unless there are labels.
        labels: one more than the bounds, the first for what is below all of them; () for none.
    """

    bounds: tuple[Decimal, ...]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Zip3:
    """A US ZIP code becomes its first three digits, or 000 where too few people live.

    Source: 45 CFR 164.514(b)(2)(i)(B).
    """

    restricted: frozenset[str]
    as_string: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """An age in years: 90 and above becomes 90, the class of all such ages.

    Source: 45 CFR 164.514(b)(2)(i)(C).
    """

    top: int = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Date:
    """A date, or date and time, becomes the first moment of its year, quarter, month or day, written as it was.

    Attributes:
        unit: what numbers count since 1970, in UTC; None if numbers are no dates.
        form: of texts, as `dateforms.py` has it; "" for ISO 8601.
    """

    to: DatePrecision
    unit: Literal["seconds", "milliseconds"] | None = None
    form: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DateShift:
    """A date moves by up to `within` days, by a key and what a path of the same value gives; never by none.

    Attributes:
        subject: the path; `subject_text` is how it is written.
        unit: as for Date; so is `form`.
    """

    subkey: bytes = field(repr=False)
    within: int
    subject: Path
    subject_text: str
    unit: Literal["seconds", "milliseconds"] | None = None
    form: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ip:
    """An IP address keeps its first `v4` or `v6` bits; the others become 0."""

    v4: int = 24
    v6: int = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class IpScramble:
    """An IP address becomes another; two that share their first n bits still do, and differ in the next."""

    subkey: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Each letter and digit becomes another of its class, by a key; not to be undone.

    Attributes:
        form: pan and iban keep their checksum valid, and take nothing else.
        keep_first: so many letters and digits stay; so for `keep_last`.
        as_string: a number is taken as its text and becomes a string.
    """

    subkey: bytes = field(repr=False)
    form: TokenForm = "text"
    keep_first: int = 0
    keep_last: int = 0
    as_string: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fpe:
    """FF1 over the characters of an alphabet; the others stand where they stood. To be undone with the key.

    Attributes:
        keep_first: so many characters of the alphabet stay, and are FF1's tweak; so for `keep_last`.
        reveal: the other way round.

    Source: NIST SP 800-38G rev. 1 (second draft): FF1, domain of 1,000,000 or more.
    """

    subkey: bytes = field(repr=False)
    alphabet: str = "0123456789"
    keep_first: int = 0
    keep_last: int = 0
    as_string: bool = False
    reveal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingKey:
    """The subkeys of one version of a key: for random nonces, and for deterministic sealing."""

    random: bytes = field(repr=False)
    deterministic: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encrypt:
    """Authenticated encryption, bound to topic and path. To be undone with the key.

    Attributes:
        key: the key's name, which the output tells.
        version: the version that seals.
        versions: all versions of the key, as pairs; each still opens.
        path: the field's selector, in one form.
        reveal: the other way round.

    Source: RFC 8452 (AES-256-GCM-SIV), RFC 5297 (AES-SIV).
    """

    key: str
    version: str
    versions: tuple[tuple[str, SealingKey], ...] = field(repr=False)
    deterministic: bool = False
    as_string: bool = False
    path: str = ""
    reveal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pseudonym:
    """A word of a list, chosen by a key."""

    words: tuple[str, ...] = field(repr=False)
    subkey: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """A number moves by up to `within` (or so many percent of it), by a key; never by nothing.

    Attributes:
        step: the noise is a multiple of it; None for one that fits the number and the noise.
    """

    subkey: bytes = field(repr=False)
    within: Decimal
    percent: bool = False
    step: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A string that holds JSON, whose fields are masked as those of a value of its own.

    Attributes:
        fields: in order of precedence.
        base64: the string is the JSON in base64.
    """

    fields: tuple[Field, ...]
    base64: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf:
    """No mask: a node is compared with literals, and nothing changes.

    Attributes:
        strings: decoded.
        numbers: whole numbers as they are written in decimal.
        booleans: `true` or `false`.
    """

    strings: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    booleans: tuple[str, ...] = ()


Mask = (
    Keep
    | Redact
    | Fixed
    | Nullify
    | Drop
    | Partial
    | Truncate
    | Pattern
    | Hash
    | Chain
    | Email
    | Bucket
    | Round
    | Range
    | Zip3
    | Age
    | Date
    | DateShift
    | Ip
    | IpScramble
    | Token
    | Fpe
    | Encrypt
    | Pseudonym
    | Noise
    | Embedded
)

FailurePolicy = Literal["reject", "redact", "omit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What becomes of values that some detectors find.

    Attributes:
        rule: index of the rule that the field belongs to.
        on_unmaskable: what to do with a value that the mask does not take.
        when: number of the condition that must hold of the record; None for none.
    """

    detect: tuple[Detector, ...]
    mask: Mask
    rule: int
    on_unmaskable: OnUnmaskable
    when: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """All detectors that look at a leaf, in order of precedence: what fields with `detect` are compiled to.

    Attributes:
        then: the mask of a later field, for the whole text, when what was found in it is masked.
    """

    finds: tuple[Found, ...]
    then: Mask | None = None


OnUnreadable = Literal["reject", "redact"]
OnUnmaskable = Literal["reject", "redact"]
