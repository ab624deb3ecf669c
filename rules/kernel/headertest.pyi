from array import array
from collections.abc import Iterable
from typing import final

from typing_extensions import Buffer

EQUAL: int
UNEQUAL: int
OTHER: int

@final
class HeaderTest:
    def __init__(self, name: bytes, texts: Iterable[bytes]) -> None: ...
    def find(self, buffer: Buffer, headers: array[int], found: bytearray) -> None: ...
