"""What the format of a part asks of its fields: a text has no members, stays a text, and is never made null."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.rules.model.masks import DateShift, Fixed, Nullify

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wiremask.rules.errors import Faults, Mark
    from wiremask.rules.model.masks import Mask
    from wiremask.rules.model.rule import Field, Format


def check_text_fields(
    form: Format, fields: Iterable[tuple[Field, Mark, Mark]], *, mark: Mark, twice: bool, faults: Faults
) -> None:
    """Reports what does not go with `text` or `auto`.

    Args:
        form: of the part.
        fields: each with the places of its path and of its mask.
        mark: the place of the format.
        twice: the rule acts in both directions.
        faults: takes what is wrong.
    """
    if form == "json":
        return
    takes_texts = False
    for field, path_mark, mask_mark in fields:
        if field.required:
            faults.add(path_mark, "a field is required in JSON alone; write `format: json`, or delete `onMissing`")
        if not field.path:
            takes_texts = True
            fault = fault_of_text(field.mask)
            if fault is not None:
                faults.add(mask_mark, fault)
        elif form == "text":
            faults.add(path_mark, "a text has no members; write `path: $` for all of it")
    if form == "auto" and twice:
        faults.add(mark, "what a mask leaves of a text may read as JSON at fetch; leave one direction, or write json")
    if form == "auto" and not takes_texts:
        faults.add(
            mark,
            "no field says what happens to a value that is no JSON; "
            "add one for `$`, as the last: {path: $, mask: redact}, or keep",
        )


def fault_of_text(mask: Mask) -> str | None:
    """Why a mask cannot act on a value that is one text; None if it can."""
    if isinstance(mask, Nullify):
        return "a text that becomes null is a tombstone, which deletes records; write redact"
    return _fault_of_literal(mask)


def fault_of_header(mask: Mask) -> str | None:
    """Why a mask cannot act on the value of a header; None if it can."""
    return _fault_of_literal(mask)


def _fault_of_literal(mask: Mask) -> str | None:
    if isinstance(mask, DateShift):
        return "a text has no other field to be the subject; write {date: year}, or mask it in JSON"
    if isinstance(mask, Fixed) and not mask.literal.startswith(b'"'):
        return "a text stays a text; quote the value"
    return None
