"""An independent reader and writer of record batches, plain and slow: the oracle of the end-to-end tests.

Layout of a batch (magic 2), big endian:

    base offset 8 | length 4 | leader epoch 4 | magic 1 | crc 4 | attributes 2 | last offset delta 4 | base timestamp 8 |
    max timestamp 8 | producer id 8 | producer epoch 2 | base sequence 4 | count 4 | records

The length counts from the leader epoch, the CRC-32C covers attributes to the end, the low three attribute bits are the codec.

Source: https://kafka.apache.org/documentation/#recordbatch
"""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cramjam
from aiokafka.record.util import calc_crc32c

if TYPE_CHECKING:
    from collections.abc import Sequence

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
HEADER = struct.Struct(">qiibIhiqqqhii")
XERIAL = b"\x82SNAPPY\x00"

Header = tuple[str, bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """One record as it stands in a batch."""

    offset_delta: int
    timestamp_delta: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBatch:
    """One batch; `crc` is what stands there, `sound` whether it is right."""

    base_offset: int
    leader_epoch: int
    crc: int
    sound: bool
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    size: int
    records: tuple[StoredRecord, ...]

    def without_values(self) -> StoredBatch:
        """The batch with what a mask may change taken out: values, size and CRC."""
        bare = tuple(replace(record, value=None if record.value is None else b"") for record in self.records)
        return replace(self, crc=0, size=0, records=bare)


def read_batches(data: bytes | bytearray | memoryview) -> list[StoredBatch]:
    """All batches of a records field or a log segment.

    Raises:
        ValueError: the bytes are no sequence of whole batches.
    """
    view, batches = memoryview(data), []
    position = 0
    while position < len(view):
        fields = HEADER.unpack_from(view, position)
        size = fields[1] + 12
        if position + size > len(view):
            raise ValueError("a partial batch")
        batches.append(_read_batch(view[position : position + size], fields))
        position += size
    return batches


def _read_batch(view: memoryview, fields: tuple[int, ...]) -> StoredBatch:
    base_offset, _, leader_epoch, magic, crc, attributes, last_delta, base_ts, max_ts, pid, epoch, sequence, count = (
        fields
    )
    if magic != 2:
        raise ValueError(f"magic {magic}")
    section = _expand(attributes & 7, bytes(view[HEADER.size :]))
    records = []
    position = 0
    for _ in range(count):
        record, position = _read_record(section, position)
        records.append(record)
    if position != len(section):
        raise ValueError("bytes after the last record")
    return StoredBatch(
        base_offset=base_offset,
        leader_epoch=leader_epoch,
        crc=crc,
        sound=calc_crc32c(bytes(view[21:])) == crc,
        attributes=attributes,
        last_offset_delta=last_delta,
        base_timestamp=base_ts,
        max_timestamp=max_ts,
        producer_id=pid,
        producer_epoch=epoch,
        base_sequence=sequence,
        size=len(view),
        records=tuple(records),
    )


def _read_record(section: bytes, position: int) -> tuple[StoredRecord, int]:
    length, position = _read_varint(section, position)
    end = position + length
    timestamp_delta, position = _read_varint(section, position + 1)
    offset_delta, position = _read_varint(section, position)
    key, position = _read_bytes(section, position)
    value, position = _read_bytes(section, position)
    count, position = _read_varint(section, position)
    headers = []
    for _ in range(count):
        name, position = _read_bytes(section, position)
        content, position = _read_bytes(section, position)
        headers.append(((name or b"").decode(), content))
    if position != end:
        raise ValueError("a record's length is wrong")
    return (
        StoredRecord(
            offset_delta=offset_delta, timestamp_delta=timestamp_delta, key=key, value=value, headers=tuple(headers)
        ),
        position,
    )


def _read_bytes(data: bytes, position: int) -> tuple[bytes | None, int]:
    length, position = _read_varint(data, position)
    if length < 0:
        return None, position
    if position + length > len(data):
        raise ValueError("a length beyond the end")
    return data[position : position + length], position + length


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    raw = shift = 0
    while True:
        byte = data[position]
        position += 1
        raw |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (raw >> 1) ^ -(raw & 1), position
        shift += 7


def _expand(codec: int, data: bytes) -> bytes:
    match codec:
        case 0:
            return data
        case 1:
            return gzip.decompress(data)
        case 2:
            return _expand_snappy(data)
        case 3:
            return bytes(cramjam.lz4.decompress(data))
        case 4:
            return bytes(cramjam.zstd.decompress(data))
    raise ValueError(f"codec {codec}")


def _expand_snappy(data: bytes) -> bytes:
    if not data.startswith(XERIAL):
        return bytes(cramjam.snappy.decompress_raw(data))
    position, blocks = 16, []
    while position < len(data):
        (size,) = struct.unpack_from(">i", data, position)
        blocks.append(bytes(cramjam.snappy.decompress_raw(data[position + 4 : position + 4 + size])))
        position += 4 + size
    return b"".join(blocks)


def write_section(records: Sequence[StoredRecord]) -> bytes:
    """The records section of a batch, not compressed."""
    section = bytearray()
    for record in records:
        body = b"\x00" + _varint(record.timestamp_delta) + _varint(record.offset_delta)
        body += _bytes(record.key) + _bytes(record.value) + _varint(len(record.headers))
        for name, content in record.headers:
            body += _bytes(name.encode()) + _bytes(content)
        section += _varint(len(body)) + body
    return bytes(section)


def write_batch(
    values: Sequence[bytes | None],
    *,
    codec: str = "none",
    timestamp_ms: int = 1_700_000_000_000,
    section: bytes | None = None,
    count: int | None = None,
    attributes: int = 0,
) -> bytes:
    """A batch as a plain producer sends it. `section` (compressed already), `count` and `attributes` let a test lie."""
    records = [
        StoredRecord(offset_delta=place, timestamp_delta=0, key=None, value=value) for place, value in enumerate(values)
    ]
    if section is None:
        section = _compress(codec, write_section(records))
    count = len(records) if count is None else count
    tail = struct.pack(
        ">hiqqqhii", attributes | CODECS[codec], count - 1, timestamp_ms, timestamp_ms, -1, -1, -1, count
    )
    tail += section
    return struct.pack(">qiibI", 0, len(tail) + 9, -1, 2, calc_crc32c(tail)) + tail


def gzip_bomb(*, expands_to: int) -> bytes:
    """A sound gzip section of concatenated members which expands to that many zeros, about a thousandth of it in size."""
    chunk = 1 << 20
    member = gzip.compress(bytes(chunk), 9, mtime=0)
    return member * (expands_to // chunk)


def _compress(codec: str, section: bytes) -> bytes:
    match codec:
        case "none":
            return section
        case "gzip":
            packer = zlib.compressobj(wbits=31)
            return packer.compress(section) + packer.flush()
        case "snappy":
            return bytes(cramjam.snappy.compress_raw(section))
        case "lz4":
            return bytes(cramjam.lz4.compress(section))
        case "zstd":
            return bytes(cramjam.zstd.compress(section))
    raise ValueError(codec)


def _bytes(content: bytes | None) -> bytes:
    return _varint(-1) if content is None else _varint(len(content)) + content


def _varint(number: int) -> bytes:
    raw = (number << 1) ^ (number >> 63)
    out = bytearray()
    while raw > 0x7F:
        out.append(raw & 0x7F | 0x80)
        raw >>= 7
    out.append(raw)
    return bytes(out)
