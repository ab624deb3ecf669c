"""What of the compiled code an input reached, where it was built for that (`fuzz.sanitized`)."""

from __future__ import annotations

import ctypes
import os

LIBRARY = "WIREMASK_EDGES"
"""The environment variable that names the preloaded library."""


class Edges:
    """The edges that all inputs so far have reached; none where the code does not tell.

    Attributes:
        count: how many, each counted once for each step of its number of runs.
    """

    def __init__(self) -> None:
        path = os.environ.get(LIBRARY)
        self._library = ctypes.CDLL(path) if path else None
        self.count = 0

    def clear(self) -> None:
        """Before an input."""
        if self._library is not None:
            self._library.wiremask_edges_clear()

    def are_new(self) -> bool:
        """After an input: whether it reached an edge, or ran one more often, than any before it."""
        found = self._library.wiremask_edges_new() if self._library is not None else 0
        self.count += found
        return found > 0
