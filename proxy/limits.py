"""Every bound of the process, each with a safe default."""

from __future__ import annotations

from pydantic import Field

from wiremask.proxy.model import Section

UNCOUNTED = 16
"""One part in so many of `bufferedBytes` is for what is not counted: sockets, read buffers, gaps between frames."""

WORKER_THREADS = 2
"""How many frames are masked at a time beside the event loop."""


class LimitsConfig(Section):
    """Section `limits`: sizes are bytes, times are seconds."""

    frame_bytes: int = Field(default=104_857_600, ge=1024, le=2**31 - 1)
    """The largest frame that is read, either way: Kafka's own socket.request.max.bytes."""

    buffered_bytes: int = Field(default=268_435_456, ge=2048)
    """What all frames of the process and the work on them may take in memory: at least twice `frameBytes`."""

    decompressed_bytes: int = Field(default=67_108_864, ge=1024, le=2**31 - 1)
    """The largest records section that one batch may expand to."""

    expansion_ratio: int = Field(default=1_000, ge=1)
    """How many times its size a compressed section may expand to, once that is beyond 8 MiB."""

    records_per_batch: int = Field(default=1_000_000, ge=1, le=2**31 - 1)
    """The most records of one batch that a rule covers; their places take memory that no other limit counts."""

    headers_per_record: int = Field(default=10_000, ge=1)
    """The most headers of one record that a rule for headers looks at; producers send a few."""

    stalled_seconds: float = Field(default=30, gt=0)
    """How long a connection may hold memory without moving 64 KiB while others wait for it."""

    json_depth: int = Field(default=64, ge=1, le=1024)
    """Objects and arrays inside each other in a value."""

    connections: int = Field(default=2_000, ge=1)
    """Client connections at the same time; further ones are closed at once."""

    connections_per_address: int = Field(default=1_000, ge=1)
    """Those of them that may come from one address, so that one client cannot take all."""

    in_flight_requests: int = Field(default=128, ge=1)
    """Requests of one connection that wait for an answer; with so many, it is not read until half are answered."""

    worker_bytes: int = Field(default=262_144, ge=0)
    """Frames of this size and batches that expand beyond it, alone or together (eight times it where all masks are the
    kernel's own), go to a worker thread: others do not wait."""

    connect_seconds: float = Field(default=10, gt=0)
    """Until a broker must have taken a connection."""

    handshake_seconds: float = Field(default=10, gt=0)
    """Until a client must have shown its PROXY header and finished its TLS handshake."""

    login_seconds: float = Field(default=30, gt=0)
    """Until a client must have logged in, where it has begun to or must."""

    idle_seconds: float = Field(default=660, gt=0)
    """Without a byte either way a connection is closed: above Kafka's own nine minutes."""

    drain_seconds: float = Field(default=20, gt=0)
    """From SIGTERM until connections with requests in flight are cut."""

    @property
    def counted_bytes(self) -> int:
        """What of `buffered_bytes` frames may take."""
        return self.buffered_bytes - self.buffered_bytes // UNCOUNTED

    @property
    def most_bytes(self) -> int:
        """What frames may take at most, hostile ones: see "Memory" in ARCHITECTURE.md."""
        return self.buffered_bytes + WORKER_THREADS * (self.frame_bytes + 5 * self.decompressed_bytes)
