"""Collected masks: the walk gathers the leaves of a whole batch, each mask is called once, the values are put together.

For masks whose outputs have lengths that nobody knows before, or that cost less for many leaves at once. `maskers.py`
names the module of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

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
