"""Edits of a body, against slices of bytes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.protocol.schemas.fields.codecs import UnsignedVarInt32

from support.kafka_oracle import join
from wiremask.protocol.splice import COPIED_BYTES, Edits, size_of, uvarint


@given(body=st.binary(max_size=60), data=st.data())
@settings(max_examples=300, deadline=None)
def test_edits_in_any_order_are_those_of_slices(body: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8, unique=True)))
    spans = [(start, end, data.draw(st.binary(max_size=5))) for start, end in zip(cuts[::2], cuts[1::2], strict=False)]
    edits = Edits(memoryview(body))
    for start, end, new in data.draw(st.permutations(spans)):
        edits.replace(start, end, new)

    expected = bytearray(body)
    for start, end, new in reversed(spans):
        expected[start:end] = new

    assert join(edits.pieces()) == expected
    assert bool(edits) is bool(spans)


def test_without_edits_the_only_piece_is_the_body_itself() -> None:
    body = bytearray(b"body")

    (piece,) = Edits(memoryview(body)).pieces()

    assert isinstance(piece, memoryview)
    assert piece.obj is body


@pytest.mark.parametrize(("size", "held"), [(COPIED_BYTES, False), (COPIED_BYTES + 1, True)])
def test_what_little_stays_of_an_edited_body_does_not_hold_it(size: int, held: bool) -> None:
    body = bytearray(size + 1)
    edits = Edits(memoryview(body))

    edits.replace(0, 1, b"new")

    assert any(isinstance(piece, memoryview) and piece.obj is body for piece in edits.pieces()) == held


def test_large_pieces_are_passed_on_uncopied() -> None:
    records = bytearray(b"r" * 100)
    edits = Edits(memoryview(b"abc"))

    edits.replace(1, 2, b"<", records)

    assert any(piece is records for piece in edits.pieces())


def test_insertions_at_one_place_keep_their_order_before_what_replaces_it() -> None:
    edits = Edits(memoryview(b"abc"))

    edits.replace(1, 2, b"B")
    edits.replace(1, 1, b"1")
    edits.replace(1, 1, b"2")

    assert join(edits.pieces()) == b"a12Bc"


@pytest.mark.parametrize("spans", [[(0, 2), (1, 3)], [(0, 3), (1, 2)], [(0, 2), (0, 1)]], ids=str)
def test_refuses_edits_that_overlap(spans: list[tuple[int, int]]) -> None:
    edits = Edits(memoryview(b"abc"))
    for span in spans:
        edits.replace(*span, b"x")

    with pytest.raises(ValueError, match="overlap"):
        edits.pieces()


@pytest.mark.parametrize("span", [(-1, 0), (2, 1), (0, 4), (4, 4)], ids=str)
def test_refuses_a_span_outside_the_body(span: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="outside"):
        Edits(memoryview(b"abc")).replace(*span, b"x")


def test_sizes_around_an_edit_are_written_anew_from_the_inside_out() -> None:
    inner = b"\3abc"
    outer = bytes([len(inner) + 1]) + inner + b"!"
    edits = Edits(memoryview(outer))
    edits.resize(1, 2, 5)
    edits.resize(0, 1, 6)
    edits.resize(0, 1, 6)

    edits.replace(3, 4, b"B" * 130)

    assert join(edits.pieces()) == uvarint(135) + uvarint(132) + b"a" + b"B" * 130 + b"c!"


def test_a_size_whose_content_keeps_its_length_stays_as_it_was_written() -> None:
    edits = Edits(memoryview(b"\x82\x00ab"))
    edits.resize(0, 2, 4)

    edits.replace(2, 3, b"A")

    assert join(edits.pieces()) == b"\x82\x00Ab"


@given(value=st.integers(0, 2**31 - 1))
@settings(max_examples=200, deadline=None)
def test_writes_varints_as_kafka_python_does(value: int) -> None:
    assert uvarint(value) == UnsignedVarInt32.encode(value)


def test_counts_bytes_and_not_items() -> None:
    assert size_of([b"ab", memoryview(bytearray(8)).cast("i"), bytearray(b"c")]) == 11
