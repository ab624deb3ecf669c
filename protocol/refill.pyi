from collections.abc import Sequence
from typing import Any, final

from typing_extensions import Buffer

from wiremask.protocol.choices import Choices
from wiremask.protocol.walk import Program

@final
class RecordsField:
    @property
    def choice(self) -> Any: ...
    @property
    def start(self) -> int: ...
    @property
    def stop(self) -> int: ...

@final
class Refill:
    @property
    def correlation_id(self) -> int: ...
    @property
    def number(self) -> int: ...
    @property
    def grown_bytes(self) -> int: ...
    def __init__(
        self,
        program: Program,
        head: bytes,
        *,
        is_request: bool,
        topics: int,
        name: int,
        topic_id: int,
        width: int,
        partitions: int,
        partition_width: int,
        records: int,
        number: int = -1,
        endpoints: int = -1,
    ) -> None: ...
    def find(self, frame: bytes | bytearray, choices: Choices) -> list[RecordsField] | None: ...
    def fill(
        self,
        frame: bytes | bytearray,
        fields: list[RecordsField],
        filled: Sequence[Sequence[Buffer] | None],
    ) -> list[Buffer]: ...
