"""From a client's certificate to its name, as a Kafka broker finds it: subject, then `ssl.principal.mapping.rules`.

    RULE:pattern/replacement/     the first rule whose pattern is the whole subject gives the name
    RULE:pattern/replacement/L    ... in lower case; U: in upper case
    DEFAULT                       the subject as it is

The subject is written as Java writes it (RFC 2253): last part first, `2.5.4.5=#1301..` for what has no short name
there. In a replacement `$1` is a group, and a backslash takes the next character as it is.

Patterns are linear-time regular expressions (RE2): Java's, without look-around and back-references.

Source: SslPrincipalMapper, DefaultKafkaPrincipalBuilder (Kafka 4.3); X500Name and AVA of OpenJDK 17; RFC 2253.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_RULE: Final = re.compile(
    r"\s*(?:(?P<default>DEFAULT)"
    r"|RULE:(?P<pattern>(?:\\.|[^\\/])*)/(?P<replacement>(?:\\.|[^\\/])*)/(?P<case>[LU]?))"
    r"\s*(?:[,\n]\s*|$)"
)
_IN_REPLACEMENT: Final = re.compile(r"\\(?P<literal>.)|\$(?P<group>\d+)")
_NO_RULE: Final = "the subject of the certificate matches no rule of principalMappingRules"

_SHORT_NAMES: Final = {
    "2.5.4.3": "CN",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
}
_ENCODINGS: Final = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1E: "utf-16-be", 0x1C: "utf-32-be"}
"""DER's kinds of text."""
_SPECIAL: Final = re.compile(r'[,=+<>#;"\\]')


class NoPrincipal(Exception):
    """A certificate that gives no name; a broker refuses the connection too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """One rule; without a pattern, the subject as it is."""

    pattern: Any = None
    replacement: str = ""
    case: str = ""

    def apply(self, subject: str) -> str | None:
        if self.pattern is None:
            return subject
        if self.pattern.fullmatch(subject) is None:
            return None
        # Every match within the subject is replaced, an empty one at its end too: so does Java's replaceAll.
        name: str = self.pattern.sub(self._replace, subject)
        return name.lower() if self.case == "L" else name.upper() if self.case == "U" else name

    def _replace(self, match: Any) -> str:
        return _IN_REPLACEMENT.sub(lambda part: self._part(match, part), self.replacement)

    def _part(self, match: Any, part: re.Match[str]) -> str:
        if part["literal"] is not None:
            return part["literal"]
        digits = part["group"]
        # As many digits as make a group that is there: with one group, $12 is the group and a 2.
        for end in range(len(digits), 0, -1):
            if int(digits[:end]) <= self.pattern.groups:
                return (match.group(int(digits[:end])) or "") + digits[end:]
        return part[0]


class PrincipalRules:
    """The rules of one listener."""

    def __init__(self, rules: tuple[_Rule, ...]) -> None:
        self._rules = rules

    @classmethod
    def read(cls, text: str) -> PrincipalRules:
        """Reads rules as Kafka writes them, with commas between them.

        Raises:
            ValueError: says what to write instead.
        """
        rules = []
        at = 0
        while at < len(text):
            found = _RULE.match(text, at)
            if found is None:
                raise ValueError(
                    f"at character {at + 1}: write DEFAULT or RULE:pattern/replacement/ (and L or U behind it for "
                    "lower or upper case), with a comma between rules"
                )
            rules.append(_Rule() if found["default"] else _read_rule(found))
            at = found.end()
        if not rules:
            raise ValueError("write DEFAULT, or RULE:pattern/replacement/")
        return cls(tuple(rules))

    def name(self, subject: str) -> str:
        """The name of a client whose certificate has this subject.

        Raises:
            NoPrincipal: no rule applies.
        """
        for rule in self._rules:
            if (name := rule.apply(subject)) is not None:
                return name
        raise NoPrincipal(_NO_RULE)


def _read_rule(found: re.Match[str]) -> _Rule:
    import re2  # noqa: PLC0415 - only where rules have patterns

    try:
        pattern = re2.compile(found["pattern"])
    except re2.error as error:
        raise ValueError(
            f"at character {found.start('pattern') + 1}: this is no regular expression without look-around and "
            "back-references"
        ) from error
    return _Rule(pattern=pattern, replacement=found["replacement"], case=found["case"])


def subject_of(certificate: bytes) -> str:
    """The subject of a certificate (DER) as Java writes it.

    Raises:
        NoPrincipal: it cannot be read.
    """
    from cryptography import x509  # noqa: PLC0415 - only where clients have certificates

    try:
        name = x509.load_der_x509_certificate(certificate).subject.public_bytes()
        (_, content, _), *_ = _walk(name)
        parts = [_read_part(part) for _, part, _ in _walk(content)]
    except (ValueError, IndexError) as error:
        raise NoPrincipal("the subject of the certificate cannot be read") from error
    return ",".join(reversed(parts))


def _walk(der: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The values that stand one after the other: tag, content, and the whole."""
    at = 0
    while at < len(der):
        size, start = der[at + 1], at + 2
        if size & 0x80:
            count = size & 0x7F
            size, start = int.from_bytes(der[start : start + count], "big"), start + count
        if start + size > len(der):
            raise ValueError("a length beyond the end")
        yield der[at], der[start : start + size], der[at : start + size]
        at = start + size


def _read_part(part: bytes) -> str:
    return "+".join(_read_attribute(attribute) for _, attribute, _ in _walk(part))


def _read_attribute(attribute: bytes) -> str:
    (_, kind, _), (tag, value, whole) = _walk(attribute)
    number = _read_number(kind)
    short = _SHORT_NAMES.get(number)
    if short is None or tag not in _ENCODINGS:
        return f"{short or number}=#{whole.hex()}"
    return f"{short}={_escape(value.decode(_ENCODINGS[tag]))}"


def _read_number(kind: bytes) -> str:
    """An object identifier with its dots."""
    numbers, value = [], 0
    for byte in kind:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            numbers.append(value)
            value = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def _escape(text: str) -> str:
    escaped = _SPECIAL.sub(r"\\\g<0>", text).replace("\0", "\\00")
    stripped = escaped.strip(" \r")
    if stripped == escaped:
        return escaped
    lead = len(escaped) - len(escaped.lstrip(" \r"))
    tail = len(escaped) - lead - len(stripped)
    before, after = escaped[:lead], escaped[len(escaped) - tail :] if tail else ""
    return "".join("\\" + c for c in before) + stripped + "".join("\\" + c for c in after)
