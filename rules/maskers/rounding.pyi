from collections.abc import Sequence

DIRECTIONS: dict[str, int]

def round_numbers(
    texts: Sequence[str],
    of: tuple[int, int],
    start: tuple[int, int],
    lowest: tuple[int, int] | None,
    highest: tuple[int, int] | None,
    direction: int,
) -> tuple[list[str | None], list[int]]: ...
def find_places(texts: Sequence[str], bounds: Sequence[tuple[int, int]]) -> list[int]: ...
