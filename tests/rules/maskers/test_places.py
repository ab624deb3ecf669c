"""ZIP codes and IP addresses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules.maskers.places import RESTRICTED_ZIP3, IpMask, IpScrambleMask, ZipMask, read_address, write_v6
from wiremask.rules.maskers.prf import scramble_prefixes
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

    assert masked == str(ip_network(f"{address}/{bits}", strict=False).network_address)


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
             "fe80::1%eth0", "::1::", "1" * 100_000]
)  # fmt: skip
def test_takes_nothing_but_addresses(text: str) -> None:
    assert IpMask(Ip()).mask([text], b"s") == [None]
    assert SCRAMBLE.mask([text], b"s") == [None]


@settings(max_examples=200)
@given(number=st.integers(0, (1 << 128) - 1) | st.integers(0, 1 << 40), leading=st.booleans())
def test_address_of_128_bits_is_read_and_written_as_the_library_does(number: int, leading: bool) -> None:
    address = IPv6Address(number)

    assert read_address(address.exploded if leading else str(address)) == (128, number)
    assert write_v6(number) == str(address)


def test_scrambling_takes_whole_addresses_only() -> None:
    for addresses, size in ((b"abc", 4), (b"abcd", 5), (bytes(17), 16)):
        with pytest.raises(ValueError, match="4 or 16 bytes"):
            scramble_prefixes(Cipher(algorithms.AES(bytes(32)), modes.ECB()).encryptor(), addresses, size)
