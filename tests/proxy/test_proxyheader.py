"""PROXY headers: read to their last byte and no further, in pieces of any size."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.proxy.proxyheader import NoProxyHeader, ProxyHeader

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def version_2(address: str, *, command: int = 1, more: bytes = b"") -> bytes:
    packed = ip_address(address).packed
    body = packed + packed + struct.pack(">HH", 51234, 9092) + more
    family = 0x11 if len(packed) == 4 else 0x21
    return SIGNATURE + bytes((0x20 | command, family)) + struct.pack(">H", len(body)) + body


def version_1(address: str) -> bytes:
    family = "TCP6" if ":" in address else "TCP4"
    return f"PROXY {family} {address} {address} 51234 9092\r\n".encode()


def read(data: bytes, piece: int = 1 << 20) -> tuple[ProxyHeader, bytes]:
    """Feeds a stream as a socket would, and gives what is left of it."""
    header = ProxyHeader()
    while header.wanted and data:
        count = min(header.wanted, piece, len(data))
        header.feed(data[:count])
        data = data[count:]
    return header, data


@settings(max_examples=150, deadline=None)
@given(st.ip_addresses().map(str), st.sampled_from([version_1, version_2]), st.integers(1, 40), st.binary(max_size=20))
def test_the_address_is_read_and_what_follows_is_left(address: str, write: object, piece: int, rest: bytes) -> None:
    assert callable(write)

    header, left = read(write(address) + rest, piece)

    assert (header.wanted, header.address, left) == (0, ip_address(address), rest)


@pytest.mark.parametrize(
    "data",
    [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff::1 ffff::1 1 2\r\n", version_2("192.0.2.7", command=0)],
    ids=["unknown", "unknown with addresses", "local"],
)
def test_a_load_balancer_may_speak_for_itself(data: bytes) -> None:
    header, _ = read(data)

    assert (header.wanted, header.address) == (0, None)


def test_extensions_are_read_over() -> None:
    header, left = read(version_2("192.0.2.7", more=b"\x03\x00\x04abcd") + b"x")

    assert (header.address, left) == (ip_address("192.0.2.7"), b"x")


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00\x00\x20\x00\x12\x00\x03\x00\x00\x00\x01\x00\x09rd",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcde",
        b"PROXY TCP4 not-an-address 192.0.2.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7\r\n",
        b"PROXY UDP9 192.0.2.7 192.0.2.1 1 2\r\n",
        b"PROXY TCP4 " + b"1" * 120,
        SIGNATURE + b"\x31\x11" + struct.pack(">H", 12) + bytes(12),
        SIGNATURE + b"\x21\x11" + struct.pack(">H", 4) + bytes(4),
        SIGNATURE + b"\x21\x11" + struct.pack(">H", 60_000),
    ],
    ids=["kafka", "tls", "address", "addresses", "family", "no end", "version", "short", "long"],
)
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(NoProxyHeader):
        read(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"PROXY ", SIGNATURE, SIGNATURE + b"\x21\x11"]))
def test_hostile_bytes_never_crash_and_never_read_on(data: bytes, start: bytes) -> None:
    header = ProxyHeader()

    try:
        header, _ = read(start + data)
    except NoProxyHeader:
        return

    assert 0 <= header.wanted <= 2048
