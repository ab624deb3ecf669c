"""Plain batches that are masked in one call come out as the steps would have masked them, or are left to the steps."""

from __future__ import annotations

import gc
import struct
import weakref
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.batches import write_batch
from support.plain import become, plan
from wiremask.proxy.plainmask import mask_plain
from wiremask.rules.kernel.automaton import Selection
from wiremask.rules.kernel.jsonmask import JsonMasker
from wiremask.rules.model.masks import Redact

if TYPE_CHECKING:
    from support.plain import Policy
    from wiremask.rules import Direction

CLEAR = b'{"ssn":"123-45-6789","more":[1,"two"]}'
CONTROL = 0x20

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
    at: Direction, policy: Policy, parts: list[bytes], cut: int, flip: tuple[int, int] | None
) -> None:
    records = bytearray(b"".join(parts))
    del records[len(records) - min(cut, len(records) - 1) if cut > 60 else len(records) :]
    if flip is not None:
        records[flip[0] % len(records)] ^= flip[1]

    in_one = become(bytes(records), at, in_steps=False, policy=policy)
    in_steps = become(bytes(records), at, in_steps=True, policy=policy)

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


class Watched(JsonMasker):
    """One of which it can be seen whether it is gone."""


def test_a_masker_that_nobody_holds_goes_at_once_and_its_keys_with_it() -> None:
    masker = Watched([Selection(path=(), mask=Redact(), rule=0, on_unmaskable="redact")], rules=1)
    done = mask_plain(write_batch([CLEAR]), masker, is_produced=True, records_limit=10, limit_bytes=1 << 20)
    watch = weakref.ref(masker)

    gc.disable()  # what was frozen at the start is never collected, so no cycle may hold it
    try:
        del masker
        is_gone = watch() is None
    finally:
        gc.enable()

    assert done is not None
    assert is_gone
