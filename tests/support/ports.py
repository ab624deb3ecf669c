"""Loopback ports that parallel test workers never take from each other.

Ports come in blocks of sixteen below the range from which the system numbers outgoing connections, so that a client's own
port cannot fall on that of a broker which is down for a moment. The first port of a block is its guard: the worker that
holds it bound (not listening) owns the block until it releases it or ends. There are no lock files to go stale.
"""

from __future__ import annotations

import errno
import os
import socket

BLOCK = 16
FIRST, LAST = 12_000, 32_000


class PortBlock:
    """Fifteen consecutive free ports, owned until `release`."""

    def __init__(self, guard: socket.socket) -> None:
        self._guard = guard
        self.first = int(guard.getsockname()[1]) + 1
        self._next = self.first

    def take(self, count: int = 1) -> int:
        """The first of the next `count` consecutive ports of the block."""
        port: int = self._next
        if port + count > self.first + BLOCK - 1:
            raise ValueError(f"a block has {BLOCK - 1} ports")
        self._next += count
        return port

    def release(self) -> None:
        """Gives the block back."""
        self._guard.close()


def reserve() -> PortBlock:
    """A block whose ports are all free now.

    Raises:
        OSError: no block is free.
    """
    blocks = (LAST - FIRST) // BLOCK
    offset = os.getpid() * 37
    for step in range(blocks):
        base = FIRST + (offset + step) % blocks * BLOCK
        guard = _bind(base, reuse=False)
        if guard is None:
            continue
        if all(_is_free(port) for port in range(base + 1, base + BLOCK)):
            return PortBlock(guard)
        guard.close()
    raise OSError(errno.EADDRINUSE, "no block of free ports")


def _bind(port: int, *, reuse: bool) -> socket.socket | None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse))
    try:
        sock.bind(("127.0.0.1", port))
    except OSError:
        sock.close()
        return None
    return sock


def _is_free(port: int) -> bool:
    # Servers bind with SO_REUSEADDR: connections of an ended server that linger in TIME_WAIT are no obstacle.
    sock = _bind(port, reuse=True)
    if sock is None:
        return False
    sock.close()
    return True
