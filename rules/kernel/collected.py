"""Collected masks: the walk gathers the leaves of a whole batch, each mask is called once, the values are put together.

For masks whose outputs have lengths that nobody knows before, or that cost less for many leaves at once. `catalog.py`
of the maskers names the module of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from wiremask.rules.kernel.jsonmask import JsonMasker
    from wiremask.rules.model.selector import Path

STRING, NUMBER = b"sn"


class Collected(Protocol):
    """One mask, ready to act; shared by threads, so it holds no state that a call changes.

    Attributes:
        takes_numbers: leaves that are numbers come too, not only strings.
        makes_text: every output is a string; else a number stays a number.
    """

    takes_numbers: bool
    makes_text: bool

    def mask(self, texts: Sequence[str], kinds: bytes, /) -> Sequence[str | None]:
        """Masks a batch of leaves.

        Args:
            texts: a string decoded, a number as it is written.
            kinds: STRING or NUMBER for each.

        Returns:
            For each leaf the text of its output (a valid JSON number where it stays a number), or None for a leaf that
            the mask does not take.
        """


class BySubject:
    """A collected mask whose outputs also hang on another leaf of the same value.

    Args:
        subject: the path of that leaf, a text or number. A value in which it selects none, or several that differ, has
            no subject.
    """

    def __init__(self, subject: Path) -> None:
        self._subject = subject
        self._gathering: JsonMasker | None = None

    def subjects(self, buffer: Buffer, values: array[int], depth_limit: int, /) -> dict[int, str]:
        """The subject of each value of a batch that has one: see JsonMasker."""
        found: dict[int, str] = {}
        unclear = set()
        for index, text in self._gatherer(depth_limit).leaves(buffer, values):
            if found.setdefault(index, text) != text:
                unclear.add(index)
        return {index: text for index, text in found.items() if index not in unclear}

    def mask_by(self, texts: Sequence[str], kinds: bytes, subjects: Sequence[str | None], /) -> Sequence[str | None]:
        """Masks a batch of leaves, each with the subject of its value: see Collected.mask."""
        raise NotImplementedError

    def _gatherer(self, depth_limit: int) -> JsonMasker:
        if self._gathering is None:
            from wiremask.rules.kernel.automaton import Selection  # noqa: PLC0415 - both import this module
            from wiremask.rules.kernel.jsonmask import JsonMasker  # noqa: PLC0415
            from wiremask.rules.model.masks import Chain, Keep  # noqa: PLC0415

            # A list of masks is collected, whatever is in it.
            gather = Selection(path=self._subject, mask=Chain(masks=(Keep(),)), rule=0, on_unmaskable="redact")
            self._gathering = JsonMasker([gather], rules=1, depth_limit=depth_limit)
        return self._gathering
