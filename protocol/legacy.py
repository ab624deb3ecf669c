"""Message sets of magic 0 and 1, the formats before record batches: read, and rebuilt with other keys or values.

    message     offset int64 | size int32, of what follows | crc uint32, CRC-32 of what follows | magic int8 |
                attributes int8 | timestamp int64, magic 1 only | key bytes | value bytes
    attributes  bits 0-2 codec, 3 log append time

A message set is messages one after the other. A compressed one is a single message, the *wrapper*, whose value is the
set; the messages in it are of the same magic, and no wrappers. Brokers from 4.0 on take neither from producers and
may still serve both from old segments.

As in a record batch, all is checked before anyone sees a span of it, and what no value replaces stays as it was to the
last byte: offsets (inner ones are absolute in magic 0, relative in magic 1; neither is touched), timestamps,
attributes, keys. Sizes and CRCs of what changed are new.

Source: AbstractLegacyRecordBatch, LegacyRecord, KafkaLZ4BlockInputStream (Kafka 4.3); KIP-31, KIP-32, KAFKA-3160.
"""

from __future__ import annotations

import zlib
from array import array
from struct import Struct
from typing import TYPE_CHECKING, Final

from wiremask.protocol.compression import Codec, compress, decompress, is_xerial
from wiremask.protocol.errors import CorruptRecords, DecompressedTooLarge, UnsupportedCodec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from typing_extensions import Buffer

    from wiremask.protocol.batch import BatchSpan

PLAIN_MESSAGES: Final = 65_536
"""So many uncompressed messages are taken together: a field of many small ones costs little more than one of few."""

MESSAGES: Final = 1_000_000
"""The most messages that a compressed set may hold; producers make sets of thousands."""

_INT32: Final = Struct(">i")
_UINT32: Final = Struct(">I")
_INT32_MAX: Final = 0x7FFF_FFFF

_SIZE_AT: Final = 8
_KEPT: Final = b"kept"  # stands for itself, whatever its bytes
_LOG_OVERHEAD: Final = 12  # before what the size counts
_CRC_AT: Final = 12
_MAGIC_AT: Final = 16  # where the CRC begins
_ATTRIBUTES_AT: Final = 17
_KEY_AT: Final = (18, 26)  # by magic
_CODEC: Final = 0x07
_LAST_CODEC: Final = Codec.LZ4  # zstd came with record batches


def split_sets(records: memoryview, spans: Sequence[BatchSpan]) -> Iterator[tuple[int, int]]:
    """Where the sets are among adjacent messages of magic 0 and 1: a wrapper is one, and so is a run of plain ones."""
    start, count = -1, 0
    for span in spans:
        is_wrapper = bool(records[span.start + _ATTRIBUTES_AT] & _CODEC)
        if start >= 0 and (is_wrapper or count == PLAIN_MESSAGES):
            yield start, span.start
            start = -1
        if is_wrapper:
            yield span.start, span.end
        elif start < 0:
            start, count = span.start, 1
        else:
            count += 1
    if start >= 0:
        yield start, spans[-1].end


class MessageSet:
    """A set that was read and found sound.

    Attributes:
        section: its messages, expanded: a view of what was read if they were not compressed, else a buffer of its own.
        keys: two ints a message: start in `section`, and length or -1 for null.
        values: likewise.
    """

    def __init__(self, section: memoryview, spans: tuple[array[int], array[int]], wrapper: _Wrapper | None) -> None:
        self.section = section
        self.keys, self.values = spans
        self._wrapper = wrapper

    @property
    def headers(self) -> array[int]:
        """None: these formats have no headers."""
        return array("i")

    @property
    def is_compressed(self) -> bool:
        """Whether it came in a wrapper, so that its section is memory of its own."""
        return self._wrapper is not None

    @classmethod
    def read(cls, data: Buffer, start: int, end: int, *, limit_bytes: int) -> MessageSet:
        """Reads the wrapper, or the plain messages, that fill `data` from `start` to `end`.

        Args:
            data: a records field. Plain messages keep a view of it, so it must not be written to any more.
            start: first byte of the set.
            end: the byte behind its last.
            limit_bytes: the most that a wrapper may expand to; enforced while it does.

        Raises:
            CorruptRecords: CRC, size or contents contradict each other, or a wrapper holds none or another.
            UnsupportedCodec: a codec that this format does not have.
            DecompressedTooLarge: beyond `limit_bytes`.
        """
        view = memoryview(data)[start:end].toreadonly()
        if len(view) > _ATTRIBUTES_AT and view[_ATTRIBUTES_AT] & _CODEC:
            wrapper = _Wrapper(view)
            view = memoryview(wrapper.expand(limit_bytes)).toreadonly()
            return cls(view, _walk(view, magic=wrapper.magic, most=MESSAGES), wrapper)
        return cls(view, _walk(view, magic=None, most=_INT32_MAX), None)

    def rebuild(
        self,
        *,
        keys: tuple[Buffer, array[int]] | None = None,
        values: tuple[Buffer, array[int]] | None = None,
        level: int | None = None,
    ) -> bytes:
        """Makes the same set with other keys or values; a compressed one with its codec, in the framing that it had.

        Args:
            keys: (arena, spans): two ints a message, start and length in `arena`; start -1 keeps what is there,
                length -1 is null. None keeps all.
            values: likewise.
            level: of the codec; None is Kafka's default.

        Raises:
            DecompressedTooLarge: the set outgrew 2 GiB.
            ValueError: spans of another number than the messages, or that lead out of their arena.
        """
        new_keys, new_values = self._fates(keys), self._fates(values)
        out = bytearray()
        at = 0
        for index in range(0, len(self.values), 2):
            value_at, size = self.values[index], self.values[index + 1]
            end = value_at + max(size, 0)
            key, value = new_keys(index), new_values(index)
            if key is _KEPT and value is _KEPT:
                out += self.section[at:end]
            else:
                head = self.section[at : value_at - _INT32.size]
                if key is not _KEPT:
                    head = memoryview(bytes(self.section[at : self.keys[index] - _INT32.size]) + _field(key))
                old = None if size == -1 else self.section[value_at:end]
                _write(out, head, old if value is _KEPT else value)
            at = end
        if self._wrapper is not None:
            plain, out = out, bytearray()
            _write(out, self._wrapper.head, self._wrapper.pack(plain, level))
        if len(out) > _INT32_MAX:
            raise DecompressedTooLarge("a rebuilt message set beyond 2 GiB")
        return bytes(out)

    def _fates(self, new: tuple[Buffer, array[int]] | None) -> Callable[[int], Buffer | None]:
        """What becomes of the key or value of a message, by the place of its span: new bytes, null, or _KEPT."""
        if new is None:
            return lambda _: _KEPT
        arena, spans = memoryview(new[0]), new[1]
        if len(spans) != len(self.values):
            raise ValueError(f"{len(spans)} span bounds for {len(self.values) // 2} messages")

        def fate(index: int) -> Buffer | None:
            start, length = spans[index], spans[index + 1]
            if start == -1:
                return _KEPT
            if start < 0 or length < -1 or start + length > len(arena):
                raise ValueError("a replacement that leads out of its arena")
            return None if length == -1 else arena[start : start + length]

        return fate

    def __repr__(self) -> str:
        return f"MessageSet(messages={len(self.values) // 2}, compressed={self.is_compressed})"


class _Wrapper:
    """The message around a compressed set.

    Attributes:
        magic: of the wrapper, and so of the messages in it.
        head: the message up to its value's length.
    """

    def __init__(self, message: memoryview) -> None:
        start, size = _walk(message, magic=message[_MAGIC_AT], most=1, wrapped=False)[1]
        if size < 0:
            raise CorruptRecords("a wrapper without a message set")
        self.magic = message[_MAGIC_AT]
        self.head = message[: start - _INT32.size]
        self._codec = message[_ATTRIBUTES_AT] & _CODEC
        self._value = message[start : start + size]
        self._xerial = self._codec == Codec.SNAPPY and is_xerial(self._value)
        if self._codec > _LAST_CODEC:
            raise UnsupportedCodec(f"compression codec {self._codec} in a message of magic {self.magic}")

    @property
    def _has_broken_lz4(self) -> bool:
        return self.magic == 0 and self._codec == Codec.LZ4

    def expand(self, limit_bytes: int) -> Buffer:
        """The messages in it; the most is `limit_bytes`, enforced while they expand."""
        value = _seal_lz4(self._value, broken=False) if self._has_broken_lz4 else self._value
        section = decompress(self._codec, value, limit_bytes)
        size = memoryview(section).nbytes
        if size == 0:
            raise CorruptRecords("a wrapper of no messages")
        if size > _INT32_MAX:
            raise DecompressedTooLarge("a message set beyond 2 GiB")
        return section

    def pack(self, section: Buffer, level: int | None) -> Buffer:
        """A wrapper's value from the messages."""
        value = compress(self._codec, section, level=level, xerial=self._xerial)
        return _seal_lz4(memoryview(value), broken=True) if self._has_broken_lz4 else value


def _walk(section: memoryview, *, magic: int | None, most: int, wrapped: bool = True) -> tuple[array[int], array[int]]:
    """The keys and the values of the messages that fill a section: two ints each.

    Args:
        section: what they fill.
        magic: what all of them are of; None for either.
        most: how many there may be.
        wrapped: the messages stand in a wrapper or are plain, so that none is a wrapper itself.
    """
    keys, values = array("i"), array("i")
    at, end = 0, len(section)
    while at < end:
        if end - at <= _ATTRIBUTES_AT:
            raise CorruptRecords("a message that is shorter than its header")
        (size,) = _INT32.unpack_from(section, at + _SIZE_AT)
        own_magic = section[at + _MAGIC_AT]
        stop = at + _LOG_OVERHEAD + size
        if own_magic > 1 or magic not in {None, own_magic}:
            raise CorruptRecords(f"a message of magic {own_magic} in a set of another")
        key_at = at + _KEY_AT[own_magic]
        if not key_at + 2 * _INT32.size <= stop <= end:
            raise CorruptRecords("a message size that contradicts the set")
        if wrapped and section[at + _ATTRIBUTES_AT] & _CODEC:
            raise CorruptRecords("a compressed message among others")
        if zlib.crc32(section[at + _MAGIC_AT : stop]) != _UINT32.unpack_from(section, at + _CRC_AT)[0]:
            raise CorruptRecords("a message with another CRC than its bytes have")
        (key_size,) = _INT32.unpack_from(section, key_at)
        value_at = key_at + _INT32.size + max(key_size, 0) + _INT32.size
        if key_size < -1 or value_at > stop:
            raise CorruptRecords("a key that reaches past its message")
        (value_size,) = _INT32.unpack_from(section, value_at - _INT32.size)
        if value_size < -1 or value_at + max(value_size, 0) != stop:
            raise CorruptRecords("a value that does not end with its message")
        if len(values) >= 2 * most:
            raise CorruptRecords(f"more than {most} messages in a set")
        keys.extend((key_at + _INT32.size, key_size))
        values.extend((value_at, value_size))
        at = stop
    return keys, values


def _field(content: Buffer | None) -> bytes:
    """A key or value with its length."""
    return _INT32.pack(-1) if content is None else _INT32.pack(memoryview(content).nbytes) + bytes(content)


def _write(out: bytearray, head: memoryview, value: Buffer | None) -> None:
    """Writes a message: `head` up to its value's length, with size and CRC made anew."""
    at = len(out)
    out += head
    out += _field(value)
    if len(out) > _INT32_MAX:
        raise DecompressedTooLarge("a rebuilt message set beyond 2 GiB")
    _INT32.pack_into(out, at + _SIZE_AT, len(out) - at - _LOG_OVERHEAD)
    with memoryview(out) as view:
        crc = zlib.crc32(view[at + _MAGIC_AT :])
    _UINT32.pack_into(out, at + _CRC_AT, crc)


def _seal_lz4(frame: memoryview, *, broken: bool) -> Buffer:
    """An lz4 frame with the other checksum of its header.

    Kafka's first lz4 writers summed the frame's magic too. Readers of magic 0 expect that or, from 0.10 on, do not
    look; all others are right to refuse it.

    Source: KAFKA-3160.
    """
    if len(frame) < 7:
        return frame
    at = 6 + (8 if frame[4] & 0x08 else 0)  # a content size before it
    if len(frame) <= at:
        return frame
    sealed = bytearray(frame)
    sealed[at] = _xxh32(bytes(frame[0 if broken else 4 : at])) >> 8 & 0xFF
    return sealed


def _xxh32(data: bytes) -> int:
    """xxHash, 32 bits, seed 0, of fewer than 16 bytes.

    Source: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
    """
    mask = 0xFFFF_FFFF
    prime1, prime2, prime3, prime4, prime5 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1
    total = prime5 + len(data) & mask
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        total = total + int.from_bytes(data[at : at + 4], "little") * prime3 & mask
        total = (total << 17 | total >> 15) * prime4 & mask
    for byte in data[whole:]:
        total = total + byte * prime5 & mask
        total = (total << 11 | total >> 21) * prime1 & mask
    total = (total ^ total >> 15) * prime2 & mask
    total = (total ^ total >> 13) * prime3 & mask
    return total ^ total >> 16
