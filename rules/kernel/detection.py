"""Detectors among selections by path.

A detector decides what it finds and nothing else, so a later field still acts on the text around. Here selections with
detectors are made into selections by path alone, which is all that the automaton knows:

- a leaf that no path selects is searched by all detectors,
- one that is kept, by those that stand before the field that keeps it,
- one that a later field masks by its content, by those that stand before it, and what comes out is masked then,
- one that becomes something fixed is not searched, nothing of it stays; nor is a date that is shifted, it is all date.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from wiremask.rules.errors import RulesClash
from wiremask.rules.model.masks import DateShift, Drop, Fixed, Found, Keep, Nullify, OneOf, Redact, Search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wiremask.rules.kernel.automaton import Selection
    from wiremask.rules.model.masks import Mask

FINDS_LIMIT = 32


class TooManyDetectors(RulesClash):
    """More fields with `detect` meet on one topic than the kernel should hold."""


def weave(selections: Sequence[Selection]) -> list[Selection]:
    """Selections without detectors that do the same, in order of precedence.

    Raises:
        TooManyDetectors: more than FINDS_LIMIT of them have detectors.
    """
    finds: list[Found] = []
    woven: list[Selection] = []
    for selection in selections:
        if selection.detect:
            if isinstance(selection.mask, Search | OneOf):
                raise TypeError("a search is made here")
            finds.append(
                Found(
                    detect=selection.detect,
                    mask=_as_text(selection.mask),
                    rule=selection.rule,
                    on_unmaskable=selection.on_unmaskable,
                    when=selection.when,
                )
            )
        elif not finds or isinstance(selection.mask, Redact | Fixed | Nullify | Drop | DateShift | Search | OneOf):
            woven.append(selection)
        else:
            then = None if isinstance(selection.mask, Keep) else selection.mask
            woven.append(replace(selection, mask=Search(finds=tuple(finds), then=then)))
    if len(finds) > FINDS_LIMIT:
        raise TooManyDetectors(
            f"more than {FINDS_LIMIT} fields with `detect` meet on one of these topics; "
            "join detectors with the same mask in one list"
        )
    if finds:
        woven.append(replace(selections[-1], path=(), mask=Search(finds=tuple(finds)), detect=(), when=None))
    return woven


def _as_text(mask: Mask) -> Mask:
    """A mask for parts of texts: what is fixed is a text without its quotes."""
    if not isinstance(mask, Fixed):
        return mask
    return Redact(text=json.loads(mask.literal), number=mask.literal)
