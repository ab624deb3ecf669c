"""YAML into nodes. Each fault with its place is in test_language_errors.py."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules.errors import Faults, Mark
from wiremask.rules.nodes import source
from wiremask.rules.nodes.source import SIZE_LIMIT_CHARACTERS, Mapping, Node, Scalar, Sequence, place_in, read_source

SCALARS = {
    "true": ("boolean", "true"),
    "false": ("boolean", "false"),
    "null": ("null", "null"),
    "0": ("number", "0"),
    "-12.50": ("number", "-12.50"),
    "1e5": ("number", "1e5"),
    "1" * 400: ("number", "1" * 400),
    "NO": ("text", "NO"),
    "yes": ("text", "yes"),
    "on": ("text", "on"),
    "12:30:45": ("text", "12:30:45"),
    "1_000": ("text", "1_000"),
    "2024-01-01": ("text", "2024-01-01"),
    "0b101": ("text", "0b101"),
    "nan": ("text", "nan"),
    "$.a.b": ("text", "$.a.b"),
    '"true"': ("text", "true"),
    "'0123'": ("text", "0123"),
    "'it''s'": ("text", "it's"),
    '"\\u0073\\x41\\U0001F600"': ("text", "sA😀"),
    '"\\ud83d\\ude00"': ("text", "😀"),
    '""': ("text", ""),
    "a\n b": ("text", "a b"),
    "|\n  a\n  b\n": ("text", "a\nb\n"),
    ">-\n  a\n  b\n": ("text", "a b"),
}


def read(text: str) -> tuple[Node | None, Faults]:
    faults = Faults(file="f")
    return read_source(text, faults), faults


def member(node: Node | None) -> Scalar:
    assert isinstance(node, Mapping)
    value = node.entries[0].value
    assert isinstance(value, Scalar)
    return value


@pytest.mark.parametrize(("written", "meant"), SCALARS.items(), ids=[ascii(text[:20]) for text in SCALARS])
def test_scalar_means_one_thing(written: str, meant: tuple[str, str]) -> None:
    root, faults = read(f"a: {written}\n")

    scalar = member(root)

    assert faults.found == []
    assert (scalar.kind, scalar.text) == meant


def test_nodes_know_their_place() -> None:
    root, _ = read("# ü\na: [b,\n  {ü: c, d: 'e'}]\n")

    assert isinstance(root, Mapping)
    items = root.entries[0].value
    assert isinstance(items, Sequence)
    inner = items.items[1]
    assert isinstance(inner, Mapping)
    assert (root.mark, items.mark, items.items[0].mark) == (Mark(2, 1), Mark(2, 4), Mark(2, 5))
    assert [(entry.mark, entry.value.mark) for entry in inner.entries] == [
        (Mark(3, 4), Mark(3, 7)),
        (Mark(3, 10), Mark(3, 13)),
    ]


def test_lines_end_with_any_of_three_breaks() -> None:
    root, _ = read("a: b\r\nc: d\re: f\ng: h")

    assert isinstance(root, Mapping)
    assert [entry.mark for entry in root.entries] == [Mark(1, 1), Mark(2, 1), Mark(3, 1), Mark(4, 1)]


@pytest.mark.parametrize(
    ("written", "offset", "column"),
    [
        ("abc", 2, 6),
        ("'abc'", 2, 7),
        ("'a''b'", 2, 8),
        ('"abc"', 2, 7),
        ('"\\"\\x41\\u0042\\U00000043d"', 4, 4 + 1 + 2 + 4 + 6 + 10),
        ('"a\\\\b"', 2, 8),
        ('"\\ud83d\\ude00a"', 1, 4),
        ("|\n  abc", 1, 4),
    ],
)
def test_offset_in_a_scalar_has_its_column(written: str, offset: int, column: int) -> None:
    root, _ = read(f"a: {written}\n")

    assert place_in(member(root), offset) == Mark(1, column)


def test_reads_on_after_a_fault() -> None:
    _, faults = read("a: ~\nb: *c\nd: &e f\n1: g\na: h\ni:\n")

    assert [(fault.line, fault.column) for fault in faults.found] == [(1, 4), (2, 4), (3, 4), (4, 1), (5, 1), (6, 1)]


def test_refuses_text_longer_than_limit() -> None:
    root, faults = read("#" * (SIZE_LIMIT_CHARACTERS + 1))

    assert root is None
    assert "split it" in faults.found[0].message


def test_refuses_more_nodes_than_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "NODE_LIMIT", 3)

    within, _ = read("[a, b]")
    beyond, faults = read("[a,\n b, c]")

    assert within is not None
    assert beyond is None
    assert str(faults.found[0]) == "f:2:5: the file has more than 3 keys and values; split it into several"


def test_repr_of_a_node_holds_no_text() -> None:
    root, _ = read("canary: [canary, {a: 'canary'}]\n")

    assert "canary" not in repr(root)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def plain(node: Node | None) -> object:
    match node:
        case Mapping(entries=entries):
            return {entry.key: plain(entry.value) for entry in entries}
        case Sequence(items=items):
            return [plain(item) for item in items]
        case Scalar(kind="text", text=text):
            return text
        case Scalar(text=text):
            return json.loads(text)
        case _:
            raise AssertionError(node)


@given(JSON)
@settings(max_examples=150, deadline=None)
def test_json_means_what_json_says(value: object) -> None:
    root, faults = read(json.dumps(value))

    assert faults.found == []
    assert plain(root) == value


@given(st.text(alphabet="ab1-:,.[]{}'\"\\ux&*!%@`|>?#~<\n\t\r \x00\ufeffü😀\x85", max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused_at_one_of_its_lines(text: str) -> None:
    root, faults = read(text)

    assert root is not None or len(faults.found) >= 1
    assert all(1 <= fault.line <= text.count("\n") + text.count("\r") + 1 for fault in faults.found)
    assert all(fault.column >= 1 for fault in faults.found)
