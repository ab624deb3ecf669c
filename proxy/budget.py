"""The memory that frames may take, for the whole process: `limits.bufferedBytes`.

A large frame is claimed before its body is read, with its whole size, and the claim lasts until the last byte of what
became of it has left. A frame that finds no room waits unread, in the order of arrival. Only frames whose claim was
granted are read on, and the limit is at least twice the largest frame, so one of them always finishes and makes room
for the next.

What cannot wait is charged without asking: what a batch expands to, once it has been expanded under
`limits.decompressedBytes`, and small frames that a slow peer does not take at once. While the sum is above the limit,
no new claim is granted.

Everything here happens on the event loop, except `charge` and `release` of a batch that is masked on a worker thread.
"""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from wiremask.proxy import metrics

if TYPE_CHECKING:
    from collections.abc import Callable


class Owner(Protocol):
    """Who holds memory: a connection."""

    @property
    def progress(self) -> object:
        """Changes whenever a byte moves; who stands still holds memory for nothing."""

    def cut(self, reason: str) -> None:
        """Closes, and gives everything back."""


class Claim:
    """A share of the budget. `release` gives it back, once or more often."""

    __slots__ = ("_budget", "_granted", "count", "is_granted", "owner")

    def __init__(self, budget: Budget, count: int, owner: Owner, granted: Callable[[], None]) -> None:
        self._budget = budget
        self._granted = granted
        self.count = count
        self.owner = owner
        self.is_granted = False

    def grant(self) -> None:
        """Tells who waits."""
        self.is_granted = True
        self._granted()

    def release(self) -> None:
        """Gives the share back, or stops waiting for it."""
        self._budget.release(self)


class Budget:
    """What is taken, and who waits."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._taken = 0
        self._held: set[Claim] = set()
        self._waiting: deque[Claim] = deque()
        self._stood: dict[Owner, tuple[object, float]] = {}
        self._lock = Lock()

    @property
    def taken_bytes(self) -> int:
        """What frames take now."""
        return self._taken

    @property
    def waiting(self) -> int:
        """How many frames wait for room."""
        return len(self._waiting)

    def claim(self, count: int, owner: Owner, granted: Callable[[], None]) -> Claim:
        """Asks for room for one frame; `granted` is called later if there is none now (see `is_granted`)."""
        claim = Claim(self, count, owner, granted)
        if self._waiting or self._taken + count > self.limit_bytes:
            self._waiting.append(claim)
            metrics.frames_waiting.set(len(self._waiting))
        else:
            self._hold(claim)
        return claim

    def charge(self, count: int, owner: Owner) -> Claim:
        """Counts memory that is taken already."""
        claim = Claim(self, count, owner, _nothing)
        self._hold(claim)
        return claim

    def release(self, claim: Claim) -> None:
        """Takes a share back and grants it to those who wait, oldest first."""
        if claim in self._held:
            with self._lock:
                self._held.discard(claim)
                self._taken -= claim.count
        elif claim in self._waiting:
            self._waiting.remove(claim)
        metrics.buffered_bytes.set(self._taken)
        metrics.frames_waiting.set(len(self._waiting))

    def forget(self, owner: Owner) -> None:
        """Takes back whatever an owner that has gone still holds or waits for."""
        for claim in [claim for claim in (*self._held, *self._waiting) if claim.owner is owner]:
            self.release(claim)
        self.grant_waiting()

    def grant_waiting(self) -> None:
        """Grants what there is room for; on the event loop only."""
        while self._waiting and self._taken + self._waiting[0].count <= self.limit_bytes:
            claim = self._waiting.popleft()
            self._hold(claim)
            claim.grant()
        metrics.frames_waiting.set(len(self._waiting))

    def _hold(self, claim: Claim) -> None:
        with self._lock:
            claim.is_granted = True
            self._held.add(claim)
            self._taken += claim.count
        metrics.buffered_bytes.set(self._taken)

    def cut_stalled(self, now_s: float, *, after_s: float) -> None:
        """Closes who has held memory without moving a byte for so long while others wait. Called now and then."""
        if not self._waiting:
            self._stood.clear()
            return
        standing: dict[Owner, tuple[object, float]] = {}
        for owner in {claim.owner for claim in self._held}:
            seen, since_s = self._stood.get(owner, (None, now_s))
            standing[owner] = (seen, since_s) if seen == owner.progress else (owner.progress, now_s)
        self._stood = standing
        for owner, (_, since_s) in standing.items():
            if now_s - since_s >= after_s:
                owner.cut("stalled")


def _nothing() -> None:
    pass
