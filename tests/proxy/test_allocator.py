"""When memory that was taken and is no more is given back to the system."""

from __future__ import annotations

import pytest

from wiremask.proxy.allocator import Kept


class Heap:
    """Keeps blocks up to 100, and notes when it is asked to give back."""

    def __init__(self) -> None:
        self.asked = 0
        self.kept = Kept(block_bytes=100, give_back=self._asked)

    def _asked(self) -> None:
        self.asked += 1


def test_what_was_taken_is_given_back_once_it_has_not_been_for_a_while() -> None:
    heap = Heap()
    heap.kept.took(500)
    asked = []

    for _ in range(10):
        heap.kept.look_back(0)
        asked.append(heap.asked)

    assert asked == [0, 0] + [1] * 8


def test_what_is_still_taken_is_not_given_back() -> None:
    heap = Heap()
    heap.kept.took(500)

    for _ in range(10):
        heap.kept.look_back(450)

    assert heap.asked == 0


def test_what_is_taken_again_and_again_is_kept() -> None:
    heap = Heap()

    for _ in range(10):
        heap.kept.took(500)
        heap.kept.look_back(0)

    assert heap.asked == 0


def test_little_is_kept_for_good() -> None:
    heap = Heap()
    heap.kept.took(100)

    for _ in range(10):
        heap.kept.look_back(0)

    assert heap.asked == 0


@pytest.mark.parametrize(("before", "count", "is_asked"), [(800, 300, True), (700, 300, False), (950, 90, False)])
def test_a_block_too_large_for_what_is_kept_has_it_given_back_first(before: int, count: int, is_asked: bool) -> None:
    heap = Heap()
    heap.kept.took(before)

    heap.kept.make_way(count, 0, 1_000)

    assert (heap.asked == 1) == is_asked


def test_what_has_been_given_back_is_not_reckoned_with_any_more() -> None:
    heap = Heap()
    heap.kept.took(800)

    for _ in range(3):
        heap.kept.make_way(300, 600, 1_000)
        heap.kept.took(700)

    assert heap.asked == 1
