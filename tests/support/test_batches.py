"""The oracle agrees with aiokafka, so that the end-to-end tests may trust it."""

from __future__ import annotations

import pytest
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from support.batches import CODECS, StoredRecord, gzip_bomb, read_batches, write_batch

HEADERS = [("a", b"1"), ("empty", b""), ("none", None)]


@pytest.mark.parametrize("codec", CODECS)
def test_reads_what_aiokafka_writes(codec: str) -> None:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=CODECS[codec],
        is_transactional=0,
        producer_id=7,
        producer_epoch=1,
        base_sequence=5,
        batch_size=1 << 20,
    )
    for place in range(3):
        builder.append(place, 1_000 + place, b"key", None if place == 1 else b"value" * 90, HEADERS)

    (batch,) = read_batches(builder.build())

    assert batch.sound
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence, batch.base_timestamp) == (7, 1, 5, 1_000)
    assert batch.records == tuple(
        StoredRecord(
            offset_delta=place,
            timestamp_delta=place,
            key=b"key",
            value=None if place == 1 else b"value" * 90,
            headers=tuple(HEADERS),
        )
        for place in range(3)
    )


@pytest.mark.parametrize("codec", CODECS)
def test_writes_what_aiokafka_reads(codec: str) -> None:
    values = [b"one", None, b"three" * 100]

    batch = DefaultRecordBatch(write_batch(values, codec=codec, timestamp_ms=5))

    assert batch.validate_crc()
    assert [(record.value, record.timestamp, record.offset) for record in batch] == [
        (value, 5, place) for place, value in enumerate(values)
    ]


def test_tells_an_unsound_batch() -> None:
    data = bytearray(write_batch([b"one"]))
    data[-1] ^= 1

    (batch,) = read_batches(data)

    assert not batch.sound


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_refuses_a_partial_batch(cut: int) -> None:
    data = write_batch([b"value" * 30])

    with pytest.raises(ValueError, match="partial"):
        read_batches(data + data[:-cut])


def test_bomb_is_a_thousandth_of_what_it_expands_to() -> None:
    import gzip

    packed = gzip_bomb(expands_to=1 << 24)

    assert gzip.decompress(packed) == bytes(1 << 24)
    assert len(packed) < (1 << 24) // 900
