from collections.abc import Callable
from typing import final

from wiremask.protocol.walk import Program

def kind_at(buffer: bytearray, start: int, stop: int) -> int: ...

@final
class Decisions:
    def __init__(self, decide: Callable[[str | bytes], bool | None]) -> None: ...

@final
class Skim:
    @property
    def correlation_id(self) -> int: ...
    @property
    def number(self) -> int: ...
    def __init__(
        self,
        program: Program,
        head: bytes,
        *,
        is_request: bool,
        topics: int = -1,
        name: int = -1,
        topic_id: int = -1,
        width: int = 0,
        partitions: int = -1,
        partition_limit: int = -1,
        partition_width: int = 0,
        number: int = -1,
        endpoints: int = -1,
        records: int = -1,
        limit_bytes: int = -1,
    ) -> None: ...
    def opens(
        self, buffer: bytearray, start: int, stop: int, size: int, decisions: Decisions | None = None
    ) -> Passage | None: ...
    def passes(self, buffer: bytearray, start: int, stop: int, decisions: Decisions | None = None) -> bool: ...

@final
class Passage:
    @property
    def tail_bytes(self) -> int: ...
    def is_clear(self, decisions: Decisions | None) -> bool: ...
    def closes(self, buffer: bytearray, start: int) -> bool: ...
