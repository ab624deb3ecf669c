from collections.abc import Callable, Sequence

def shift_dates(
    texts: Sequence[str], days: Sequence[int | None], is_clock: Callable[[str, int], object]
) -> tuple[list[str | None], list[int]]: ...
