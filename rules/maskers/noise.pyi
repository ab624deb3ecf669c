from collections.abc import Sequence

def move_numbers(
    subkey: bytes,
    texts: Sequence[str],
    within: tuple[int, int],
    step: tuple[int, int] | None,
    *,
    percent: bool,
) -> tuple[list[str | None], list[int]]: ...
