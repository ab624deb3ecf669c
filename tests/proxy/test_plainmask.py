"""Plain batches that are masked in one call come out as the steps would have masked them, or are left to the steps."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.batches import write_batch
from support.scripted import rules_text
from wiremask.protocol.errors import ProtocolError
from wiremask.proxy.masking import Allowance, Work, mask_fetched, mask_produced
from wiremask.proxy.plainmask import mask_plain
from wiremask.rules import compile_ruleset

if TYPE_CHECKING:
    from typing import Any

    from wiremask.proxy.budget import Claim
    from wiremask.rules import Direction, TopicPlan

Mask = "Callable[[memoryview, TopicPlan, Work], Any]"
WAYS: dict[Direction, Any] = {"produce": mask_produced, "fetch": mask_fetched}
CLEAR = b'{"ssn":"123-45-6789","more":[1,"two"]}'
CONTROL = 0x20


def plan(at: Direction, *, in_steps: bool, policy: str = "redact") -> TopicPlan:
    """Rules that the kernel carries out alone; `in_steps` as if it could not."""
    text = rules_text(at, more=f"    onUnreadable: {policy}\n    onUnmaskable: {policy}\n")
    made = compile_ruleset({"rules.yaml": text}, lambda _: "").match("payments", at)
    assert made is not None
    assert made.kernel is not None
    if in_steps:
        made.kernel = None
    return made


def work(*, output_bytes: int = 1 << 24, records: int = 1_000) -> Work:
    def charge(count: int) -> Claim:
        raise AssertionError(f"nothing is expanded, but {count} bytes were charged")

    return Work(
        Allowance(limit_bytes=1 << 20, is_final=True, charge=charge, records=records, output_bytes=output_bytes)
    )


def become(records: bytes, at: Direction, rules: TopicPlan, attempt: Work) -> object:
    """What comes of a field, and what is counted of it; or why it is refused."""
    try:
        pieces = WAYS[at](memoryview(records), rules, attempt)
    except ProtocolError as error:
        return type(error), str(error)
    counted = [
        (changed, unreadable, list(masked)) for _, one in attempt._done for changed, unreadable, masked in one.parts
    ]
    totals = [sum(count[0] for count in counted), sum(count[1] for count in counted)]
    by_rule = [sum(column) for column in zip(*(count[2] for count in counted), strict=True)]
    return None if pieces is None else b"".join(pieces), totals, [count for count in by_rule if count]


values = st.one_of(
    st.none(),
    st.sampled_from(
        [CLEAR, b'{"ssn":null}', b'{"ssn":"","a":{"ssn":"1"}}', b"{", b"", b"[]", b'{"ssn":7}', b'{"ssn":[{}]}']
    ),
    st.binary(max_size=20),
)
batches = st.one_of(
    st.lists(values, min_size=1, max_size=6).map(write_batch),
    st.sampled_from(
        [write_batch([]), write_batch([b"\0\0\0\0\0\1"], attributes=CONTROL), write_batch([CLEAR], count=2)]
    ),
)


@settings(max_examples=300)
@given(
    at=st.sampled_from(["produce", "fetch"]),
    policy=st.sampled_from(["redact", "reject"]),
    parts=st.lists(batches, min_size=1, max_size=4),
    cut=st.integers(0, 80),
    flip=st.one_of(st.none(), st.tuples(st.integers(0, 10_000), st.integers(1, 255))),
)
def test_one_call_and_the_steps_come_to_the_same(
    at: Direction, policy: str, parts: list[bytes], cut: int, flip: tuple[int, int] | None
) -> None:
    records = bytearray(b"".join(parts))
    del records[len(records) - min(cut, len(records) - 1) if cut > 60 else len(records) :]
    if flip is not None:
        records[flip[0] % len(records)] ^= flip[1]

    in_one = become(bytes(records), at, plan(at, in_steps=False, policy=policy), work())
    in_steps = become(bytes(records), at, plan(at, in_steps=True, policy=policy), work())

    assert in_one == in_steps


@pytest.mark.parametrize("at", ["produce", "fetch"])
def test_batches_are_masked_in_one_call(at: Direction) -> None:
    records = write_batch([CLEAR, None]) + write_batch([b"{}"]) + write_batch([CLEAR])
    kernel = plan(at, in_steps=False).kernel
    assert kernel is not None

    done = mask_plain(records, kernel, is_produced=at == "produce", records_limit=10, limit_bytes=1 << 20)

    assert done is not None
    content, count, changed, unreadable, masked = done
    assert content is not None
    assert b"123-45-6789" not in content
    assert write_batch([b"{}"]) in content
    assert (count, changed, unreadable, list(masked)) == (3, 2, 0, [2])


@pytest.mark.parametrize(
    "records",
    [
        write_batch([CLEAR], codec="gzip"),
        write_batch([CLEAR]) + write_batch([CLEAR], codec="zstd"),
        write_batch([CLEAR])[:-1] + b"!",
        write_batch([CLEAR] * 11),
        write_batch([CLEAR]) + b"\0",
        write_batch([CLEAR]) + struct.pack(">qi", 0, 5) + bytes(60),
        write_batch([b"{"]),
        b"",
    ],
    ids=[
        "compressed",
        "compressed behind",
        "crc",
        "too many records",
        "a byte behind",
        "too short",
        "unreadable",
        "none",
    ],
)
def test_what_is_in_doubt_is_left_to_the_steps(records: bytes) -> None:
    kernel = plan("produce", in_steps=False, policy="reject").kernel
    assert kernel is not None

    assert mask_plain(records, kernel, is_produced=True, records_limit=10, limit_bytes=1 << 20) is None


def test_a_batch_that_masks_make_too_large_is_left_to_the_steps() -> None:
    records = write_batch([CLEAR] * 3)
    kernel = plan("produce", in_steps=False).kernel
    assert kernel is not None
    done = mask_plain(records, kernel, is_produced=True, records_limit=10, limit_bytes=len(records))
    assert done is not None
    assert done[0] is not None
    section = len(done[0]) - 61

    fits = mask_plain(records, kernel, is_produced=True, records_limit=10, limit_bytes=section)
    too_large = mask_plain(records, kernel, is_produced=True, records_limit=10, limit_bytes=section - 1)

    assert fits is not None
    assert too_large is None
