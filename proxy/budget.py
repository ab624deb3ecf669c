"""The memory that the process may take for frames, above what it takes idle: `limits.bufferedBytes`.

A large frame is claimed before its body is read, with its whole size. It is granted only if there is also room for what
masking the largest of those that are held takes beside it. A frame that finds no room waits unread, in the order of
arrival. Only frames whose claim was granted are read on, and the limit is at least twice the largest frame, so one of
them always finishes and makes room for the next. What a slow peer does not take of a frame is charged as it is then,
which masks may have made several times larger, until its last byte has left.

A frame that a thread masks waits for a turn, of which there are as many as threads; it comes with the memory that the
work takes. What is there already cannot wait and is charged without asking: what a batch expands to, what masks made
beyond what was reckoned with, and small frames that a slow peer does not take at once. While the sum is above the
limit, no claim is granted and no frame begins to be masked. So what goes beyond the limit is what is being masked at
that moment, and nothing waits for itself: claims alone never exceed the limit, so what is above it belongs to peers
that have not taken theirs, and who take it, or are closed. Where nobody works and no peer has anything to take, the
next turn begins in any case.

What was taken and is no more, the allocator keeps for a while (`allocator.py`).

Everything here happens on the event loop, except `charge`, `expanded` and `release` of a batch that is masked on a
worker thread. What those change is guarded by a lock.
"""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from wiremask.proxy import metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from wiremask.proxy.allocator import Kept


STEP_BYTES = 65_536
"""Who moves less than this in `limits.stalledSeconds` stands still: a byte now and then would hold memory for ever."""

WORK_RATIO = 2
"""Masking a frame takes so many times its size beside it: its new values, and all of it anew."""

WORK_BYTES = 8 << 20
"""And so much for what is compressed in it, or as much as batches lately came to; what goes beyond is charged."""

FORGOTTEN = 8
"""Of what batches lately came to, one part in so many is forgotten every second."""


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
        work_bytes: what masking that frame may take beside it, as long as nobody does.
    """

    __slots__ = ("_budget", "_granted", "count", "is_at_work", "is_granted", "owner", "work_bytes")

    def __init__(self, budget: Budget, count: int, owner: Owner, granted: Callable[[], None]) -> None:
        self._budget = budget
        self._granted = granted
        self.count = count
        self.owner = owner
        self.work_bytes = 0
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

    def expanded(self, count: int) -> None:
        """The batch that it was charged for has expanded: it is for so many bytes from now on."""
        self._budget.expanded(self, count)

    def release(self) -> None:
        """Gives the share back, or stops waiting for it."""
        self._budget.release(self)


class Turn(Claim):
    """The right to work on one frame on a thread, and the memory for it. `claim` is that frame's, at work meanwhile."""

    __slots__ = ("claim",)

    def __init__(
        self, budget: Budget, count: int, owner: Owner, begin: Callable[[], None], claim: Claim | None
    ) -> None:
        super().__init__(budget, count, owner, begin)
        self.claim = claim
        self.is_at_work = True
        if claim is not None:
            claim.is_at_work = True


class Budget:
    """What is taken, and who waits.

    Args:
        limit_bytes: what frames may take.
        threads: how many frames may be worked on at a time beside the event loop.
        kept: what the allocator keeps of it afterwards; None if that is left to itself.
    """

    def __init__(self, limit_bytes: int, *, threads: int = 2, kept: Kept | None = None) -> None:
        self.limit_bytes = limit_bytes
        self._kept = kept
        self._taken = 0
        self._frames: set[Claim] = set()  # of what is held: frames that arrive or wait
        self._frame_bytes = 0
        self._expansion = 0  # what batches lately came to, expanded
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
        """Asks for room for one frame; `granted` is called later if there is none now (see `is_granted`).

        Args:
            count: the size of the frame.
            owner: who asks.
            granted: called once, unless the claim is granted at once.
        """
        claim = Claim(self, count, owner, granted)
        claim.work_bytes = self._work_on(count)
        if self._waiting or not self._has_room(claim):
            self._waiting.append(claim)
            metrics.frames_waiting.set(len(self._waiting))
        else:
            self._hold_frame(claim)
        return claim

    def charge(self, count: int, owner: Owner, *, is_at_work: bool = False) -> Claim:
        """Counts memory that is taken already, or is about to be by who has a turn."""
        claim = Claim(self, count, owner, _nothing)
        claim.is_at_work = is_at_work
        self._hold(claim)
        return claim

    def take_turn(self, owner: Owner, begin: Callable[[], None], claim: Claim | None, *, size: int) -> Turn:
        """Calls `begin` once a thread is free and there is room for the work; in the order of asking.

        Args:
            owner: who asks.
            begin: starts the work.
            claim: of the frame that is worked on; a small one has none.
            size: of that frame.

        Returns:
            The turn, for `end_turn`.
        """
        turn = Turn(self, self._work_on(size), owner, begin, claim)
        self._awaiting_turn.append(turn)
        self._grant_turns()
        return turn

    def end_turn(self, turn: Turn) -> None:
        """The work is done, and what came of it is counted; the next turn begins."""
        self._working.discard(turn)
        if turn.claim is not None:
            turn.claim.is_at_work = False
        turn.release()
        self.grant_waiting()

    def release(self, claim: Claim) -> None:
        """Takes a share back; `grant_waiting` grants it to those who wait."""
        if claim in self._held:
            with self._lock:
                self._held.discard(claim)
                self._taken -= claim.count
            if claim in self._frames:
                self._frames.discard(claim)
                self._frame_bytes -= claim.count
        elif claim in self._waiting:
            self._waiting.remove(claim)
        metrics.buffered_bytes.set(self._taken)
        metrics.frames_waiting.set(len(self._waiting))

    def expanded(self, claim: Claim, count: int) -> None:
        """Counts a batch as what it came to, not as what it might have.

        The work on the next frames is reckoned with as much (`_work_on`), until that is forgotten.
        """
        with self._lock:
            self._expansion = max(self._expansion, count)
            self._take(count - claim.count)
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
        while self._waiting and self._has_room(self._waiting[0]):
            claim = self._waiting.popleft()
            self._hold_frame(claim)
            claim.grant()
        metrics.frames_waiting.set(len(self._waiting))

    def look_back(self) -> None:
        """Forgets what was lately: what batches came to, and what is kept since. Called every second."""
        with self._lock:
            self._expansion -= self._expansion // FORGOTTEN
            if self._kept is not None:
                self._kept.look_back(self._taken)

    def _work_on(self, size: int) -> int:
        """What masking a frame of so many bytes is reckoned to take beside it; never so much that it had no chance."""
        work_bytes = WORK_RATIO * size + max(WORK_BYTES, self._expansion)
        return max(0, min(work_bytes, self.limit_bytes - size))

    def _grant_turns(self) -> None:
        while self._awaiting_turn and len(self._working) < self._threads and self._may_begin(self._awaiting_turn[0]):
            turn = self._awaiting_turn.popleft()
            self._working.add(turn)
            if turn.claim is not None:
                turn.claim.work_bytes = 0  # the turn has it now
            self._make_way(turn.count)
            self._hold(turn)
            turn.grant()
        metrics.turns_waiting.set(len(self._awaiting_turn))

    def _has_room(self, claim: Claim) -> bool:
        """Whether a frame fits, and after it the work on any that is held; on several of them, if that is little."""
        work_bytes = max(claim.work_bytes, *(frame.work_bytes for frame in self._frames), 0)
        left_bytes = self.limit_bytes - claim.count
        room_bytes = max(work_bytes, min(self._threads * work_bytes, self.limit_bytes // 4, left_bytes))
        return self._taken + room_bytes <= left_bytes

    def _may_begin(self, turn: Turn) -> bool:
        is_idle = not self._working and self._taken == self._frame_bytes  # nothing else will ever make room
        return is_idle or self._taken + turn.count <= self.limit_bytes

    def _make_way(self, count: int) -> None:
        if self._kept is not None:
            with self._lock:
                self._kept.make_way(count, self._taken, self.limit_bytes)

    def _hold_frame(self, claim: Claim) -> None:
        self._make_way(claim.count)
        self._frames.add(claim)
        self._frame_bytes += claim.count
        self._hold(claim)

    def _hold(self, claim: Claim) -> None:
        with self._lock:
            claim.is_granted = True
            self._held.add(claim)
            self._take(claim.count)
        metrics.buffered_bytes.set(self._taken)

    def _take(self, count: int) -> None:
        """So much more is taken, or less. Only under the lock."""
        self._taken += count
        if self._kept is not None:
            self._kept.took(self._taken)

    def cut_stalled(self, now_s: float, *, after_s: float) -> None:
        """Closes who has held memory without moving for so long while others wait for it. Called now and then."""
        if not self._waiting and not (self._awaiting_turn and not self._may_begin(self._awaiting_turn[0])):
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
