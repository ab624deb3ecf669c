"""Strategies for JSON as it is written: any white space, any escape, doubled names, long numbers, and damage."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from wiremask.rules.kernel.automaton import AutomatonTooLarge, Selection, build
from wiremask.rules.model.masks import (
    Chain,
    Drop,
    Email,
    Fixed,
    Hash,
    Keep,
    Mask,
    Nullify,
    Partial,
    Pattern,
    Pseudonym,
    Range,
    Redact,
    Round,
    Token,
    Truncate,
)
from wiremask.rules.model.selector import Index, Name, Path, Segment, Slice, Wildcard

NAMES = ["a", "b", "ssn", "", "é", "name_of_twenty_chars", "z" * 70]
_WRITTEN_NAMES = [
    *NAMES,
    "s\\u0073n",
    "\\u0061",
    "\\u00E9",
    "\\u00e9",
    "z" * 69 + "\\u007a",
    "other",
    "q\\\\",
    "A",
    "SSN",
    "\\u0053\u017fn",
    "É",
    "\\u00c9",
    "ss\u0274",
    "Z" * 70,
]
_CHARACTERS = [*"abcXYZ019 -./*", "é", "字", "😀", "\x7f", "\u2028"]
_ESCAPES = ["\\n", '\\"', "\\\\", "\\/", "\\u0041", "\\u002d", "\\u0000", "\\u00fC", "\\ud83d\\uDE00", "\\uFFFF"]
_NUMBERS = ["0", "-0", "7", "-12.50", "1e5", "1E+05", "0.0e-0", "9" * 400, "-1." + "3" * 400, "1e999999"]
DAMAGE = [b'"', b"\\", b",", b":", b"{", b"}", b"[", b"]", b"0", b"-", b".", b"e", b"\x00", b"\x1f", b"\x80", b"\xc0",
          b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\\u", b"\\ud800", b"\\udc00", b"\x0b", b" ", b"t", b"+"]  # fmt: skip

space = st.sampled_from(["", "", "", " ", "\n  ", "\t", "\r\n", " " * 20])
characters = st.lists(st.sampled_from(_CHARACTERS) | st.sampled_from(_ESCAPES), max_size=24).map("".join)
strings = (characters | st.sampled_from(["x" * 40, "123-45-6789", "ada@example.com", "12.75", "y" * 15, "y" * 16])).map(
    '"{}"'.format
)
scalars = st.sampled_from(["true", "false", "null"]) | st.sampled_from(_NUMBERS) | strings


def _containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    element = st.tuples(space, inner, space).map("".join)
    name = st.sampled_from(_WRITTEN_NAMES).map('"{}"'.format)
    member = st.tuples(space, name, space, st.just(":"), space, inner, space).map("".join)
    return (
        st.lists(element, max_size=5).map(lambda items: f"[{','.join(items)}]")
        | st.lists(member, max_size=6).map(lambda items: f"{{{','.join(items)}}}")
        | space.map("[{}]".format)
        | space.map("{{{}}}".format)
    )


documents = st.tuples(space, st.recursive(scalars, _containers, max_leaves=25), space).map("".join).map(str.encode)


@st.composite
def damaged_documents(draw: st.DrawFn) -> bytes:
    text = draw(documents)
    for _ in range(draw(st.integers(1, 3))):
        at, to = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        match draw(st.sampled_from(["insert", "replace", "cut", "delete", "double"])):
            case "insert":
                text = text[:at] + draw(st.sampled_from(DAMAGE)) + text[at:]
            case "replace":
                text = text[:at] + draw(st.sampled_from(DAMAGE)) + text[at + 1 :]
            case "cut":
                text = text[:at]
            case "delete":
                text = text[:at] + text[at + 1 :]
            case _:
                text = text[:to] + text[at:]
    return text


_bounds = st.none() | st.integers(-4, 4)
_selectors = st.one_of(
    st.sampled_from([*map(Name, NAMES), Index(0), Index(1), Index(3), Wildcard(), Wildcard()]),
    st.builds(Name, st.sampled_from(NAMES), ignore_case=st.just(True)),
    st.builds(Index, st.integers(-3, -1)),
    st.builds(Slice, _bounds, _bounds, st.sampled_from([1, 1, 2, 3, -1, -2])),
)
_segments = st.builds(
    Segment, st.lists(_selectors, min_size=1, max_size=3).map(tuple), st.sampled_from([False, False, True])
)
paths: st.SearchStrategy[Path] = st.lists(_segments, max_size=3).map(tuple)

_plain_masks: list[Mask] = [Keep(), Drop(), Nullify(), Nullify(whole=True), Redact(), Redact(text='"é\n')]
COLLECTED: list[Mask] = [
    Round(to=Decimal("0.5")),
    Range(bounds=(Decimal(0), Decimal(7)), labels=("none", '"few"', "many")),
    Token(subkey=b"3" * 32, as_string=True),
    Pseudonym(subkey=b"4" * 32, words=("é", "a\n", "")),
    Chain(masks=(Truncate(length=3, as_string=True), Pattern(), Hash(subkey=b"5" * 32, length=5))),
    Email(local=Redact(), domain=Keep()),
]
masks: st.SearchStrategy[Mask] = st.one_of(
    st.sampled_from(_plain_masks),
    st.sampled_from(_plain_masks),
    st.just(Redact(text="", number=b"-1.5", boolean=b"true")),
    st.just(Fixed(literal=b'"n/a"')),
    st.builds(Fixed, literal=st.just(b"-1"), whole=st.booleans()),
    st.builds(
        Partial,
        keep_first=st.integers(0, 4),
        keep_last=st.integers(0, 4),
        char=st.sampled_from(['*', '"', "\\", "\n", "é", "😀"]),
        separators=st.sampled_from([" -./", "", "-字", "a\x7f"]),
        fixed_length=st.sampled_from([0, 0, 1, 7]),
        as_string=st.booleans(),
    ),
    st.builds(
        Partial,
        hide_first=st.integers(0, 3),
        hide_last=st.integers(0, 3),
        char=st.sampled_from(["*", '"', "😀"]),
        separators=st.sampled_from([" -./", "", "-字"]),
        as_string=st.booleans(),
    ),
    st.builds(Truncate, length=st.sampled_from([0, 1, 5, 15, 16, 40]), as_string=st.booleans()),
    st.builds(Pattern, as_string=st.booleans()),
    st.builds(Hash, subkey=st.just(b"2" * 32), encoding=st.just("crockford"), length=st.integers(1, 52)),
    st.sampled_from(COLLECTED),
    st.builds(Hash, subkey=st.just(b"0" * 32), length=st.integers(1, 64), as_string=st.booleans()),
    st.builds(Hash, subkey=st.just(b"1" * 32), encoding=st.just("base64url"), length=st.integers(1, 43)),
)  # fmt: skip


def _is_compilable(chosen: list[Selection]) -> bool:
    """Whether slices of many fields do not meet in more combinations than an automaton holds."""
    try:
        build(chosen)
    except AutomatonTooLarge:
        return False
    return True


RULES = CONDITIONS = 3
selections = st.lists(
    st.builds(
        Selection,
        path=paths,
        mask=masks,
        rule=st.integers(0, RULES - 1),
        on_unmaskable=st.sampled_from(["reject", "redact", "redact"]),
        when=st.sampled_from([None, None, *range(CONDITIONS)]),
    ).filter(lambda selection: bool(selection.path) or not isinstance(selection.mask, Drop)),
    max_size=6,
).filter(_is_compilable)
