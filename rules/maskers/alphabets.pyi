from collections.abc import Sequence

def take_out(
    alphabet: bytes, texts: Sequence[str], keep_first: int, keep_last: int, least: int, most: int
) -> tuple[list[int], list[bytes], list[bytes]]: ...
def put_back(
    alphabet: bytes, texts: Sequence[str], keep_first: int, places: list[int], hidden: list[bytes]
) -> list[str | None]: ...
