"""Headers compared with texts, where they lie."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules.kernel.headertest import EQUAL, OTHER, UNEQUAL, HeaderTest

Header = tuple[int, bytes, bytes | None]
short = st.binary(max_size=3)


def laid_out(headers: list[Header]) -> tuple[bytes, array[int]]:
    section, spans = b"", array("i")
    for record, name, content in headers:
        at = len(section)
        spans.extend((record, at, len(name), at + len(name), -1 if content is None else len(content)))
        section += name + (content or b"")
    return section, spans


@given(
    name=short,
    texts=st.lists(short, max_size=9),
    headers=st.lists(st.tuples(st.integers(0, 4), short, short | st.none()), max_size=20),
)
@settings(max_examples=300, deadline=None)
def test_tells_of_each_record_what_its_headers_of_the_name_hold(
    name: bytes, texts: list[bytes], headers: list[Header]
) -> None:
    # The name and the texts occur among the headers more often than chance would have it.
    headers += [(record, name, text) for record, text in enumerate(texts[:3])]
    expected = [0] * 5
    for record, one, content in headers:
        if one == name:
            expected[record] |= OTHER if content is None else EQUAL if content in texts else UNEQUAL
    found = bytearray(5)

    HeaderTest(name, texts).find(*laid_out(headers), found)

    assert list(found) == expected


def test_finds_each_of_a_thousand_texts_and_nothing_between_them() -> None:
    texts = [b"%d" % (3 * number) for number in range(1000)]
    headers: list[Header] = [(record, b"n", b"%d" % record) for record in range(2997)]
    found = bytearray(2997)

    HeaderTest(b"n", texts).find(*laid_out(headers), found)

    assert found == bytes((EQUAL, UNEQUAL, UNEQUAL) * 999)


def test_finds_nothing_where_there_are_no_headers() -> None:
    found = bytearray(2)

    HeaderTest(b"n", [b""]).find(b"", array("i"), found)

    assert found == bytes(2)


@pytest.mark.parametrize(
    "header",
    [
        (2, 0, 1, 1, 1),
        (-1, 0, 1, 1, 1),
        (0, -1, 1, 1, 1),
        (0, 0, 5, 1, 1),
        (0, 0, -1, 1, 1),
        (0, 0, 1, 4, 1),
        (0, 0, 1, -1, 1),
        (0, 0, 1, 1, -2),
        (0, 2**31 - 1, 2**31 - 1, 1, 1),
        (0, 0, 1, 2**31 - 1, 2**31 - 1),
    ],
)
def test_refuses_headers_outside_the_buffer(header: tuple[int, ...]) -> None:
    test = HeaderTest(b"a", [b"b"])

    with pytest.raises(ValueError, match="outside the buffer"):
        test.find(b"abab", array("i", header), bytearray(2))
