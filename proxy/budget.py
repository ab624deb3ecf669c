"""The memory that frames may take, for the whole process: `limits.bufferedBytes`.

A large frame is claimed before its body is read, with its whole size. A frame that finds no room waits unread, in the
order of arrival. Only frames whose claim was granted are read on, and the limit is at least twice the largest frame, so
one of them always finishes and makes room for the next. What a slow peer does not take of a frame is charged as it is
then, which masks may have made several times larger, until its last byte has left.

What is there already cannot wait and is charged without asking: what masks made, what a batch expands to, and small
frames that a slow peer does not take at once. While the sum is above the limit, no claim is granted and no frame begins
to be masked: those wait for a turn, of which there are as many as threads. So what goes beyond the limit is what is
being masked at that moment, and nothing waits for itself: claims alone never exceed the limit, so what is above it
belongs to peers that have not taken theirs, and who take it, or are closed.

Everything here happens on the event loop, except `charge` and `release` of a batch that is masked on a worker thread.
"""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from wiremask.proxy import metrics

if TYPE_CHECKING:
    from collections.abc import Callable


STEP_BYTES = 65_536
"""Who moves less than this in `limits.stalledSeconds` stands still: a byte now and then would hold memory for ever."""


class Owner(Protocol):
    """Who holds memory: a connection."""

    @property
    def progress(self) -> object:
        """Changes with every `STEP_BYTES` that move; who stands still holds memory for nothing."""

    def cut(self, reason: str) -> None:
        """Closes, and gives everything back."""


class Claim:
    """A share of the budget. `release` gives it back, once or more often.

    Attributes:
        is_at_work: what it is for waits for a thread, or is worked on by one: if it stands still, no peer is to blame.
    """

    __slots__ = ("_budget", "_granted", "count", "is_at_work", "is_granted", "owner")

    def __init__(self, budget: Budget, count: int, owner: Owner, granted: Callable[[], None]) -> None:
        self._budget = budget
        self._granted = granted
        self.count = count
        self.owner = owner
        self.is_granted = False
        self.is_at_work = False

    def grant(self) -> None:
        """Tells who waits, once; what was to be called knows the frame, which must not be kept for longer."""
        self.is_granted = True
        granted, self._granted = self._granted, _nothing
        granted()

    def drop(self) -> None:
        """Nobody waits any more."""
        self._granted = _nothing

    def shrink(self, count: int) -> None:
        """Gives back what is more than so many bytes."""
        self._budget.shrink(self, count)

    def release(self) -> None:
        """Gives the share back, or stops waiting for it."""
        self._budget.release(self)


class Turn(Claim):
    """The right to work on one frame on a thread. `claim` is that frame's, at work meanwhile."""

    __slots__ = ("claim",)

    def __init__(self, budget: Budget, owner: Owner, begin: Callable[[], None], claim: Claim | None) -> None:
        super().__init__(budget, 0, owner, begin)
        self.claim = claim
        if claim is not None:
            claim.is_at_work = True


class Budget:
    """What is taken, and who waits.

    Args:
        limit_bytes: what frames may take.
        threads: how many frames may be worked on at a time beside the event loop.
    """

    def __init__(self, limit_bytes: int, *, threads: int = 2) -> None:
        self.limit_bytes = limit_bytes
        self._taken = 0
        self._held: set[Claim] = set()
        self._waiting: deque[Claim] = deque()
        self._threads = threads
        self._working: set[Turn] = set()
        self._awaiting_turn: deque[Turn] = deque()
        self._stood: dict[Owner, tuple[object, float]] = {}
        self._lock = Lock()

    @property
    def taken_bytes(self) -> int:
        """What frames take now."""
        return self._taken

    @property
    def is_over(self) -> bool:
        """Whether more is taken than the limit allows."""
        return self._taken > self.limit_bytes

    @property
    def waiting(self) -> int:
        """How many frames wait for room."""
        return len(self._waiting)

    @property
    def awaiting_turn(self) -> int:
        """How many frames wait to be worked on."""
        return len(self._awaiting_turn)

    def claim(self, count: int, owner: Owner, granted: Callable[[], None]) -> Claim:
        """Asks for room for one frame; `granted` is called later if there is none now (see `is_granted`)."""
        claim = Claim(self, count, owner, granted)
        if self._waiting or self._taken + count > self.limit_bytes:
            self._waiting.append(claim)
            metrics.frames_waiting.set(len(self._waiting))
        else:
            self._hold(claim)
        return claim

    def charge(self, count: int, owner: Owner, *, is_at_work: bool = False) -> Claim:
        """Counts memory that is taken already, or is about to be by who has a turn."""
        claim = Claim(self, count, owner, _nothing)
        claim.is_at_work = is_at_work
        self._hold(claim)
        return claim

    def take_turn(self, owner: Owner, begin: Callable[[], None], claim: Claim | None) -> Turn:
        """Calls `begin` once a thread is free and no more is taken than the limit allows; in the order of asking.

        Args:
            owner: who asks.
            begin: starts the work.
            claim: of the frame that is worked on.

        Returns:
            The turn, for `end_turn`.
        """
        turn = Turn(self, owner, begin, claim)
        self._awaiting_turn.append(turn)
        self._grant_turns()
        return turn

    def end_turn(self, turn: Turn) -> None:
        """The work is done, and what came of it is counted; the next turn begins."""
        self._working.discard(turn)
        if turn.claim is not None:
            turn.claim.is_at_work = False
        self.grant_waiting()

    def release(self, claim: Claim) -> None:
        """Takes a share back; `grant_waiting` grants it to those who wait."""
        if claim in self._held:
            with self._lock:
                self._held.discard(claim)
                self._taken -= claim.count
        elif claim in self._waiting:
            self._waiting.remove(claim)
        metrics.buffered_bytes.set(self._taken)
        metrics.frames_waiting.set(len(self._waiting))

    def shrink(self, claim: Claim, count: int) -> None:
        """Takes a part of a share back."""
        with self._lock:
            self._taken -= claim.count - count
            claim.count = count

    def forget(self, owner: Owner) -> None:
        """Takes back whatever an owner that has gone still holds or waits for, save what a thread is working on."""
        for turn in [turn for turn in self._awaiting_turn if turn.owner is owner]:
            self._awaiting_turn.remove(turn)
            turn.drop()
            if turn.claim is not None:
                turn.claim.is_at_work = False
        for claim in [claim for claim in (*self._held, *self._waiting) if claim.owner is owner]:
            if not claim.is_at_work:
                self.release(claim)
        self.grant_waiting()

    def grant_waiting(self) -> None:
        """Grants what there is room for, oldest first; on the event loop only."""
        self._grant_turns()
        while self._waiting and self._taken + self._waiting[0].count <= self.limit_bytes:
            claim = self._waiting.popleft()
            self._hold(claim)
            claim.grant()
        metrics.frames_waiting.set(len(self._waiting))

    def _grant_turns(self) -> None:
        while self._awaiting_turn and len(self._working) < self._threads and not self.is_over:
            turn = self._awaiting_turn.popleft()
            self._working.add(turn)
            turn.grant()
        metrics.turns_waiting.set(len(self._awaiting_turn))

    def _hold(self, claim: Claim) -> None:
        with self._lock:
            claim.is_granted = True
            self._held.add(claim)
            self._taken += claim.count
        metrics.buffered_bytes.set(self._taken)

    def cut_stalled(self, now_s: float, *, after_s: float) -> None:
        """Closes who has held memory without moving for so long while others wait for it. Called now and then."""
        if not self._waiting and not (self._awaiting_turn and self.is_over):
            self._stood.clear()
            return
        standing: dict[Owner, tuple[object, float]] = {}
        for owner in {claim.owner for claim in self._held if not claim.is_at_work}:
            seen, since_s = self._stood.get(owner, (None, now_s))
            standing[owner] = (seen, since_s) if seen == owner.progress else (owner.progress, now_s)
        self._stood = standing
        for owner, (_, since_s) in standing.items():
            if now_s - since_s >= after_s:
                owner.cut("stalled")


def _nothing() -> None:
    pass
