"""What is made to get round the rules: batches that lie, values that are read in two ways, requests of other times.

The tests of `proxy/hostile` send it to a scripted broker, `broker/test_trust_hostile.py` to a real one.
"""

from __future__ import annotations

import gzip
import struct
import uuid

from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from support.batches import HEADER, StoredRecord, read_batches, write_batch, write_section
from support.kafka_oracle import oracle
from support.requests import FETCH, PRODUCE, plain_frame
from wiremask.protocol.errors import ErrorCode

SSN = b"123-45-6789"
CLEAR = b'{"ssn":"123-45-6789"}'
_CORRUPT, _INVALID, _CODEC = ErrorCode.CORRUPT_MESSAGE, ErrorCode.INVALID_RECORD, ErrorCode.UNSUPPORTED_COMPRESSION_TYPE


def _record(*, offset_delta: int = 0, headers: tuple[tuple[str, bytes | None], ...] = ()) -> StoredRecord:
    return StoredRecord(offset_delta=offset_delta, timestamp_delta=0, key=None, value=CLEAR, headers=headers)


def of_section(section: bytes, *, count: int = 1, attributes: int = 0) -> bytes:
    """A batch around a records section that may lie."""
    return write_batch([], section=section, count=count, attributes=attributes)


def _resealed(batch: bytes, **fields: int) -> bytes:
    """The batch with other fields in its header, and the CRC that these ask for."""
    names = ("offset", "length", "epoch", "magic", "crc", "attributes", "last_delta", "first", "most")
    values = list(HEADER.unpack_from(batch))
    for name, value in fields.items():
        values[names.index(name)] = value
    out = bytearray(batch)
    HEADER.pack_into(out, 0, *values)
    struct.pack_into(">I", out, 17, calc_crc32c(bytes(out[21:])))
    return bytes(out)


def _legacy(magic: int, codec: int) -> bytes:
    builder = LegacyRecordBatchBuilder(magic=magic, compression_type=codec, batch_size=10_000)
    builder.append(0, timestamp=1 if magic else None, key=None, value=CLEAR)
    return bytes(builder.build())


def _with_null_header_key() -> bytes:
    body = b"\0" + b"\0" + b"\0" + b"\1" + bytes([2 * len(CLEAR)]) + CLEAR + b"\2" + b"\1" + b"\2x"
    return bytes([2 * len(body)]) + body


def with_varint_of(count: int) -> bytes:
    """A record whose value has a length of so many bytes."""
    length = bytes([2 * len(CLEAR) | 0x80]) + b"\x80" * (count - 2) + b"\0"
    body = b"\0\0\0\1" + length + CLEAR + b"\0"
    return (
        bytes([2 * len(body) & 0x7F | 0x80, 2 * len(body) >> 7]) + body
        if len(body) > 63
        else bytes([2 * len(body)]) + body
    )


_ONE, _SECTION = write_batch([CLEAR]), write_section([_record()])
LYING_BATCHES = {
    "a batch inside a batch": (of_section(_ONE), _INVALID),
    "a batch behind the records of a batch": (of_section(_SECTION + _ONE), _INVALID),
    "a compressed batch that holds two batches": (of_section(gzip.compress(_ONE + _ONE), attributes=1), _INVALID),
    "a compressed batch that holds two sections": (of_section(gzip.compress(_SECTION * 2), attributes=1), _INVALID),
    "a message of format 0": (_legacy(0, 0), _INVALID),
    "a message of format 1": (_legacy(1, 0), _INVALID),
    "a wrapper of format 0": (_legacy(0, 1), _INVALID),
    "a wrapper of format 1": (_legacy(1, 1), _INVALID),
    "a magic of the future": (_resealed(_ONE, magic=3), _CORRUPT),
    "a codec that does not exist": (of_section(_SECTION, attributes=5), _CODEC),
    "the last codec id that there could be": (of_section(_SECTION, attributes=7), _CODEC),
    "a count above": (of_section(_SECTION, count=2), _INVALID),
    "a count below": (of_section(write_section([_record(), _record(offset_delta=1)]), count=1), _INVALID),
    "a negative count": (of_section(_SECTION, count=-1), _INVALID),
    "a length above": (_ONE[:8] + struct.pack(">i", len(_ONE) - 11) + _ONE[12:], _INVALID),
    "a length below": (_ONE[:8] + struct.pack(">i", len(_ONE) - 13) + _ONE[12:], _INVALID),
    "a negative length": (_ONE[:8] + struct.pack(">i", -1) + _ONE[12:], _INVALID),
    "an offset delta that lies": (of_section(write_section([_record(offset_delta=3)])), _INVALID),
    "a last offset delta that lies": (_resealed(_ONE, last_delta=5), _INVALID),
    "a control bit on a data batch": (_resealed(_ONE, attributes=0x20), _INVALID),
    "a control bit on a transactional data batch": (_resealed(_ONE, attributes=0x30), _INVALID),
    "a value length of eleven bytes": (of_section(with_varint_of(11)), _INVALID),
    "a value length of six bytes": (of_section(with_varint_of(6)), _INVALID),
    "a header with a null key": (of_section(_with_null_header_key()), _INVALID),
    "no batch": (b"", _INVALID),
    "a batch and a part of one": (_ONE + _ONE[:-1], _INVALID),
    "a wrong crc": (_ONE[:17] + b"\0\0\0\0" + _ONE[21:], _CORRUPT),
}
"""By name: the records of one partition, and the code that a producer gets for them."""

_TEXT = CLEAR.decode()
MARKER = b'{"wiremask":"unreadable"}'

NOT_JSON = {
    "UTF-16, little end first": _TEXT.encode("utf-16-le"),
    "UTF-16, big end first": _TEXT.encode("utf-16-be"),
    "UTF-16 with its mark": _TEXT.encode("utf-16"),
    "UTF-32": _TEXT.encode("utf-32"),
    "UTF-8 with a byte order mark": b"\xef\xbb\xbf" + _TEXT.encode(),
    "NaN": b'{"ssn":"123-45-6789","x":NaN}',
    "Infinity": b'{"ssn":"123-45-6789","x":-Infinity}',
    "two documents": _TEXT.encode() * 2,
    "two documents on two lines": _TEXT.encode() + b"\n" + _TEXT.encode(),
    "a document and a byte": _TEXT.encode() + b"\0",
    "a comment": b'/* x */ {"ssn":"123-45-6789"}',
    "single quotes": b"{'ssn':'123-45-6789'}",
    "a trailing comma": b'{"ssn":"123-45-6789",}',
    "an overlong s in the name": b'{"\xc1\xb3sn":"123-45-6789"}',
    "a lone surrogate": b'{"ssn":"123-45-6789","x":"\\ud800"}',
    "a raw control character in the name": b'{"s\x00sn":"123-45-6789"}',
    "an object that does not end": b'{"ssn":"123-45-6789"',
    "nothing": b"",
}
"""Values that are refused of a producer, and are MARKER to a reader."""

OTHERWISE_NAMED = {
    "one member": (b'{"ssn":"123-45-6789"}', b'{"ssn":"[redacted]"}'),
    "an escaped name": (b'{"s\\u0073n":"123-45-6789"}', b'{"s\\u0073n":"[redacted]"}'),
    "a name of escapes alone": (b'{"\\u0073\\u0073\\u006E":"1"}', b'{"\\u0073\\u0073\\u006E":"[redacted]"}'),
    "a duplicate member": (b'{"ssn":"123","ssn":"123-45-6789"}', b'{"ssn":"[redacted]","ssn":"[redacted]"}'),
    "an escaped duplicate": (b'{"ssn":1,"s\\u0073n":"2"}', b'{"ssn":0,"s\\u0073n":"[redacted]"}'),
    "escapes in the value": (b'{"ssn":"\\u0031\\u0032\\u0033"}', b'{"ssn":"[redacted]"}'),
    "an object in its place": (b'{"ssn":{"a":"123-45-6789"}}', b'{"ssn":{"a":"[redacted]"}}'),
    "an array in its place": (b'{"ssn":["123-45-6789"]}', b'{"ssn":["[redacted]"]}'),
    "space around it": (b' \r\n\t{"ssn" : "123-45-6789"} ', b' \r\n\t{"ssn" : "[redacted]"} '),
}
"""Values whose field is named in another way, and what becomes of them."""

BEYOND = {
    "a produce of the future": plain_frame(PRODUCE, 14, flexible=True),
    "a fetch of the future": plain_frame(FETCH, 19, flexible=True),
    "a produce of the past": plain_frame(PRODUCE, 2),
    "a fetch of the past": plain_frame(FETCH, 3),
    "a share fetch of the future": plain_frame(78, 3, flexible=True),
    "a share fetch that was unstable": plain_frame(78, 0, flexible=True),
    "an envelope around any request": plain_frame(58, 0, flexible=True),
    "a fetch of snapshots": plain_frame(59, 0, flexible=True),
    "a key that nobody has": plain_frame(93, 0, flexible=True),
    "a negative key": plain_frame(-1, 0),
}
"""Requests that close their connection."""

TWICE: dict[str, list[tuple[str, list[int]]]] = {
    "the same topic twice": [("payments", [0]), ("payments", [1])],
    "a topic without a rule between": [("payments", [0]), ("clear", []), ("payments", [1])],
    "the same partition twice": [("payments", [0, 0])],
    "the same partition of the same topic twice": [("payments", [0]), ("payments", [0])],
}
"""Topics and partitions of one Produce."""


def produce_of(version: int, topics: list[tuple[str | uuid.UUID, list[int]]]) -> bytes:
    """A Produce of the same records to each partition that is named, as often as it is named."""
    key = "topic_id" if version >= 13 else "name"
    values = {
        "transactional_id": None,
        "acks": -1,
        "timeout_ms": 1000,
        "topic_data": [
            {key: topic, "partition_data": [{"index": index, "records": _ONE} for index in partitions]}
            for topic, partitions in topics
        ],
    }
    return plain_frame(PRODUCE, version, oracle("ProduceRequest").encode(values, version), flexible=version >= 9)


def sent(body: bytes, version: int) -> list[tuple[int, list[bytes | None]]]:
    """The partitions and values that arrived, in order."""
    return [
        (partition["index"], [record.value for batch in read_batches(partition["records"]) for record in batch.records])
        for topic in oracle("ProduceRequest").decode(body, version)["topic_data"]
        for partition in topic["partition_data"]
    ]
