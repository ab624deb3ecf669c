"""Compressed batches: what the kernel takes for one more than for a plain one, by what the codec itself takes.

The codec's own time is one expansion of the batch and one compression of the masked records, by the same library calls
at the same level.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from bench import kernel, records
from bench.rows import Bar, Row
from bench.stats import spread
from wiremask.protocol.batch import crc32c
from wiremask.protocol.compression import Codec, compress, decompress

if TYPE_CHECKING:
    from collections.abc import Callable

BAR = Bar(kind="at most", limit=1.15)
BATCH_RECORDS = 960
HEADER_BYTES = 61


def measure(*, rounds: int, at_least_s: float = 0.1, progress: Callable[[str], None] = lambda _: None) -> list[Row]:
    """Each codec of Kafka with batches of about 1 MB."""
    kernel.settle_allocator()
    table = []
    for codec in (Codec.LZ4, Codec.ZSTD, Codec.SNAPPY, Codec.GZIP):
        progress(codec.name.lower())
        table.append(_row(codec, rounds=rounds, at_least_s=at_least_s))
    return table


def _row(codec: Codec, *, rounds: int, at_least_s: float) -> Row:
    plan = kernel.compile_plan()
    plain = kernel.build_batch(records.values(BATCH_RECORDS))
    section = kernel.mask_by_kernel(plan, plain)[HEADER_BYTES:]
    batch = pack(plain, codec)
    packed = batch[HEADER_BYTES:]

    def codec_alone() -> None:
        decompress(codec, packed, 1 << 26)
        compress(codec, section, xerial=True)

    costs, ratios = [], []
    for _ in range(rounds):
        bare = kernel.time_ns(lambda: kernel.mask_by_kernel(plan, plain), at_least_s=at_least_s)
        whole = kernel.time_ns(lambda: kernel.mask_by_kernel(plan, batch), at_least_s=at_least_s)
        own = kernel.time_ns(codec_alone, at_least_s=at_least_s)
        costs.append(whole / (BATCH_RECORDS * records.VALUE_BYTES))
        ratios.append((whole - bare) / own)
    return Row(
        part="codecs",
        name=f"masked, {codec.name.lower()}",
        unit="CPU s/GB",
        figure=spread(costs),
        ratio=spread(ratios),
        to="the codec itself",
        bar=BAR,
    )


def pack(plain: bytes, codec: Codec) -> bytes:
    """The same batch with its section compressed: attributes at 21, from there on the CRC at 17, the length at 8."""
    (attributes,) = struct.unpack_from(">h", plain, 21)
    tail = struct.pack(">h", attributes | codec) + plain[23:HEADER_BYTES]
    tail += bytes(compress(codec, plain[HEADER_BYTES:], xerial=True))
    return plain[:8] + struct.pack(">i", len(tail) + 9) + plain[12:17] + struct.pack(">I", crc32c(tail)) + tail
