from array import array

from typing_extensions import Buffer

from wiremask.rules.kernel.jsonmask import JsonMasker

def mask_plain(
    records: Buffer, masker: JsonMasker, *, is_produced: bool, records_limit: int, limit_bytes: int
) -> tuple[bytes | None, int, int, int, array[int]] | None: ...
