"""What a liar makes of a message: bytes cut, dropped, doubled, changed, and lengths that are not those of what follows."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BYTES = [bytes([byte]) for byte in (0, 1, 2, 3, 8, 0x7F, 0x80, 0x81, 0xFE, 0xFF)]
VARINTS = [
    b"\x81\x00",  # longer than need be
    b"\x80\x80\x80\x80\x08",  # 2^31
    b"\xff\xff\xff\xff\x07",  # 2^31 - 1
    b"\xff\xff\xff\xff\x0f",  # -1, to who keeps 32 bits
    b"\x82\x80\x80\x80\x10",  # 2, to who drops what is beyond
    b"\x80" * 10 + b"\x01",  # of eleven bytes
]
LENGTHS = [struct.pack(">i", length) for length in (-(2**31), -2, -1, 0, 3, 2**31 - 1)] + [b"\xff\xff", b"\x7f\xff"]


def lies(body: bytes) -> Iterator[bytes]:
    """The message, and what a liar makes of it at each of its bytes."""
    yield body
    yield body + b"\0"
    yield body * 2
    for at in range(len(body)):
        yield body[:at]
        yield body[:at] + body[at + 1 :]
        yield body[:at] + body[at : at + 1] + body[at:]
        yield body[:at] + bytes([body[at] ^ 0x80]) + body[at + 1 :]
        for put in (*BYTES, *VARINTS):
            yield body[:at] + put + body[at + 1 :]
        for put in LENGTHS:
            yield body[:at] + put + body[at + len(put) :]
