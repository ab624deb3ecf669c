"""File descriptors: how many connections there is room for.

A connection takes two, one to the client and one to the broker. Where the process may have fewer than
`limits.connections` needs, clients wait to be taken (`acceptor.py`), and what else needs a descriptor goes on: the
admin port, files that are read anew, connections that wait for their broker.
"""

from __future__ import annotations

import resource
import socket
from contextlib import suppress
from typing import Final

SPARE: Final = 64
"""For what is no connection: the event loop, files, the admin port, look-ups, and sockets that are being closed."""

KEPT: Final = 16
"""So many are kept free of new clients, whatever took the others."""


def room_for(connections: int, *, ports: int) -> int:
    """How many of so many connections can be open at the same time, beside so many ports that are bound.

    Raises the soft limit of the process as far as that needs, and as its hard limit lets it.

    Source: setrlimit(2), RLIMIT_NOFILE.
    """
    needed = _needed(connections, ports)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != soft < needed:
        wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(OSError, ValueError):  # where that is forbidden too, it stays as it was
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return connections
    return max(1, (soft - _needed(0, ports)) // 2)


def has_room(connections: int, *, limit: int, ports: int) -> bool:
    """Whether one more connection can be opened, beside so many that are open or soon will be, now.

    One beyond the limit is closed at once, and needs no more than the last within.

    A client that was let in a moment ago has no descriptor for its broker yet, so connections are counted. All else
    counts by the number that the next descriptor would have: it is the lowest that is free.

    Source: socket(2), getrlimit(2).
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return True
    wanted = min(connections + 1, limit)
    if wanted > 1 and _needed(wanted, ports) > soft:  # the first is taken always, as `room_for` says
        return False
    try:
        with socket.socket() as next_one:
            return next_one.fileno() + KEPT <= soft
    except OSError:
        return False


def _needed(connections: int, ports: int) -> int:
    return ports + SPARE + 2 * connections
