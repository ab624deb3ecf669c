"""The text form of keys, and what masks use of them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules.keys import KeyReference, KeyRefused, decode_key, derive_subkey

KEY = bytes.fromhex("9f0c5d2ab1e64733885cd41fe027b96a0b7de35812fc469e6d21c8b45a97033f")
BASE64 = base64.b64encode(KEY).decode()

ACCEPTED = {
    "base64": f"base64:{BASE64}",
    "hex": f"hex:{KEY.hex()}",
    "upper-case hex": f"hex:{KEY.hex().upper()}",
    "newline": f"hex:{KEY.hex()}\n",
    "carriage return and newline": f"hex:{KEY.hex()}\r\n",
}

REFUSED = {
    "nothing": ("", "begins with neither"),
    "no prefix": (KEY.hex(), "begins with neither"),
    "upper-case prefix": (f"HEX:{KEY.hex()}", "begins with neither"),
    "empty hex": ("hex:", "shorter than 32 bytes"),
    "31 bytes": (f"hex:{KEY[:31].hex()}", "shorter than 32 bytes"),
    "odd hex": (f"hex:{KEY.hex()}0", "hexadecimal digits"),
    "not hex": (f"hex:{KEY.hex()}zz", "hexadecimal digits"),
    "spaces in hex": (f"hex:{KEY.hex(' ')}", "hexadecimal digits"),
    "two newlines": (f"hex:{KEY.hex()}\n\n", "hexadecimal digits"),
    "newline within base64": (f"base64:{BASE64[:20]}\n{BASE64[20:]}", "base64 on one line"),
    "no padding": (f"base64:{BASE64.rstrip('=')}", "base64 on one line"),
    "stray bits": (f"base64:{BASE64[:-2]}{chr(ord(BASE64[-2]) + 1)}=", "base64 on one line"),
    "not base64": (f"base64:{BASE64[:-4]}é===", "base64 on one line"),
    "other alphabet": ("base64:" + base64.urlsafe_b64encode(b"\xff" * 3 + KEY).decode(), "base64 on one line"),
    "one byte over and over": ("hex:" + "a7" * 32, "repeats a shorter text"),
    "half twice": (f"hex:{KEY[:16].hex() * 2}", "repeats a shorter text"),
    "counting": ("hex:" + bytes(range(32)).hex(), "count in even steps"),
    "counting down by three": ("hex:" + bytes(-3 * n % 256 for n in range(40)).hex(), "count in even steps"),
    "a passphrase": ("base64:" + base64.b64encode(b"The quick brown fox jumps over 13 dogs").decode(), "it is text"),
    "hex of hex": ("hex:" + KEY.hex().encode().hex(), "it is text"),
    "few different bytes": ("hex:" + (bytes([1, 2, 3, 250]) * 7 + b"\x01\x07\x03\x02").hex(), "fewer than 16"),
    "too long": (f"hex:{secrets.token_bytes(1025).hex()}", "longer than 1024"),
    "much too long": ("hex:" + "00" * 100_000, "longer than 1024"),
}


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED)
def test_decodes_both_forms(text: str) -> None:
    assert decode_key(text) == KEY


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses_what_is_no_key_and_tells_nothing_of_it(text: str, message: str) -> None:
    with pytest.raises(KeyRefused, match=message) as caught:
        decode_key(text)

    told = str(caught.value) + repr(caught.value)
    material = text.removeprefix("hex:").removeprefix("base64:")
    assert not any(material[at : at + 8] in told for at in range(len(material) - 8))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@given(st.integers(32, 64))
@settings(max_examples=200, deadline=None)
def test_random_keys_are_taken(size: int) -> None:
    key = secrets.token_bytes(size)

    assert decode_key(f"base64:{base64.b64encode(key).decode()}") == key
    assert decode_key(f"hex:{key.hex()}") == key


@given(st.binary(min_size=32, max_size=64), st.from_regex(r"[A-Za-z0-9._:/-]{0,20}", fullmatch=True))
@settings(max_examples=100, deadline=None)
def test_subkey_is_hkdf_as_rfc_5869_has_it(key: bytes, domain: str) -> None:
    info = b"wiremask/v1\x00hash\x00" + domain.encode()
    extracted = hmac.digest(bytes(32), key, hashlib.sha256)

    expanded = hmac.digest(extracted, info + b"\x01", hashlib.sha256)

    assert derive_subkey(key, "hash", domain) == expanded


def test_subkey_of_the_contract_never_changes() -> None:
    subkey = derive_subkey(KEY, "hash", "email")

    assert subkey.hex() == "3dc533a6e6403827c98dfa9e204c17676535f7bc2dc72d8f15fd5ed8d468c8a8"
    assert len({subkey, derive_subkey(KEY, "hash", ""), derive_subkey(KEY, "token", "email")}) == 3


def test_reference_holds_places_only() -> None:
    assert repr(KeyReference(env="PII")) == "KeyReference(env='PII', file=None)"
