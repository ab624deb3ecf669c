"""Codecs: exact, bounded while they expand, and read and written by Kafka's other implementations."""

from __future__ import annotations

import gzip
import os
import tracemalloc
import zlib

import aiokafka.codec
import cramjam
import kafka.codec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.protocol.compression import Codec, compress, decompress, is_xerial
from wiremask.protocol.errors import CorruptRecords, DecompressedTooLarge, RecordsError, UnsupportedCodec

MIB = 1 << 20
PLAIN = b"".join(b'{"id":%d,"name":"customer %d"}' % (index, index * 7919) for index in range(200))

FORMS = {
    "gzip": (Codec.GZIP, False),
    "snappy": (Codec.SNAPPY, False),
    "xerial": (Codec.SNAPPY, True),
    "lz4": (Codec.LZ4, False),
    "zstd": (Codec.ZSTD, False),
}
EACH_FORM = pytest.mark.parametrize("form", FORMS)

READERS = {  # kafka-python's other codecs need libraries of their own
    Codec.GZIP: (aiokafka.codec.gzip_decode, kafka.codec.gzip_decode),
    Codec.SNAPPY: (aiokafka.codec.snappy_decode,),
    Codec.LZ4: (aiokafka.codec.lz4_decode,),
    Codec.ZSTD: (aiokafka.codec.zstd_decode,),
}

WRITERS = {
    "aiokafka gzip": (Codec.GZIP, aiokafka.codec.gzip_encode),
    "kafka-python gzip": (Codec.GZIP, kafka.codec.gzip_encode),
    "aiokafka snappy": (Codec.SNAPPY, lambda data: aiokafka.codec.snappy_encode(data, xerial_compatible=False)),
    "aiokafka xerial": (Codec.SNAPPY, aiokafka.codec.snappy_encode),
    "aiokafka lz4": (Codec.LZ4, aiokafka.codec.lz4_encode),
    "aiokafka zstd": (Codec.ZSTD, aiokafka.codec.zstd_encode),
}


def pack(form: str, data: bytes, level: int | None = None) -> bytes:
    codec, xerial = FORMS[form]
    return bytes(memoryview(compress(codec, data, level=level, xerial=xerial)))


def expand(form: str, data: bytes, limit_bytes: int = MIB) -> bytes:
    return bytes(memoryview(decompress(FORMS[form][0], data, limit_bytes)))


def xerial_ends(packed: bytes) -> list[int]:
    """Where xerial framing can be cut without a trace; there the batch's record count tells."""
    ends = [16]
    while ends[-1] < len(packed):
        ends.append(ends[-1] + 4 + int.from_bytes(packed[ends[-1] : ends[-1] + 4], "big"))
    return ends


# --- Agreement -------------------------------------------------------------------------------------------------------


@EACH_FORM
@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=300), times=st.sampled_from([1, 2, 50, 700]), level=st.sampled_from([None, 1, 6]))
def test_expands_what_it_compressed(form, data, times, level):
    plain = data * times

    packed = pack(form, plain, level)

    assert expand(form, packed) == plain
    assert is_xerial(packed) == (form == "xerial")


@EACH_FORM
@pytest.mark.parametrize("size", [0, 1, 32767, 32768, 32769, 65535, 65536, 65537, 300_000])
@pytest.mark.parametrize("make", [bytes, os.urandom], ids=["zeros", "noise"])
def test_expands_to_exactly_the_limit_at_every_block_boundary(form, size, make):
    plain = make(size)

    packed = pack(form, plain)

    assert expand(form, packed, size) == plain


@EACH_FORM
@pytest.mark.parametrize("size", [1, 5000, 70_000])
def test_is_read_by_other_clients(form, size):
    plain = (PLAIN * 20)[:size]

    packed = pack(form, plain)

    for read in READERS[FORMS[form][0]]:
        assert bytes(read(packed)) == plain


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("size", [1, 5000, 200_000])
def test_reads_what_other_clients_write(writer, size):
    plain = (PLAIN * 40)[:size]
    codec, write = WRITERS[writer]

    packed = bytes(write(plain))

    assert bytes(memoryview(decompress(codec, packed, size))) == plain


def test_hands_back_what_is_not_compressed_without_copying():
    data = bytearray(b"as it is")

    assert decompress(Codec.NONE, data, 0) is data
    assert compress(Codec.NONE, data) is data


def test_writes_lz4_and_snappy_in_the_framing_of_java():
    lz4, xerial = pack("lz4", PLAIN), pack("xerial", PLAIN)

    assert lz4[:7].hex() == "04224d18604082"
    assert lz4[-4:] == bytes(4)
    assert xerial[:16] == b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"


@pytest.mark.parametrize("codec", [-1, 5, 6, 7, 8])
def test_refuses_codecs_that_kafka_does_not_define(codec):
    with pytest.raises(UnsupportedCodec):
        decompress(codec, b"", MIB)
    with pytest.raises(UnsupportedCodec):
        compress(codec, b"")


# --- Exactness -------------------------------------------------------------------------------------------------------


@EACH_FORM
@pytest.mark.parametrize("plain", [b"", PLAIN, bytes(100_000)], ids=["empty", "text", "zeros"])
def test_refuses_every_truncation(form, plain):
    packed = pack(form, plain)
    unseen = set(xerial_ends(packed)) if form == "xerial" else set()

    for size in set(range(len(packed))) - unseen:
        with pytest.raises(CorruptRecords):
            expand(form, packed[:size])


@EACH_FORM
@pytest.mark.parametrize("tail", [b"\0", b"\x1f", b"\x1f\x8b", b"garbage behind it", bytes(100)])
def test_refuses_trailing_bytes(form, tail):
    packed = pack(form, PLAIN)

    with pytest.raises(CorruptRecords):
        expand(form, packed + tail)


@pytest.mark.parametrize("form", ["snappy", "xerial", "lz4", "zstd"])
def test_refuses_a_second_stream(form):
    packed = pack(form, PLAIN)

    with pytest.raises(CorruptRecords):
        expand(form, packed + packed)


@settings(max_examples=50, deadline=None)
@given(parts=st.lists(st.binary(max_size=400), min_size=1, max_size=6))
def test_reads_gzip_members_one_after_the_other(parts):
    packed = b"".join(gzip.compress(part) for part in parts)

    assert expand("gzip", packed) == b"".join(parts)


@pytest.mark.parametrize("form", ["lz4", "zstd"])
def test_refuses_skippable_frames(form):
    skippable = b"\x50\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    packed = pack(form, PLAIN)

    for data in (skippable + packed, packed + skippable, skippable):
        with pytest.raises(CorruptRecords):
            expand(form, data)


@EACH_FORM
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_refuses_or_bounds_whatever_is_damaged(form, data):
    damaged = bytearray(pack(form, PLAIN))
    for position in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=3)):
        damaged[position] ^= data.draw(st.integers(1, 255))

    try:
        result = expand(form, bytes(damaged), 20_000)
    except RecordsError:
        return

    assert len(result) <= 20_000
    assert result == bytes(READERS[FORMS[form][0]][0](bytes(damaged)))


@EACH_FORM
@settings(max_examples=100, deadline=None)
@given(noise=st.binary(max_size=200))
def test_survives_noise_behind_a_true_beginning(form, noise):
    beginning = pack(form, PLAIN)[:16]

    try:
        result = expand(form, beginning + noise, 5000)
    except RecordsError:
        return

    assert len(result) <= 5000


def lz4_frame(flags: int, descriptor: int, *, size: bytes = b"", blocks: bytes, tail: bytes = b"") -> bytes:
    """A frame with the true checksum of its header, taken from a decoder that tells whether it is true."""
    head = bytes([flags, descriptor]) + size
    for checksum in range(256):
        empty = b"\x04\x22\x4d\x18" + head + bytes([checksum]) + bytes(4)
        try:
            cramjam.lz4.decompress_into(empty, bytearray(0))
        except cramjam.DecompressionError as error:
            if "headerChecksum" in str(error):
                continue
        return b"\x04\x22\x4d\x18" + head + bytes([checksum]) + blocks + bytes(4) + tail
    raise AssertionError("no checksum fits")


STORED = (5 | 1 << 31).to_bytes(4, "little") + b"hello"


def test_reads_lz4_frames_of_every_kind_that_java_reads():
    blocks = lz4_frame(0x60, 0x70, blocks=STORED + STORED)
    sized = lz4_frame(0x68, 0x40, size=(5).to_bytes(8, "little"), blocks=STORED)
    summed = bytearray()
    compressor = cramjam.lz4.Compressor(level=1, content_checksum=True, block_linked=False)  # and one for each block
    compressor.compress(PLAIN)
    summed += bytes(compressor.finish())

    assert expand("lz4", blocks) == b"hellohello"
    assert expand("lz4", sized) == b"hello"
    assert expand("lz4", bytes(summed)) == PLAIN
    assert summed[4] == 0x74


@pytest.mark.parametrize(
    ("flags", "descriptor"),
    [(0x40, 0x40), (0x20, 0x40), (0xA0, 0x40), (0x61, 0x40), (0x62, 0x40), (0x60, 0x30), (0x60, 0xC0), (0x60, 0x41)],
    ids=["linked", "version 0", "version 2", "dictionary", "reserved", "16 KB", "reserved high", "reserved low"],
)
def test_refuses_lz4_frames_that_java_refuses(flags, descriptor):
    frame = b"\x04\x22\x4d\x18" + bytes([flags, descriptor, 0]) + STORED + bytes(4)

    with pytest.raises(CorruptRecords, match="kind"):
        expand("lz4", frame)


@pytest.mark.parametrize("stated", [0, 4, 6, 1 << 40], ids=["none", "less", "more", "far more"])
def test_refuses_lz4_content_size_that_lies(stated):
    frame = lz4_frame(0x68, 0x40, size=stated.to_bytes(8, "little"), blocks=STORED)

    with pytest.raises(CorruptRecords):
        expand("lz4", frame)


def test_refuses_lz4_block_beyond_its_frames_block_size():
    block = (65537 | 1 << 31).to_bytes(4, "little") + bytes(65537)

    with pytest.raises(CorruptRecords, match="larger"):
        expand("lz4", b"\x04\x22\x4d\x18\x60\x40\x82" + block + bytes(4))


def zstd_frame(descriptor: int, head: bytes, *blocks: tuple[int, int, bytes]) -> bytes:
    """A frame of raw (0), repeated (1) or other blocks, each (kind, size, bytes)."""
    out = b"\x28\xb5\x2f\xfd" + bytes([descriptor]) + head
    for index, (kind, size, body) in enumerate(blocks):
        last = index == len(blocks) - 1
        out += (last | kind << 1 | size << 3).to_bytes(3, "little") + body
    return out


def test_reads_zstd_frames_of_every_header():
    raw = (0, 5, b"hello")
    frames = {
        "window": zstd_frame(0x00, b"\x00", raw, (1, 3, b"!")),
        "one byte size": zstd_frame(0x20, bytes([8]), raw, (1, 3, b"!")),
        "two byte size": zstd_frame(0x60, (0).to_bytes(2, "little"), (1, 256, b"!")),
        "four byte size and window": zstd_frame(0x80, b"\x58" + (8).to_bytes(4, "little"), raw, (1, 3, b"!")),
        "eight byte size": zstd_frame(0xE0, (8).to_bytes(8, "little"), raw, (1, 3, b"!")),
    }

    for name, frame in frames.items():
        expected = b"!" * 256 if name == "two byte size" else b"hello!!!"
        assert expand("zstd", frame) == expected, name


@pytest.mark.parametrize(
    "frame",
    [
        zstd_frame(0x08, b"\x00", (0, 1, b"x")),
        zstd_frame(0x01, b"\x00\x07", (0, 1, b"x")),
        zstd_frame(0x20, bytes([4]), (0, 5, b"hello")),
        zstd_frame(0x20, bytes([6]), (0, 5, b"hello")),
        zstd_frame(0xE0, (1 << 40).to_bytes(8, "little"), (0, 5, b"hello")),
        zstd_frame(0x00, b"\x00", (3, 1, b"x")),
        zstd_frame(0x00, b"\x00", (1, 1025, b"x")),
        zstd_frame(0x00, b"\xff", (0, 5, b"hello")),
        zstd_frame(0x04, b"\x00", (0, 5, b"hello")) + bytes(4),
    ],
    ids=[
        "reserved bit",
        "dictionary",
        "size that says less",
        "size that says more",
        "size that says far more",
        "reserved block",
        "block beyond the window",
        "window beyond the decoder",
        "wrong checksum",
    ],
)
def test_refuses_zstd_frames_that_lie_or_are_not_kafkas(frame):
    with pytest.raises(CorruptRecords):
        expand("zstd", frame)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xff\xff\xff\x0f",
        b"\xff\xff\xff\xff\xff\x01abc",
        b"\x06\x10hello",
        b"\x04\x10hello",
        b"\x05\x10hello\x00",
        b"\x82SNAPPY\0\0\0\0\x02\0\0\0\x01",
        b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x02",
        b"\x82SNAPPY\0\0\0\0\x01\0\0\0",
        b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\0",
        b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\xff\xff\xff\xff\x05",
        b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x08\x05\x10hello",
        b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01" * 2 + b"\0\0\0\x07\x05\x10hello",
    ],
    ids=[
        "nothing",
        "size of 4 GB",
        "size of six bytes",
        "size that says more",
        "size that says less",
        "bytes behind the block",
        "xerial version 2",
        "xerial that only version 2 reads",
        "xerial header cut off",
        "xerial block of no bytes",
        "xerial block of negative length",
        "xerial block past the end",
        "xerial header twice",
    ],
)
def test_refuses_snappy_that_lies(data):
    with pytest.raises(CorruptRecords):
        expand("snappy", data)


def test_reads_the_snappy_blocks_that_the_lies_are_made_of():
    assert expand("snappy", b"\x05\x10hello") == b"hello"
    assert expand("xerial", b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x07\x05\x10hello") == b"hello"


# --- Bounds ----------------------------------------------------------------------------------------------------------


@EACH_FORM
def test_refuses_one_byte_beyond_the_limit(form):
    packed = pack(form, PLAIN)

    with pytest.raises(DecompressedTooLarge, match=str(len(PLAIN) - 1)):
        expand(form, packed, len(PLAIN) - 1)


@EACH_FORM
def test_grows_past_its_first_guess(form):
    plain = bytes(9 * MIB) + PLAIN

    packed = pack(form, plain)

    assert expand(form, packed, 10 * MIB) == plain


def zstd_without_a_size(size: int) -> bytes:
    return zstd_frame(0x00, b"\x58", *[(1, 1 << 17, b"\0")] * (size >> 17))


BOMBS = {
    "gzip": lambda: (Codec.GZIP, zlib.compress(bytes(64 * MIB), 9, 31)),
    "gzip members": lambda: (Codec.GZIP, zlib.compress(bytes(MIB), 9, 31) * 64),
    "snappy": lambda: (Codec.SNAPPY, pack("snappy", bytes(64 * MIB))),
    "xerial": lambda: (Codec.SNAPPY, pack("xerial", bytes(64 * MIB))),
    "lz4": lambda: (Codec.LZ4, pack("lz4", bytes(64 * MIB))),
    "zstd": lambda: (Codec.ZSTD, pack("zstd", bytes(64 * MIB))),
    "zstd without a size": lambda: (Codec.ZSTD, zstd_without_a_size(64 * MIB)),
    "zstd written as a stream": lambda: (Codec.ZSTD, zstd_stream(bytes(64 * MIB))),
}


def zstd_stream(plain: bytes) -> bytes:
    compressor = cramjam.zstd.Compressor()
    compressor.compress(plain)
    return bytes(compressor.finish())


@pytest.mark.parametrize("bomb", BOMBS)
def test_holds_no_more_than_the_limit_when_a_bomb_expands(bomb):
    codec, data = BOMBS[bomb]()
    limit_bytes = 8 * MIB
    tracemalloc.start()

    try:
        with pytest.raises(DecompressedTooLarge):
            decompress(codec, data, limit_bytes)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 1.25 * limit_bytes + 3 * MIB  # a growing buffer's own reserve, and one piece


@pytest.mark.parametrize("form", FORMS)
def test_a_small_input_claims_little_whatever_it_states(form):
    lies = {
        "gzip": pack("gzip", b"x")[:-4] + b"\xff\xff\xff\x7f",
        "snappy": b"\xff\xff\xff\x7f\x00x",
        "xerial": pack("xerial", b"")[:16] + b"\x00\x00\x00\x06\xff\xff\xff\x7f\x00x",
        "lz4": b"\x04\x22\x4d\x18\x60\x70\x73" + (b"\x05\x00\x00\x00" + b"\x00" * 5) * 1000 + bytes(4),
        "zstd": zstd_frame(0x00, b"\x58", *[(2, 3, b"\0\0\0")] * 1000),
    }
    tracemalloc.start()

    try:
        with pytest.raises(CorruptRecords):
            expand(form, lies[form], 1 << 30)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 * MIB


@pytest.mark.parametrize(
    ("codec", "data"),
    [
        (Codec.GZIP, gzip.compress(b"") * 10_000),
        (Codec.SNAPPY, b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01" + b"\0\0\0\x01\0" * 10_000),
        (Codec.LZ4, b"\x04\x22\x4d\x18\x60\x40\x82" + b"\x01\0\0\x80x" * 10_000 + bytes(4)),
        (Codec.ZSTD, zstd_frame(0x00, b"\x58", *[(0, 0, b"")] * 10_000)),
    ],
    ids=["gzip members", "xerial blocks", "lz4 blocks", "zstd blocks"],
)
def test_refuses_more_blocks_than_any_producer_writes(codec, data):
    with pytest.raises(CorruptRecords, match="more blocks"):
        decompress(codec, data, MIB)


@pytest.mark.parametrize("module", [cramjam.lz4, cramjam.zstd], ids=["lz4", "zstd"])
def test_cramjam_still_says_in_these_words_that_a_buffer_is_too_small(module):
    packed = bytes(module.compress(PLAIN))

    with pytest.raises(cramjam.DecompressionError) as caught:
        module.decompress_into(packed, bytearray(len(PLAIN) - 1))

    assert str(caught.value) == "failed to write whole buffer"


@EACH_FORM
def test_says_nothing_of_the_content_in_its_errors(form):
    packed = pack(form, b"canary-4f1d " * 3)

    with pytest.raises(RecordsError) as caught:
        expand(form, packed[:-3] + b"zzz")

    assert "canary" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
