"""The compiled finder against the slow one, value by value, and on what only looks like a value."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support.slow_finder import FINDERS
from wiremask.rules.detect.detectors import DETECTORS
from wiremask.rules.detect.finder import Finder

EVERYTHING = Finder(DETECTORS)

HEADER = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
VALUES = [
    ("card", "4111111111111111"),
    ("card", "4111 1111 1111 1111"),
    ("card", "3782-822463-10005"),
    ("card", "6011000990139424"),
    ("iban", "DE89370400440532013000"),
    ("iban", "GB29 NWBK 6016 1331 9268 19"),
    ("us-ssn", "123-45-6789"),
    ("email", "ada.b+tag@mail.example.co.uk"),
    ("email", "jürgen@müller.de"),
    ("phone", "+1 (212) 555-1234"),
    ("phone", "+442071838750"),
    ("ipv4", "192.168.10.1"),
    ("ipv6", "2001:db8::8a2e:370:7334"),
    ("ipv6", "::ffff:192.0.2.1"),
    ("mac", "00:1A:2b:3c:4d:5e"),
    ("mac", "001a.2b3c.4d5e"),
    ("jwt", f"{HEADER}.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"),
    ("private-key", "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----"),
    ("credential", "AKIAIOSFODNN7EXAMPLE"),
    ("credential", "ghp_" + "a1B2" * 9),
    ("credential", "sk_live_" + "a1B2" * 6),
    ("credential", "SG." + "a" * 22 + "." + "b" * 43),
    ("credential", "hvs." + "CAESIJ" * 8),
    ("credential", "xoxb-" + "1234567890-" * 2 + "AbCdEfGhIj"),
]
LOOKALIKES = [
    "123456789",
    "1234567890",
    "1764000000",
    "1764000000123",
    "1764000000123456",
    "550e8400-e29b-41d4-a716-446655440000",
    "4111111111111112",
    "DE89370400440532013001",
    "000-12-3456",
    "900-12-3456",
    "v1.2.3.4",
    "version 1.2.3.4",
    "1.2.3.4.5",
    "300.1.1.1",
    "10:11:12",
    "std::string",
    "2026-11-24T10:11:12+02:00",
    "user@localhost",
    "@mention",
    "eyJhbGciOiJIUzI1NiJ9",
    "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "0.30000000000000004",
]
IN_CONTEXT = [
    ("us-zip", "02139", "zip: {}"),
    ("us-zip", "02139-4307", "Cambridge, MA {}"),
    ("birth-date", "1984-07-23", "born {}"),
    ("birth-date", "7/23/1984", "DOB: {}"),
    ("birth-date", "19840723", "date of birth {}"),
    ("us-ssn", "123456789", "SSN {}"),
    ("credential", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "aws_secret_access_key={}"),
]
PIECES = [value for _, value in VALUES] + LOOKALIKES + [form.format(value) for _, value, form in IN_CONTEXT]
NAMES = [
    "",
    "zip",
    "postalCode",
    "ssn",
    "customer_ssn",
    "birthDate",
    "DOB",
    "clientSecret",
    "version",
    "unzipped",
    "adobe",
]
GLUE = [
    "",
    "id:",
    " ",
    "-",
    ".",
    ":",
    "/",
    "+",
    "@",
    "_",
    "a",
    "7",
    "é",
    "\u201c",
    "zip ",
    "ssn=",
    "dob ",
    ", MA ",
    "secret:",
    "=",
    "~",
]


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Values and lookalikes, glued together, cut and damaged."""
    parts = draw(
        st.lists(
            st.sampled_from(PIECES) | st.sampled_from(GLUE) | st.text("0123456789abcfAJ@.:-+ /_é", max_size=8),
            max_size=8,
        )
    )
    text = draw(st.sampled_from(["", "x" * 40, " " * 60, "-" * 57])) + "".join(parts)
    if text and draw(st.booleans()):
        at = draw(st.integers(0, len(text) - 1))
        text = text[:at] + draw(st.sampled_from(["", "0", "-", "é", " ", "x", "."])) + text[at + 1 :]
    return text


def union(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, those that overlap as one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def found(text: str, name: str = "") -> set[tuple[str, str]]:
    """Detector and value of all that is found."""
    data = text.encode()
    return {(DETECTORS[kind], data[start:end].decode()) for start, end, kind in EVERYTHING.find(data, name.encode())}


@settings(max_examples=200, deadline=None)
@given(texts(), st.sampled_from(NAMES))
@example("4111-1111-1111-1111 4111111111111111", "")
@example("a@b.com@c.com", "")
def test_finds_what_the_slow_finder_finds(text: str, name: str) -> None:
    data = text.encode()

    finds = EVERYTHING.find(data, name.encode())

    for number, detector in enumerate(DETECTORS):
        ours = union([(start, end) for start, end, kind in finds if kind == number])
        theirs = union(list(FINDERS[detector](data, name.encode())))
        assert (detector, [data[a:b] for a, b in ours]) == (detector, [data[a:b] for a, b in theirs])


@settings(max_examples=100, deadline=None)
@given(texts(), st.integers(0, 130))
def test_where_blocks_begin_makes_no_difference(text: str, shift: int) -> None:
    data = text.encode()

    finds = EVERYTHING.find(b"\n" * shift + data)

    assert {(start - shift, end - shift, kind) for start, end, kind in finds} == set(EVERYTHING.find(data))


@settings(max_examples=100, deadline=None)
@given(texts(), st.sampled_from(DETECTORS))
def test_a_detector_finds_the_same_alone(text: str, detector: str) -> None:
    data = text.encode()
    number = DETECTORS.index(detector)

    finds = Finder([detector]).find(data)

    assert finds == [find for find in EVERYTHING.find(data) if find[2] == number]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_searched_within_their_bounds(data: bytes) -> None:
    finds = EVERYTHING.find(data, data[:7])

    assert all(0 <= start < end <= len(data) for start, end, _ in finds)


@pytest.mark.parametrize(
    "around", ["{}", "id:{}", "see {}, please", "({})", "x={};", '"{}"', "a\n{}\nb", "\u201c{}\u201d"]
)
@pytest.mark.parametrize(("detector", "value"), VALUES)
def test_finds_a_value_and_no_more_than_it(detector: str, value: str, around: str) -> None:
    assert (detector, value) in found(around.format(value))


@pytest.mark.parametrize("text", LOOKALIKES)
def test_passes_over_what_only_looks_like_a_value(text: str) -> None:
    assert found(text) == set()


@pytest.mark.parametrize(("detector", "value", "form"), IN_CONTEXT)
def test_finds_by_context_only_where_the_words_are(detector: str, value: str, form: str) -> None:
    assert (detector, value) in found(form.format(value))
    assert detector not in {kind for kind, _ in found(value)}


@pytest.mark.parametrize(
    ("name", "value", "detector"),
    [
        ("postalCode", "02139", "us-zip"),
        ("billing_zip", "02139", "us-zip"),
        ("birthDate", "1984-07-23T00:00:00Z", "birth-date"),
        ("customerSSN", "123456789", "us-ssn"),
        ("secretAccessKey", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "credential"),
    ],
)
def test_the_name_of_a_member_is_context(name: str, value: str, detector: str) -> None:
    assert detector in {kind for kind, _ in found(value, name)}


@pytest.mark.parametrize("name", ["unzipped", "zipper", "adobe", "assn"])
def test_a_word_within_another_is_no_context(name: str) -> None:
    assert found("02139 1984-07-23 123456789", name) == set()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece",
    [
        "@", "a@a", "a@a.bb@", "1:", "::", "1.1.", "eyJ", "eyJ.", "-----BEGIN PRIVATE KEY-----", "-----BEGIN ",
        "12345 ", "1984-07-23 ", "+1", "4111 ", "41111111 11111111-", "DE89", "DE89 ", "whsec_", "xoxb-", "A/", "é@é.", "Q~", "/api/webhooks/1/",
    ],
)  # fmt: skip
def test_hostile_texts_take_linear_time(piece: str) -> None:
    # A step that is quadratic in these 4 MB meets the time limit.
    data = (piece * (4_000_000 // len(piece) + 1)).encode()

    finds = EVERYTHING.find(data)

    assert all(0 <= start < end <= len(data) for start, end, _ in finds)
