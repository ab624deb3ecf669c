from array import array
from collections.abc import Sequence
from typing import final

from typing_extensions import Buffer

from wiremask.rules.kernel.automaton import Selection
from wiremask.rules.model.masks import OnUnreadable
from wiremask.rules.outcome import Detail as Detail
from wiremask.rules.outcome import Failure as Failure
from wiremask.rules.outcome import MaskedTooLarge as MaskedTooLarge
from wiremask.rules.outcome import Outcome as Outcome
from wiremask.rules.outcome import Reason as Reason

OUTPUT_LIMIT_BYTES: int

@final
class MaskRun:
    @property
    def masked(self) -> array[int]: ...

class JsonMasker:
    def __init__(
        self,
        selections: Sequence[Selection],
        *,
        rules: int,
        depth_limit: int = 64,
        on_unreadable: OnUnreadable = "reject",
        marker: bytes = b'{"wiremask":"unreadable"}',
        output_limit_bytes: int = ...,
        topic: str = "",
        conditions: int = 0,
    ) -> None: ...
    @property
    def runs_alone(self) -> bool: ...
    def take_run(self) -> MaskRun: ...
    def give_run(self, run: MaskRun) -> None: ...
    def leaves(self, buffer: Buffer, values: array[int]) -> list[tuple[int, str]]: ...
    def mask(
        self,
        buffer: Buffer,
        values: array[int] | memoryview[int],
        conditions: bytes = b"",
        findings: bytearray | None = None,
    ) -> Outcome: ...
