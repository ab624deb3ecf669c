from collections.abc import Mapping, Sequence

FORMS: Mapping[str, int]
LENGTH_LIMIT_CHARACTERS: int

def make_tokens(
    subkey: bytes, form: str, texts: Sequence[str], keep_first: int, keep_last: int
) -> list[str | None]: ...
