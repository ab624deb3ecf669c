"""CRC-32C: the published vectors, and the fast and the portable way against a definition of one line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.protocol.batch import CRC32C_IMPLEMENTATION, crc32c, crc32c_portable

WAYS = pytest.mark.parametrize("checksum", [crc32c, crc32c_portable], ids=[CRC32C_IMPLEMENTATION, "portable"])

RFC_3720_B_4 = {
    "32 zeros": (bytes(32), 0x8A9136AA),
    "32 ones": (b"\xff" * 32, 0x62A8AB43),
    "ascending": (bytes(range(32)), 0x46DD794E),
    "descending": (bytes(range(31, -1, -1)), 0x113FDB5C),
    "iSCSI read command": (
        bytes.fromhex(
            "01c00000000000000000000000000000140000000000040000000014000000182800000000000000" + "02000000" + "00000000"
        ),
        0xD9963A56,
    ),
    "check value of the catalogue of CRCs": (b"123456789", 0xE3069283),
    "nothing": (b"", 0),
}


def by_definition(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@WAYS
@pytest.mark.parametrize("vector", RFC_3720_B_4)
def test_agrees_with_published_vectors(checksum, vector):
    data, expected = RFC_3720_B_4[vector]

    assert checksum(data) == expected


@WAYS
@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=300), offset=st.integers(0, 15))
def test_agrees_with_the_definition_at_any_alignment(checksum, data, offset):
    padded = bytes(offset) + data

    result = checksum(memoryview(padded)[offset:])

    assert result == by_definition(data)


@pytest.mark.parametrize(
    "size", [767, 768, 769, 1536, 12287, 12288, 12289, 12288 + 768, 2 * 12288 + 3 * 768 + 13, 100_003]
)
def test_both_ways_agree_where_stretches_are_joined(size):
    data = bytes(index * 167 + (index >> 7) & 0xFF for index in range(size))

    fast = crc32c(data)

    assert fast == crc32c_portable(data)


@WAYS
@settings(max_examples=100, deadline=None)
@given(data=st.binary(min_size=1, max_size=2000), cut=st.integers(0, 2000))
def test_goes_on_from_the_crc_of_what_came_before(checksum, data, cut):
    first, second = data[:cut], data[cut:]

    joined = checksum(second, checksum(first))

    assert joined == checksum(data)


@WAYS
def test_reads_any_buffer_and_refuses_what_is_none(checksum):
    data = bytearray(b"123456789")

    results = {checksum(data), checksum(memoryview(data)), checksum(bytes(data))}

    assert results == {0xE3069283}
    with pytest.raises(TypeError):
        checksum(None)
    with pytest.raises((TypeError, BufferError)):
        checksum("123456789")
