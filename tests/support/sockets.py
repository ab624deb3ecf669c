"""A transport under a leg that takes what the test lets it take, with no socket and no waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from wiremask.proxy.leg import Leg


class Socket:
    """Takes `room` bytes; the rest stays unwritten until `drain`."""

    def __init__(self, leg: Leg) -> None:
        self.leg = leg
        self.room = 1 << 30
        self.taken = bytearray()
        self.unwritten = bytearray()
        self.is_closing = False
        leg.connection_made(cast("Any", self))

    def receive(self, data: bytes) -> int:
        """One read of the other side's bytes; gives how many there was room for."""
        memory = self.leg.get_buffer(-1)
        count = min(len(memory), len(data))
        memory[:count] = data[:count]
        self.leg.buffer_updated(count)
        return count

    def set_write_buffer_limits(self, *, high: int) -> None:
        pass

    def write(self, data: Any) -> None:
        before = bool(self.unwritten)
        self.unwritten += data
        self._take()
        if self.unwritten and not before:
            self.leg.pause_writing()

    def writelines(self, pieces: list[Any]) -> None:
        self.write(b"".join(pieces))

    def _take(self) -> None:
        count = min(self.room, len(self.unwritten))
        self.taken += self.unwritten[:count]
        del self.unwritten[:count]
        self.room -= count

    def take(self, count: int) -> None:
        """Takes so many bytes of what waits."""
        self.room = count
        self._take()

    def drain(self) -> None:
        """Takes what waits, also of a transport that is closing, as uvloop does."""
        self.taken += self.unwritten
        self.unwritten.clear()
        self.leg.resume_writing()

    def get_write_buffer_size(self) -> int:
        return len(self.unwritten)

    def pause_reading(self) -> None:
        assert not self.is_closing

    resume_reading = pause_reading

    def close(self) -> None:
        self.is_closing = True

    def abort(self) -> None:
        self.unwritten.clear()
