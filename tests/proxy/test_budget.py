"""Who gets memory, in which order, and who loses it."""

from __future__ import annotations

import asyncio
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.batches import write_batch
from support.requests import plain_frame, produce_frame, read_produced
from support.scripted import Peer, produced, proxied, rules_text
from support.wait import eventually_async
from wiremask.proxy.allocator import Kept
from wiremask.proxy.budget import WORK_BYTES, WORK_RATIO, Budget

if TYPE_CHECKING:
    from collections.abc import Callable

    from wiremask.proxy.budget import Claim, Turn

MIB = 1 << 20
LIST_GROUPS = 16


def work_on(size: int) -> int:
    """What a budget with room for it reckons for the work on a frame."""
    return WORK_RATIO * size + WORK_BYTES


class Holder:
    """An owner that notes its end."""

    def __init__(self) -> None:
        self.progress = 0
        self.ended_by: str | None = None

    def cut(self, reason: str) -> None:
        self.ended_by = reason


def claim(budget: Budget, count: int, owner: Holder | None = None) -> tuple[Claim, list[str]]:
    granted: list[str] = []
    return budget.claim(count, owner or Holder(), lambda: granted.append("granted")), granted


def test_grants_what_there_is_room_for_at_once() -> None:
    budget = Budget(100)

    first, told = claim(budget, 60)

    assert first.is_granted
    assert told == []
    assert budget.taken_bytes == 60


def test_makes_a_frame_wait_until_there_is_room() -> None:
    budget = Budget(100)
    first, _ = claim(budget, 60)
    second, told = claim(budget, 60)
    was_granted = second.is_granted

    first.release()
    budget.grant_waiting()

    assert not was_granted
    assert second.is_granted
    assert told == ["granted"]


def test_a_small_frame_does_not_overtake_a_large_one() -> None:
    budget = Budget(100)
    claim(budget, 60)
    large, _ = claim(budget, 60)

    small, _ = claim(budget, 10)

    assert not large.is_granted
    assert not small.is_granted


def test_what_is_charged_without_asking_keeps_others_out() -> None:
    budget = Budget(100)
    charged = budget.charge(150, Holder())
    waiting, _ = claim(budget, 10)

    was_granted = waiting.is_granted
    charged.release()
    budget.grant_waiting()

    assert not was_granted
    assert waiting.is_granted


def test_forgets_who_has_gone() -> None:
    budget, owner = Budget(100), Holder()
    claim(budget, 60, owner)
    claim(budget, 60, owner)
    other, _ = claim(budget, 60)

    budget.forget(owner)

    assert other.is_granted
    assert budget.taken_bytes == 60


def test_releasing_twice_gives_back_once() -> None:
    budget = Budget(100)
    first, _ = claim(budget, 60)
    budget.charge(30, Holder())

    first.release()
    first.release()

    assert budget.taken_bytes == 30


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=60))
def test_never_grants_beyond_the_limit_and_grants_everything_in_the_end(steps: list[tuple[int, bool]]) -> None:
    budget = Budget(200 * MIB)
    claims: list[Claim] = []
    for count, gives_back in steps:
        claims.append(claim(budget, count * MIB)[0])
        if gives_back:
            next(one for one in claims if one.is_granted).release()
            claims.remove(next(one for one in claims if one.is_granted))
            budget.grant_waiting()
        assert budget.taken_bytes <= 200 * MIB
        assert budget.taken_bytes == sum(one.count for one in claims if one.is_granted)
    order = [one for one in claims if not one.is_granted]
    while claims:
        granted = [one for one in claims if one.is_granted]
        assert granted, "nobody can finish"
        granted[0].release()
        claims.remove(granted[0])
        budget.grant_waiting()
        waiting = [one for one in order if not one.is_granted]
        assert waiting == order[len(order) - len(waiting) :]
    assert budget.taken_bytes == 0


def test_closes_who_stands_still_while_others_wait() -> None:
    budget, still, moving = Budget(100), Holder(), Holder()
    budget.charge(50, still)
    budget.charge(50, moving)
    claim(budget, 10)

    for second in range(31):
        moving.progress += 1
        budget.cut_stalled(float(second), after_s=30)

    assert still.ended_by == "stalled"
    assert moving.ended_by is None


def test_lets_who_stands_still_alone_while_nobody_waits() -> None:
    budget, still = Budget(100), Holder()
    claim(budget, 100, still)

    for second in range(100):
        budget.cut_stalled(float(second), after_s=30)

    assert still.ended_by is None


def test_a_frame_waits_until_there_is_room_for_the_work_on_it_too() -> None:
    budget = Budget(2 * 20 * MIB + 30 * MIB + work_on(30 * MIB) - 1)
    first, _ = claim(budget, 20 * MIB)
    second, _ = claim(budget, 20 * MIB)
    third, _ = claim(budget, 30 * MIB)
    was_granted = third.is_granted

    first.release()
    budget.grant_waiting()

    assert second.is_granted
    assert not was_granted
    assert third.is_granted


def test_no_more_frames_are_worked_on_at_a_time_than_there_is_room_for() -> None:
    size, work_bytes = 20 * MIB, work_on(20 * MIB)
    budget, begun = Budget(2 * (size + work_bytes) - 1, threads=2), list[str]()
    frames = [claim(budget, size)[0] for _ in range(2)]
    turns = [
        budget.take_turn(Holder(), partial(begun.append, name), frame, size=size)
        for name, frame in zip(["first", "second"], frames, strict=True)
    ]
    at_once = list(begun)
    taken = budget.taken_bytes

    frames[0].release()
    budget.end_turn(turns[0])

    assert at_once == ["first"]
    assert taken == 2 * size + work_bytes
    assert begun == ["first", "second"]
    assert budget.taken_bytes == size + work_bytes


def test_room_is_kept_for_as_many_threads_as_there_are_while_that_is_little() -> None:
    room = {}

    for threads in (1, 2, 4):
        budget = Budget(192 * MIB, threads=threads)
        while claim(budget, 4 * MIB)[0].is_granted:
            pass
        room[threads] = budget.limit_bytes - budget.taken_bytes

    assert room == {1: work_on(4 * MIB), 2: 2 * work_on(4 * MIB), 4: 192 * MIB // 4}


def test_what_batches_lately_expanded_to_is_reckoned_with_until_it_is_forgotten() -> None:
    budget = Budget(1 << 30)
    before, _ = claim(budget, 1_000)
    budget.charge(1 << 28, Holder()).expanded(3 << 24)

    after, _ = claim(budget, 1_000)
    for _ in range(60):
        budget.look_back()
    at_last, _ = claim(budget, 1_000)

    assert after.work_bytes - before.work_bytes == (3 << 24) - WORK_BYTES
    assert before.work_bytes == at_last.work_bytes == work_on(1_000)


def test_work_begins_without_room_where_nothing_else_can_ever_make_any() -> None:
    size = 20 * MIB
    budget, begun = Budget(2 * size + work_on(size)), list[str]()
    frames = [claim(budget, size)[0] for _ in range(2)]
    batch = budget.charge(10, Holder(), is_at_work=True)
    batch.expanded(budget.limit_bytes)
    batch.release()
    unwritten = budget.charge(10, Holder())
    budget.take_turn(Holder(), lambda: begun.append("begun"), frames[0], size=size)
    while_a_peer_has_something = list(begun)

    unwritten.release()
    budget.grant_waiting()

    assert while_a_peer_has_something == []
    assert begun == ["begun"]
    assert budget.is_over


@given(st.integers(0, 1 << 40), st.integers(1, 1 << 40))
def test_a_frame_alone_always_has_room_for_the_work_on_it(size: int, limit_bytes: int) -> None:
    budget = Budget(limit_bytes)
    size = min(size, limit_bytes)

    frame, _ = claim(budget, size)

    assert frame.is_granted


class Heap:
    """An allocator that notes when it is asked to give back, and a budget of 1,000 for which it keeps blocks up to 100."""

    def __init__(self) -> None:
        self.asked = 0
        self.meanwhile: Callable[[], None] = lambda: None
        self.budget = Budget(1_000, kept=Kept(block_bytes=100, give_back=self._asked))

    def _asked(self) -> None:
        self.asked += 1
        self.meanwhile()

    def take(self, count: int) -> None:
        claim(self.budget, count)[0].release()

    def look_back_often(self) -> None:
        for _ in range(10):
            self.budget.look_back()


def test_what_frames_took_is_given_back_once_they_have_not_taken_it_for_a_while() -> None:
    heap = Heap()
    heap.take(500)

    heap.look_back_often()

    assert heap.asked == 1


def test_what_batches_expanded_to_is_given_back_too() -> None:
    heap = Heap()
    batch = heap.budget.charge(50, Holder(), is_at_work=True)
    batch.expanded(500)
    batch.release()

    heap.look_back_often()

    assert heap.asked == 1


def test_what_a_thread_takes_while_memory_is_given_back_is_not_forgotten() -> None:
    heap = Heap()
    heap.take(500)
    thread = Thread(target=lambda: heap.budget.charge(700, Holder(), is_at_work=True).release())

    def take_meanwhile() -> None:
        heap.meanwhile = lambda: None
        thread.start()
        thread.join(0.05)  # it has to wait; if it did not, it would be done by now

    heap.meanwhile = take_meanwhile
    heap.look_back_often()
    thread.join()
    heap.look_back_often()

    assert heap.asked == 2


def test_a_frame_too_large_for_what_is_kept_has_it_given_back_first() -> None:
    heap = Heap()
    heap.take(800)

    heap.take(300)

    assert heap.asked == 1


def test_work_that_takes_too_much_for_what_is_kept_has_it_given_back_first() -> None:
    heap = Heap()
    heap.take(800)

    heap.budget.take_turn(Holder(), lambda: None, None, size=700)

    assert heap.asked == 1


class Stage:
    """Threads that work on frames of one size, and peers that take what was made, both when told to."""

    size = 1 * MIB

    def __init__(self, limit_bytes: int, threads: int) -> None:
        self.threads = threads
        self.budget = Budget(limit_bytes, threads=threads)
        self.working: list[tuple[Turn, int]] = []
        self.begun: list[int] = []
        self.unwritten: list[Claim] = []
        self.asked = 0

    def ask(self, made: int) -> None:
        number, self.asked = self.asked, self.asked + 1
        turns: list[Turn] = []

        def begin() -> None:
            assert not self.budget.is_over, "a turn began where there was no room"
            self.begun.append(number)
            if turns:
                self.working.append((turns[0], made))

        turns.append(self.budget.take_turn(Holder(), begin, None, size=self.size))
        if number in self.begun:
            self.working.append((turns[0], made))
        assert len(self.working) <= self.threads

    @property
    def has_room(self) -> bool:
        """For the work on one more frame."""
        return self.budget.taken_bytes + work_on(self.size) <= self.budget.limit_bytes

    def finish(self) -> None:
        turn, made = self.working.pop(0)
        self.unwritten.append(self.budget.charge(made, Holder()))
        self.budget.end_turn(turn)

    def take(self) -> None:
        self.unwritten.pop(0).release()
        self.budget.grant_waiting()


@given(
    st.integers(1, 3), st.lists(st.tuples(st.sampled_from(["ask", "finish", "take"]), st.integers(1, 300)), max_size=80)
)
def test_frames_are_masked_in_order_while_there_is_room_and_all_of_them_in_the_end(
    threads: int, steps: list[tuple[str, int]]
) -> None:
    stage = Stage(100 * MIB, threads)
    for step, made in steps:
        if step == "ask":
            stage.ask(made * MIB)
        elif step == "finish" and stage.working:
            stage.finish()
        elif step == "take" and stage.unwritten:
            stage.take()
        assert stage.budget.taken_bytes <= (100 + threads * 300) * MIB
        assert not stage.has_room or stage.budget.awaiting_turn == 0 or len(stage.working) == threads

    while stage.working or stage.unwritten:
        if stage.working:
            stage.finish()
        else:
            stage.take()

    assert stage.begun == list(range(stage.asked))
    assert stage.budget.taken_bytes == 0
    assert stage.budget.awaiting_turn == 0


def test_who_waits_for_a_turn_stands_still_through_no_fault_of_its_own() -> None:
    budget, waits, slow = Budget(100, threads=1), Holder(), Holder()
    frame, _ = claim(budget, 50, waits)
    budget.charge(60, slow)
    begun: list[str] = []
    budget.take_turn(waits, lambda: begun.append("begun"), frame, size=50)

    for second in range(31):
        budget.cut_stalled(float(second), after_s=30)
    budget.forget(slow)

    assert slow.ended_by == "stalled"
    assert waits.ended_by is None
    assert begun == ["begun"]


def test_who_has_gone_does_not_wait_for_a_turn_any_more() -> None:
    budget, gone, other = Budget(100 * MIB, threads=1), Holder(), Holder()
    begun: list[str] = []
    first = budget.take_turn(other, lambda: begun.append("first"), None, size=MIB)
    frame, _ = claim(budget, 20 * MIB, gone)
    budget.take_turn(gone, lambda: begun.append("gone"), frame, size=20 * MIB)

    budget.forget(gone)
    budget.end_turn(first)
    budget.take_turn(other, lambda: begun.append("last"), None, size=MIB)

    assert frame.is_granted
    assert begun == ["first", "last"]
    assert budget.taken_bytes == work_on(MIB)


def test_what_a_thread_works_on_is_held_until_it_is_done() -> None:
    budget, gone = Budget(100, threads=1), Holder()
    frame, _ = claim(budget, 50, gone)
    turn = budget.take_turn(gone, lambda: None, frame, size=50)

    budget.forget(gone)
    held = budget.taken_bytes
    budget.end_turn(turn)
    budget.forget(gone)

    assert held == 100
    assert budget.taken_bytes == 0


async def test_a_large_frame_waits_unread_until_another_has_left() -> None:
    value = b'{"text":"' + b"x" * MIB + b'"}'
    async with proxied(rules_text("produce"), frame_bytes=2 * MIB, buffered_bytes=4 * MIB) as stage:
        holder = Holder()
        taken = stage.shared.budget.claim(4 * MIB - 100_000, holder, lambda: None)
        client, other = await stage.connect(), await stage.connect()

        await client.send(produce_frame("payments", write_batch([value])))
        await other.send(plain_frame(LIST_GROUPS, 2))
        small = await stage.broker.asked()
        hears_nothing = await stage.broker.hears_nothing()
        waiting = stage.shared.budget.waiting
        taken.release()
        stage.shared.budget.grant_waiting()
        large = await stage.broker.asked()
        await stage.broker.answer(large, produced(9, {"payments": {0: 0}}))
        told = await client.read()

        assert small.header.api.key == LIST_GROUPS
        assert hears_nothing
        assert waiting == 1
        assert told is not None
        assert read_produced(told, 9)[0].error_code == 0
        await eventually_async(_is(lambda: stage.shared.budget.taken_bytes == 0))


@pytest.mark.parametrize("clients", [1, 20])
async def test_readers_that_do_not_read_take_no_more_than_the_limit(clients: int) -> None:
    async with proxied(frame_bytes=4 * MIB, buffered_bytes=8 * MIB) as stage:
        readers = [await stage.connect() for _ in range(clients)]
        for reader in readers:
            reader.writer.transport.pause_reading()
            await reader.send(plain_frame(LIST_GROUPS, 2) * 8)
        asked = [await stage.broker.asked() for _ in range(8 * clients)]
        highest = 0

        async def answer(peer: Peer) -> None:
            for request in asked:
                if request.peer is peer:
                    await stage.broker.answer(request, bytes(3 * MIB))

        async def read(reader: Peer) -> list[int]:
            reader.writer.transport.resume_reading()
            return [len(await reader.read() or b"") for _ in range(8)]

        answering = [asyncio.ensure_future(answer(peer)) for peer in stage.broker.peers]
        for _ in range(20):
            await asyncio.sleep(0.01)
            highest = max(highest, stage.shared.budget.taken_bytes)
        sizes = await asyncio.gather(*(read(reader) for reader in readers))
        await asyncio.gather(*answering)

        assert 0 < highest <= 8 * MIB
        assert sizes == [[3 * MIB + 4] * 8] * clients
        await eventually_async(_is(lambda: stage.shared.budget.taken_bytes == 0))


def _is(claim_):  # type: ignore[no-untyped-def]
    async def probe() -> bool:
        return bool(claim_())

    return probe
