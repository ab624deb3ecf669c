"""The four codecs of record batches, bounded while they expand.

Compressed bytes come from anyone, so a size that they state is never trusted with memory: a buffer starts at a
multiple of the input, or at the most that the codec's own blocks can give if that is less, and grows by four
until the content fits or the limit is passed.

What is accepted is what every Kafka client and broker reads the same way, to the last byte:

    gzip    members one after the other (RFC 1952), nothing behind them
    snappy  one raw block, as librdkafka writes it, or xerial framing, as Java writes it: the magic, version 1 twice,
            then blocks, each behind its int32 length. Java and librdkafka tell them apart by the magic, as we do
    lz4     one frame, version 1, independent blocks, no dictionary, as Java's reader demands
    zstd    one frame, no dictionary

Several lz4 or zstd frames, skippable frames and trailing bytes are refused: some readers stop after the first frame
(Java's for lz4) or pass over what follows (Java's for gzip and snappy), others go on or fail, and readers that disagree
are a way round the rules.

What is written is what Java writes: snappy in the framing that the caller names, lz4 with 64 KB independent blocks
and no checksums, zstd in one frame.

Source: org.apache.kafka.common.compress (4.3); LZ4 frame format 1.6; RFC 8878; snappy's framing of xerial/snappy-java.
"""

from __future__ import annotations

import zlib
from enum import IntEnum
from typing import TYPE_CHECKING, Literal

import cramjam

from wiremask.protocol.errors import CorruptRecords, DecompressedTooLarge, UnsupportedCodec

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer


class Codec(IntEnum):
    """The low three bits of a batch's attributes."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


_FIRST_BYTES = 1 << 20  # what any input may claim at once
_FIRST_RATIO = 16  # and beyond it, this times its own size
_GROWTH = 4

# Producers fill their blocks, so that even zeros take more than this. Far more blocks, each nearly empty, only
# cost time: every one is looked at here, in Python.
_BLOCKS_FREE = 4096
_BLOCK_BYTES_MEAN = 256

_GZIP_WBITS = 31  # zlib: a gzip header and trailer, the largest window
_GZIP_PIECE_BYTES = 1 << 18
_GZIP_STEP_BYTES = 1 << 20

_XERIAL_MAGIC = b"\x82SNAPPY\x00"
_XERIAL_HEADER = _XERIAL_MAGIC + b"\x00\x00\x00\x01\x00\x00\x00\x01"  # version, oldest version that can read it
_XERIAL_BLOCK_BYTES = 32 << 10
_SNAPPY_RATIO = 22  # a copy element of 3 bytes gives 64 at most

_LZ4_MAGIC = b"\x04\x22\x4d\x18"
_LZ4_HEADER = _LZ4_MAGIC + b"\x60\x40\x82"  # version 1, independent blocks; 64 KB; the header's checksum
_LZ4_BLOCK_BYTES = 64 << 10
_LZ4_STORED = 1 << 31
_LZ4_RATIO = 255  # a length byte stands for 255 bytes at most

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_BLOCK_BYTES = 128 << 10
_ZSTD_LEVEL = 3  # Kafka's default


def is_xerial(data: Buffer) -> bool:
    """Tells whether snappy bytes are in Java's framing (as opposed to one raw block)."""
    return bytes(memoryview(data)[: len(_XERIAL_MAGIC)]) == _XERIAL_MAGIC


def decompress(codec: int, data: Buffer, limit_bytes: int) -> Buffer:
    """Expands a compressed records section.

    Returns:
        A new buffer of at most `limit_bytes`; for codec 0, `data` itself (nothing expands, nothing is checked).

    Raises:
        CorruptRecords: `data` is not exactly one stream of this codec.
        DecompressedTooLarge: it holds more than `limit_bytes`; found out without holding more.
        UnsupportedCodec: the codec id is none of Kafka's.
    """
    view = memoryview(data)
    if codec == Codec.NONE:
        return data
    if codec == Codec.GZIP:
        return _expand_gzip(view, limit_bytes)
    if codec == Codec.SNAPPY:
        return _expand_snappy(view, limit_bytes)
    if codec == Codec.LZ4:
        return _expand(cramjam.lz4.decompress_into, view, _measure_lz4(view), limit_bytes)
    if codec == Codec.ZSTD:
        return _expand(cramjam.zstd.decompress_into, view, _measure_zstd(view), limit_bytes)
    raise UnsupportedCodec(f"compression codec {codec}")


def compress(codec: int, data: Buffer, *, level: int | None = None, xerial: bool = False) -> Buffer:
    """Compresses a records section so that Java, librdkafka and the rest can read it.

    Args:
        codec: one of `Codec`.
        data: the whole section.
        level: the codec's own scale; None is Kafka's default (gzip 6, zstd 3, the fast compressor of lz4).
        xerial: snappy only: Java's framing in place of one raw block.

    Raises:
        UnsupportedCodec: the codec id is none of Kafka's.
    """
    if codec == Codec.NONE:
        return data
    if codec == Codec.GZIP:
        return zlib.compress(data, -1 if level is None else level, _GZIP_WBITS)
    if codec == Codec.SNAPPY:
        return _pack_xerial(memoryview(data)) if xerial else bytes(cramjam.snappy.compress_raw(data))
    if codec == Codec.LZ4:
        return _pack_lz4(memoryview(data), level)
    if codec == Codec.ZSTD:
        return bytes(cramjam.zstd.compress(data, _ZSTD_LEVEL if level is None else level))
    raise UnsupportedCodec(f"compression codec {codec}")


def _expand(
    decode: Callable[[memoryview, bytearray], int], data: memoryview, bound: int, limit_bytes: int
) -> bytearray:
    """Decodes into a buffer that grows until the content fits; it never fits in more than `bound`."""
    capacity = min(bound, limit_bytes, max(_FIRST_BYTES, _FIRST_RATIO * len(data)))
    while True:
        out = bytearray(capacity)
        try:
            written = decode(data, out)
        except cramjam.DecompressionError as error:
            # The one fault that more room can heal; cramjam has no class for it, so a test pins the words.
            if str(error) != "failed to write whole buffer" or capacity == bound:
                raise CorruptRecords("a compressed section that cannot be expanded") from None
        else:
            del out[written:]
            return out
        if capacity == limit_bytes:
            raise DecompressedTooLarge(f"a section that expands beyond {limit_bytes} bytes")
        del out  # before the next one is made
        capacity = min(bound, limit_bytes, capacity * _GROWTH)


def _expand_gzip(data: memoryview, limit_bytes: int) -> bytearray:
    """Expands members in turn. zlib takes and gives small pieces, so nothing needs to be guessed or done twice."""
    out = bytearray()
    position = members = 0
    while position < len(data) or not members:
        members += 1
        _check_blocks(members, len(data))
        inflater = zlib.decompressobj(_GZIP_WBITS)
        while not inflater.eof:
            piece = data[position : position + _GZIP_PIECE_BYTES]
            try:
                grown = inflater.decompress(piece, min(_GZIP_STEP_BYTES, limit_bytes - len(out) + 1))
            except zlib.error:
                raise CorruptRecords("a gzip section that cannot be expanded") from None
            if not piece and not grown:
                raise CorruptRecords("a gzip section that is cut off")
            position += len(piece) - len(inflater.unconsumed_tail) - len(inflater.unused_data)
            if len(out) + len(grown) > limit_bytes:
                raise DecompressedTooLarge(f"a section that expands beyond {limit_bytes} bytes")
            out += grown
    return out


def _expand_snappy(data: memoryview, limit_bytes: int) -> bytearray:
    blocks = _split_xerial(data) if is_xerial(data) else [data]
    sizes = [_measure_snappy(block) for block in blocks]
    if sum(sizes) > limit_bytes:
        raise DecompressedTooLarge(f"a section that expands beyond {limit_bytes} bytes")
    out = bytearray(sum(sizes))
    with memoryview(out) as room:
        position = 0
        for block, size in zip(blocks, sizes, strict=True):
            try:
                written = cramjam.snappy.decompress_raw_into(block, room[position : position + size])
            except cramjam.DecompressionError:
                raise CorruptRecords("a snappy block that cannot be expanded") from None
            if written != size:
                raise CorruptRecords("a snappy block of another size than it states")
            position += size
    return out


def _split_xerial(data: memoryview) -> list[memoryview]:
    if bytes(data[: len(_XERIAL_HEADER)]) != _XERIAL_HEADER:
        raise CorruptRecords("a snappy framing of an unknown version")
    blocks = []
    position = len(_XERIAL_HEADER)
    while position < len(data):
        size = int.from_bytes(data[position : position + 4], "big", signed=True)
        position += 4
        # Java takes a second header here and skips it; no writer writes one.
        if not 0 < size <= len(data) - position:
            raise CorruptRecords("a snappy block length that contradicts the section")
        blocks.append(data[position : position + size])
        _check_blocks(len(blocks), len(data))
        position += size
    return blocks


def _measure_snappy(block: memoryview) -> int:
    """Reads the size that a raw block states, and refuses one that its bytes could not give."""
    size = 0
    for shift, byte in zip(range(0, 35, 7), block[:5], strict=False):
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    else:
        raise CorruptRecords("a snappy block without its size")
    if size > _SNAPPY_RATIO * len(block):
        raise CorruptRecords("a snappy block of another size than it states")
    return size


def _measure_lz4(data: memoryview) -> int:
    """Walks the blocks of exactly one frame.

    Returns:
        The most that the frame can expand to.

    Raises:
        CorruptRecords: it is no frame that Kafka reads, or not one only.
    """
    if bytes(data[:4]) != _LZ4_MAGIC or len(data) < len(_LZ4_HEADER):
        raise CorruptRecords("an lz4 section without a frame")
    flags, descriptor = data[4], data[5]
    # version 01, independent blocks; bits 0 (a dictionary) and 1 (reserved) clear
    if flags & 0b1110_0011 != 0b0110_0000 or descriptor & 0b1000_1111 or not 4 <= descriptor >> 4 <= 7:
        raise CorruptRecords("an lz4 frame of a kind that Kafka does not read")
    block_bytes = 1 << (2 * (descriptor >> 4) + 8)
    block_checksum = 4 if flags & 0b0001_0000 else 0
    content_checksum = 4 if flags & 0b0000_0100 else 0
    states_size = flags & 0b0000_1000
    stated = int.from_bytes(data[6:14], "little") if states_size else 0
    position = 6 + (8 if states_size else 0) + 1  # the checksum of the header, which the decoder proves

    bound = blocks = 0
    while True:
        word = data[position : position + 4]
        if len(word) != 4:
            raise CorruptRecords("an lz4 frame that is cut off")
        size = int.from_bytes(word, "little")
        position += 4
        if size == 0:
            break
        stored, size = size & _LZ4_STORED, size & ~_LZ4_STORED
        if size > block_bytes:
            raise CorruptRecords("an lz4 block that is larger than its frame allows")
        bound += size if stored else min(block_bytes, _LZ4_RATIO * size)
        position += size + block_checksum
        blocks += 1
        _check_blocks(blocks, len(data))
    if position + content_checksum != len(data):
        raise CorruptRecords("an lz4 frame that does not end with its section")
    if states_size and stated > bound:
        raise CorruptRecords("an lz4 frame of another size than it states")
    return stated if states_size else bound


def _measure_zstd(data: memoryview) -> int:
    """Walks the blocks of exactly one frame; returns and raises as `_measure_lz4` does."""
    if bytes(data[:4]) != _ZSTD_MAGIC or len(data) < 6:
        raise CorruptRecords("a zstd section without a frame")
    descriptor = data[4]
    if descriptor & 0b0000_1011:  # bit 3 is reserved, bits 0-1 name a dictionary
        raise CorruptRecords("a zstd frame of a kind that Kafka does not read")
    single_segment = descriptor & 0b0010_0000
    size_bytes = (1 if single_segment else 0, 2, 4, 8)[descriptor >> 6]
    position = 5
    window_bytes = 0
    if not single_segment:
        exponent, mantissa = data[5] >> 3, data[5] & 7
        window_bytes = (8 + mantissa) << (7 + exponent)
        position += 1
    stated = int.from_bytes(data[position : position + size_bytes], "little") + (256 if size_bytes == 2 else 0)
    position += size_bytes
    block_bytes = min(stated if single_segment else window_bytes, _ZSTD_BLOCK_BYTES)

    bound = blocks = last = 0
    while not last:
        head = data[position : position + 3]
        if len(head) != 3:
            raise CorruptRecords("a zstd frame that is cut off")
        word = int.from_bytes(head, "little")
        last, kind, size = word & 1, word >> 1 & 3, word >> 3
        if kind == 3 or size > block_bytes:
            raise CorruptRecords("a zstd block that its frame does not allow")
        bound += block_bytes if kind == 2 else size  # raw and repeated blocks say how much they give
        position += 3 + (1 if kind == 1 else size)
        blocks += 1
        _check_blocks(blocks, len(data))
    if position + (4 if descriptor & 0b0000_0100 else 0) != len(data):
        raise CorruptRecords("a zstd frame that does not end with its section")
    if size_bytes and stated > bound:
        raise CorruptRecords("a zstd frame of another size than it states")
    return stated if size_bytes else bound


def _check_blocks(blocks: int, size: int) -> None:
    if blocks > _BLOCKS_FREE + size // _BLOCK_BYTES_MEAN:
        raise CorruptRecords("a compressed section of more blocks than any producer writes")


def _pack_xerial(data: memoryview) -> bytes:
    pieces: list[Buffer] = [_XERIAL_HEADER]
    for start in range(0, len(data), _XERIAL_BLOCK_BYTES):
        block = cramjam.snappy.compress_raw(data[start : start + _XERIAL_BLOCK_BYTES])
        pieces += (len(block).to_bytes(4, "big"), block)
    return b"".join(pieces)


def _pack_lz4(data: memoryview, level: int | None) -> bytes:
    mode: Literal["default", "high_compression"] = "default" if level is None else "high_compression"
    pieces: list[Buffer] = [_LZ4_HEADER]
    for start in range(0, len(data), _LZ4_BLOCK_BYTES):
        plain = data[start : start + _LZ4_BLOCK_BYTES]
        block = cramjam.lz4.compress_block(plain, mode=mode, compression=level, store_size=False)
        if len(block) < len(plain):
            pieces += (len(block).to_bytes(4, "little"), block)
        else:
            pieces += ((len(plain) | _LZ4_STORED).to_bytes(4, "little"), plain)
    pieces.append(bytes(4))
    return b"".join(pieces)
