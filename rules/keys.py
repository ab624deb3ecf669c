"""Keys: references to them, their text form, and the subkeys that masks use.

The text form is `base64:` (RFC 4648 section 4, with padding) or `hex:`, one newline at the end ignored. What follows
the prefix is at least 32 bytes of a random source; what is plainly not random is refused.

A mask never uses a key itself but HKDF-SHA-256 of it, without salt, 32 bytes, with this `info`:

    b"wiremask/v1" 00 <name of the mask> 00 <domain, or nothing>

This is a contract: two releases, or two programs, that agree on it give the same masked values.

Source: RFC 5869 (HKDF), RFC 4648 (base64, hex).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from itertools import pairwise

from wiremask.rules.subkey import Subkey, take

KEY_FLOOR_BYTES = 32
KEY_LIMIT_BYTES = 1024
DISTINCT_FLOOR = 16
SUBKEY_BYTES = 32
CONTEXT = b"wiremask/v1"

_TEXT_LIMIT_CHARACTERS = 4 * KEY_LIMIT_BYTES
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReference:
    """Where the text of a key stands: one of the two is set. Never holds the key.

    Attributes:
        env: the name of an environment variable.
        file: an absolute path.
    """

    env: str | None = None
    file: str | None = None


class KeyRefused(ValueError):
    """A text that is no key that may be used. The message tells the fault and nothing of the text."""


def decode_key(text: str) -> bytearray:
    """Decodes the text form of a key, into memory that whoever asked can overwrite.

    Raises:
        KeyRefused: neither form, too short, too long, or plainly not random.
    """
    text = text.removesuffix("\n").removesuffix("\r")
    if len(text) > _TEXT_LIMIT_CHARACTERS:
        raise KeyRefused(f"the key is longer than {KEY_LIMIT_BYTES} bytes")
    if text.startswith("base64:"):
        key = _decode_base64(text.removeprefix("base64:"))
    elif text.startswith("hex:"):
        key = _decode_hex(text.removeprefix("hex:"))
    else:
        raise KeyRefused("the key's text begins with neither `base64:` nor `hex:`; write one of them before it")
    if len(key) < KEY_FLOOR_BYTES:
        raise KeyRefused(f"the key is shorter than {KEY_FLOOR_BYTES} bytes; make one with `wiremask keygen`")
    if len(key) > KEY_LIMIT_BYTES:
        raise KeyRefused(f"the key is longer than {KEY_LIMIT_BYTES} bytes")
    weakness = _weakness(key)
    if weakness is not None:
        raise KeyRefused(f"the key is not random: {weakness}; make one with `wiremask keygen`")
    return key


def derive_subkey(key: bytes | bytearray, mask: str, domain: str) -> Subkey:
    """The 32 bytes that one mask uses under one domain.

    Source: RFC 5869 section 2, with an empty salt.
    """
    # Loaded here: `cryptography` costs 20 ms, and only keyed masks need it.
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    info = b"\0".join((CONTEXT, mask.encode("ascii"), domain.encode("ascii")))
    return take(HKDF(algorithm=SHA256(), length=SUBKEY_BYTES, salt=None, info=info).derive(key))


def _decode_base64(text: str) -> bytearray:
    try:
        key = bytearray(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise KeyRefused("what follows `base64:` is not base64 on one line with its padding") from None
    if base64.b64encode(key).decode("ascii") != text:
        raise KeyRefused("what follows `base64:` is not base64 on one line with its padding")
    return key


def _decode_hex(text: str) -> bytearray:
    if _HEX.fullmatch(text) is None:
        raise KeyRefused("what follows `hex:` is not an even number of hexadecimal digits on one line")
    return bytearray.fromhex(text)


def _weakness(key: bytearray) -> str | None:
    """Why these bytes cannot come from a random source; each test fails for fewer than one random key in 10^12."""
    if (key + key).find(key, 1) < len(key):
        return "it repeats a shorter text"
    if len({(after - before) % 256 for before, after in pairwise(key)}) == 1:
        return "its bytes count in even steps"
    if all(0x20 <= byte < 0x7F for byte in key):
        return "it is text"
    if len(set(key)) < DISTINCT_FLOOR:
        return f"it has fewer than {DISTINCT_FLOOR} different bytes"
    return None
