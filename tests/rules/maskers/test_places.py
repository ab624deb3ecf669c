"""ZIP codes and IP addresses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules.maskers.places import RESTRICTED_ZIP3, IpMask, IpScrambleMask, ZipMask
from wiremask.rules.model.masks import Ip, IpScramble, Zip3

ZIP = ZipMask(Zip3(restricted=RESTRICTED_ZIP3, as_string=True))
SCRAMBLE = IpScrambleMask(IpScramble(subkey=bytes(range(32))))


@given(st.integers(0, 99999), st.sampled_from(["", "-0001", "1234"]))
@settings(max_examples=200)
def test_zip_keeps_three_digits_or_none(code: int, more: str) -> None:
    text = f"{code:05}"

    masked = ZIP.mask([text + more, str(int(text))], b"sn")

    assert masked == ["000" if text[:3] in RESTRICTED_ZIP3 else text[:3]] * 2


@pytest.mark.parametrize(
    "text",
    ["", "0213", "02139-", "02139-430", "02139 4307", "0213a", "SW1A", "\uff10\uff12\uff11\uff13\uff19", "02139\n"],
)
def test_zip_takes_nothing_else(text: str) -> None:
    assert ZIP.mask([text], b"s") == [None]


def test_restricted_areas_are_those_of_the_census_of_2000() -> None:
    assert len(RESTRICTED_ZIP3) == 17


@given(st.ip_addresses(), st.integers(0, 31), st.integers(0, 127))
@settings(max_examples=200)
def test_ip_keeps_its_prefix(address: IPv4Address | IPv6Address, v4: int, v6: int) -> None:
    bits = v4 if address.version == 4 else v6

    (masked,) = IpMask(Ip(v4=v4, v6=v6)).mask([str(address)], b"s")

    assert masked == canonical(ip_network(f"{address}/{bits}", strict=False).network_address)


def shared(one: int, other: int, bits: int) -> int:
    """How many first bits two addresses share."""
    return bits - (one ^ other).bit_length()


@given(st.lists(st.ip_addresses(v=4), min_size=2, max_size=2), st.integers(0, 31))
@settings(max_examples=100, deadline=None)
def test_scrambled_addresses_share_the_bits_that_they_shared(pair: list[IPv4Address], flip: int) -> None:
    addresses = [int(pair[0]), int(pair[0]) ^ 1 << flip, int(pair[1])]

    masked = [
        int(IPv4Address(text)) for text in SCRAMBLE.mask([str(IPv4Address(n)) for n in addresses], b"sss") if text
    ]

    assert [shared(masked[0], other, 32) for other in masked] == [shared(addresses[0], n, 32) for n in addresses]


@given(st.ip_addresses(v=6), st.integers(0, 127))
@settings(max_examples=100, deadline=None)
def test_scrambled_long_addresses_share_the_bits_that_they_shared(address: IPv6Address, flip: int) -> None:
    other = IPv6Address(int(address) ^ 1 << flip)

    one, two = [int(IPv6Address(text)) for text in SCRAMBLE.mask([str(address), str(other)], b"ss") if text]

    assert shared(one, two, 128) == 127 - flip


def test_scrambling_depends_on_the_key_and_on_nothing_beside() -> None:
    other = IpScrambleMask(IpScramble(subkey=bytes(32)))
    texts = [f"10.0.0.{i}" for i in range(100)] + ["::1", "x", "2001:db8::"]

    masked = SCRAMBLE.mask(texts, b"s" * 103)

    assert masked == [SCRAMBLE.mask([text], b"s")[0] for text in texts]
    assert masked[101] is None
    assert not set(masked[:100]) & set(other.mask(texts, b"s" * 103)[:100])


@pytest.mark.parametrize(
    "text", ["", "localhost", "192.0.2", "192.0.2.256", "192.0.2.01", "192.0.2.1:80", "192.0.2.0/24", "[::1]",
             "fe80::1%eth0", "::1::", "1" * 100_000, "192.0.2.1\0", "::1\0", "\uff11.1.1.1"]
)  # fmt: skip
def test_takes_nothing_but_addresses(text: str) -> None:
    assert IpMask(Ip()).mask([text], b"s") == [None]
    assert SCRAMBLE.mask([text], b"s") == [None]


def scrambled(key: bytes, address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Xu et al., a bit at a time: the block for bit i is the i bits before it, a 1, and zeros."""
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    bits = "".join(f"{byte:08b}" for byte in address.packed)
    made = ""
    for at, bit in enumerate(bits):
        block = int((bits[:at] + "1").ljust(128, "0"), 2) | (4 if address.version == 4 else 0)
        made += str(int(bit) ^ encryptor.update(block.to_bytes(16))[0] & 1)
    return type(address)(int(made, 2).to_bytes(len(address.packed)))


def canonical(address: IPv4Address | IPv6Address) -> str:
    """RFC 5952, groups only: what the library writes up to Python 3.12."""
    if address.version == 4 or address.ipv4_mapped is None:
        return str(address)
    return "::ffff:{:x}:{:x}".format(*divmod(int(address.ipv4_mapped), 1 << 16))


@given(st.lists(st.ip_addresses(), max_size=40))
@settings(max_examples=100, deadline=None)
def test_scrambled_addresses_are_what_the_paper_says(addresses: list[IPv4Address | IPv6Address]) -> None:
    masked = SCRAMBLE.mask([str(address) for address in addresses], b"s" * len(addresses))

    assert masked == [canonical(scrambled(bytes(range(32)), address)) for address in addresses]


def test_many_addresses_are_masked_as_each_alone() -> None:
    texts = [f"2001:db8::{i:x}" if i % 3 else f"10.1.{i % 256}.7" for i in range(300)]

    assert SCRAMBLE.mask(texts, b"s" * 300) == [SCRAMBLE.mask([text], b"s")[0] for text in texts]


@settings(max_examples=300)
@given(number=st.integers(0, (1 << 128) - 1) | st.integers(0, 1 << 40) | st.sampled_from([0xFFFF << 32, 1 << 64, 1]))
def test_long_address_is_read_and_written_as_the_library_does(number: int) -> None:
    address = IPv6Address(number)

    masked = IpMask(Ip(v6=128)).mask([str(address), address.exploded, address.exploded.upper()], b"sss")

    assert masked == [canonical(address)] * 3


@settings(max_examples=300)
@given(
    st.text("0129af:.", max_size=24)
    | st.lists(st.sampled_from(["0", "1", "ffff", "", "1.2.3.4"]), max_size=10).map(":".join)
)
def test_what_is_an_address_is_what_the_library_takes(text: str) -> None:
    try:
        expected = canonical(ip_address(text))
    except ValueError:
        expected = None

    assert IpMask(Ip(v4=32, v6=128)).mask([text], b"s") == [expected]
