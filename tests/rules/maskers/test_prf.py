"""HMAC-SHA-256 and FF1 against published vectors, the standard library, and FF1 written down as the standard has it."""

from __future__ import annotations

import hmac
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules.maskers.prf import HALF_LIMIT_BYTES, choose_sha256, ff1, half_bytes, hmac_texts

CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
KEY = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F7F036D6F04FC6A94")
TENS, ELEVENS = bytes.fromhex("39383736353433323130"), bytes.fromhex("3737373770717273373737")

# NIST, "FF1 samples" (2016): key length, radix, tweak, plaintext, ciphertext.
SAMPLES = [
    (16, 10, b"", "0123456789", "2433477484"),
    (16, 10, TENS, "0123456789", "6124200773"),
    (16, 36, ELEVENS, "0123456789abcdefghi", "a9tv40mll9kdu509eum"),
    (24, 10, b"", "0123456789", "2830668132"),
    (24, 10, TENS, "0123456789", "2496655549"),
    (24, 36, ELEVENS, "0123456789abcdefghi", "xbj3kv35jrawxv32ysr"),
    (32, 10, b"", "0123456789", "6657667009"),
    (32, 10, TENS, "0123456789", "1001623463"),
    (32, 36, ELEVENS, "0123456789abcdefghi", "xs8a0azh2avyalyzuwd"),
]


@pytest.fixture(params=["best", "portable"])
def form(request: pytest.FixtureRequest) -> Iterator[str]:
    choose_sha256(portable=request.param == "portable")
    yield request.param
    choose_sha256(portable=False)


def encryptor(key: bytes) -> CipherContext:
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor()


def numerals(text: str) -> bytes:
    return bytes(CHARACTERS.index(character) for character in text)


def number(digits: bytes, radix: int) -> int:
    value = 0
    for digit in digits:
        value = value * radix + digit
    return value


def reference(key: bytes, radix: int, text: bytes, tweak: bytes) -> bytes:
    """FF1.Encrypt step by step (SP 800-38G algorithm 7), with Python's integers."""
    n = len(text)
    u, v = n // 2, n - n // 2
    a, b = text[:u], text[u:]
    size = -((1 - radix**v).bit_length() // -8)
    d = 4 * -(size // -4) + 4
    p = bytes([1, 2, 1]) + radix.to_bytes(3) + bytes([10, u % 256]) + n.to_bytes(4) + len(tweak).to_bytes(4)
    for i in range(10):
        q = tweak + bytes((-len(tweak) - size - 1) % 16) + bytes([i]) + number(b, radix).to_bytes(size)
        r = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).encryptor().update(p + q)[-16:]
        m = u if i % 2 == 0 else v
        c = (number(a, radix) + number(r[:d], 256)) % radix**m
        a, b = b, bytes(c // radix ** (m - 1 - k) % radix for k in range(m))
    return a + b


@pytest.mark.parametrize(("size", "radix", "tweak", "plain", "sealed"), SAMPLES)
def test_ff1_gives_the_samples_of_nist(size: int, radix: int, tweak: bytes, plain: str, sealed: str) -> None:
    key = KEY[:size]

    (encrypted,) = ff1(encryptor(key), radix, [numerals(plain)], [tweak])

    assert encrypted == numerals(sealed)
    assert ff1(encryptor(key), radix, [encrypted], [tweak], decrypt=True) == [numerals(plain)]


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_ff1_of_a_batch_is_ff1_of_each(data: st.DataObject) -> None:
    radix = data.draw(st.integers(2, 256))
    longest = max(n for n in range(2, 200) if half_bytes(radix, n) <= HALF_LIMIT_BYTES)
    texts = data.draw(
        st.lists(st.lists(st.integers(0, radix - 1), min_size=2, max_size=longest).map(bytes), max_size=5)
    )
    tweaks = [data.draw(st.binary(max_size=40)) for _ in texts]

    sealed = ff1(encryptor(KEY), radix, texts, tweaks)

    assert sealed == [reference(KEY, radix, text, tweak) for text, tweak in zip(texts, tweaks, strict=True)]
    assert ff1(encryptor(KEY), radix, sealed, tweaks, decrypt=True) == texts


@pytest.mark.parametrize(
    ("radix", "text"), [(10, b"\x0a\x01"), (10, b"\x01"), (10, bytes(57)), (257, bytes(6)), (1, bytes(6))], ids=str
)
def test_ff1_refuses_what_it_cannot_do(radix: int, text: bytes) -> None:
    with pytest.raises(ValueError, match=r"numeral|radix"):
        ff1(encryptor(KEY), radix, [text], [b""])


def test_hmac_of_every_length_is_that_of_the_standard_library(form: str) -> None:
    texts = ["é" + "x" * length for length in range(200)]

    digests = hmac_texts(KEY, texts)

    assert digests == b"".join(hmac.digest(KEY, text.encode(), "sha256") for text in texts)


def test_hmac_refuses_a_key_of_another_size() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        hmac_texts(KEY[:31], ["a"])
