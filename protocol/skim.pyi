from typing import final

from wiremask.protocol.choices import Choices
from wiremask.protocol.walk import Program

def kind_at(buffer: bytearray, start: int, stop: int) -> int: ...

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
        self, buffer: bytearray, start: int, stop: int, size: int, choices: Choices | None = None
    ) -> Passage | None: ...
    def passes(self, buffer: bytearray, start: int, stop: int, choices: Choices | None = None) -> bool: ...

@final
class Passage:
    @property
    def tail_bytes(self) -> int: ...
    def is_clear(self, choices: Choices | None) -> bool: ...
    def closes(self, buffer: bytearray, start: int) -> bool: ...
