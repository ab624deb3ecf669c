from array import array

from typing_extensions import Buffer

from wiremask.rules.outcome import Outcome

def quote(buffer: Buffer, spans: array[int]) -> tuple[bytes, array[int]]: ...
def unquote(outcome: Outcome, buffer: Buffer, spans: array[int]) -> Outcome: ...
