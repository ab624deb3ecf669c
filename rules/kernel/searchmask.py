"""Searching in Python: strings that may match a ruleset's own pattern, and those whose rest a later field masks.

The JSON kernel masks what built-in detectors find by itself. What it collects for a search comes here, with the name of
its member, and all detectors are run over it, built-in ones too, so that finds of both kinds are merged alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wiremask.rules.detect.detectors import DETECTORS, CustomPattern
from wiremask.rules.detect.finder import Finder, is_card_number
from wiremask.rules.kernel.collected import NUMBER, STRING
from wiremask.rules.model.masks import REDACTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from wiremask.rules.kernel.collected import Collected
    from wiremask.rules.model.masks import Search

CHUNK_BYTES = 1 << 14
"""Texts are joined to be searched, up to so many bytes: a pattern that takes all there is takes no more than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One leaf to be searched.

    Attributes:
        text: in UTF-8; a number as it is written.
        name: of its member, as written.
        acting: a bit for each find of the search that acts on it.
    """

    text: bytes
    kind: int
    name: bytes
    acting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What became of a leaf.

    Attributes:
        text: None for one that is not as it should be.
        refuser: index of the rule whose mask took nothing of it, if `text` is None; -1 for that of the later field.
        masked: for each find, how many values of it.
    """

    text: str | None
    refuser: int = -1
    masked: tuple[tuple[int, int], ...] = ()


class SearchMask:
    """All finds of a search, and the mask of a later field behind them.

    Attributes:
        patterns: those of the ruleset that are looked for.
        goes_on: there is such a later field.
    """

    def __init__(self, search: Search, masks: Sequence[Collected], then: Collected | None) -> None:
        """`masks` are the collected forms of the masks of the finds."""
        self._search = search
        self._masks = tuple(masks)
        self._then = then
        self.takes_numbers = then is not None and then.takes_numbers
        self.makes_text = then is not None and then.makes_text
        self.goes_on = then is not None
        patterns = dict.fromkeys(
            one for found in search.finds for one in found.detect if isinstance(one, CustomPattern)
        )
        self.patterns = tuple(patterns)
        names = {one for found in search.finds for one in found.detect if isinstance(one, str)}
        self._finder = Finder(sorted(names, key=DETECTORS.index))
        self._ranks: dict[int, dict[int, int]] = {}

    def suspects(self, text: Buffer) -> bool:
        """Whether one of the patterns may have a match in a JSON text, in a string without escapes."""
        return any(pattern.compiled.search(text) is not None for pattern in self.patterns)

    def mask(self, texts: Sequence[str], kinds: bytes, /) -> list[str | None]:
        """Masks leaves whose members have no names: see Collected.mask."""
        everything = (1 << len(self._search.finds)) - 1
        leaves = [
            Leaf(text=text.encode(), kind=kind, name=b"", acting=everything)
            for text, kind in zip(texts, kinds, strict=True)
        ]
        return [leaf.text for leaf in self.search(leaves)]

    def search(self, leaves: Sequence[Leaf]) -> list[Searched]:
        """Masks what is found in each leaf, and then the leaf if a later field says so."""
        spans = self._find(leaves)
        outputs = self._mask_spans(leaves, spans)
        searched = [self._join(leaf, found, outputs) for leaf, found in zip(leaves, spans, strict=True)]
        if self._then is None:
            return searched
        whole = [i for i, one in enumerate(searched) if one.text is not None]
        texts = [text for i in whole if (text := searched[i].text) is not None]
        masked = self._then.mask(texts, bytes(leaves[i].kind for i in whole))
        for i, text in zip(whole, masked, strict=True):
            searched[i] = Searched(text=text, masked=searched[i].masked)
        return searched

    def _find(self, leaves: Sequence[Leaf]) -> list[list[tuple[int, int, int]]]:
        """For each leaf (start, end, position of the find) of all that is found, in order and apart."""
        customs = self._match(leaves)
        found = []
        for leaf, custom in zip(leaves, customs, strict=True):
            ranks = self._rank(leaf.acting)
            if leaf.kind == NUMBER:
                finds = [(0, len(leaf.text), DETECTORS.index("card"))] if is_card_number(leaf.text) else []
            else:
                finds = self._finder.find(leaf.text, leaf.name) + custom
            found.append(_merge([(start, end, ranks[kind]) for start, end, kind in finds if kind in ranks]))
        return found

    def _match(self, leaves: Sequence[Leaf]) -> list[list[tuple[int, int, int]]]:
        """The matches of the patterns in each string; kinds count on behind the detectors.

        Strings are searched joined by line breaks. A match that lies within one is the one that the string alone has:
        what is around is no part of a word, as the end of a text is not, and patterns have no anchors. One that goes
        beyond shows that the string must be searched alone.
        """
        found: list[list[tuple[int, int, int]]] = [[] for _ in leaves]
        for first, last, joined, starts in _chunks(leaves) if self.patterns else ():
            for kind, pattern in enumerate(self.patterns, len(DETECTORS)):
                regex = pattern.compiled
                index, at = first, 0
                while (match := regex.search(joined, at)) is not None:
                    start, end = match.span()
                    while index < last and start > starts[index - first] + len(leaves[index].text):
                        index += 1
                    base = starts[index - first]
                    length = len(leaves[index].text)
                    if end <= base + length and start < end:
                        found[index].append((start - base, end - base, kind))
                        at = end
                        continue
                    alone = [(*one.span(), kind) for one in regex.finditer(leaves[index].text)]
                    found[index] = [one for one in found[index] if one[2] != kind]
                    found[index] += [one for one in alone if one[0] < one[1]]
                    index += 1
                    if index > last:
                        break
                    at = starts[index - first]
        return found

    def _rank(self, acting: int) -> dict[int, int]:
        """By detector, the first find that acts and has it."""
        ranks = self._ranks.get(acting)
        if ranks is None:
            kinds = {pattern: kind for kind, pattern in enumerate(self.patterns, len(DETECTORS))}
            ranks = {}
            for position, found in enumerate(self._search.finds):
                for one in found.detect if acting >> position & 1 else ():
                    ranks.setdefault(DETECTORS.index(one) if isinstance(one, str) else kinds[one], position)
            if len(self._ranks) < 256:
                self._ranks[acting] = ranks
        return ranks

    def _mask_spans(
        self, leaves: Sequence[Leaf], spans: Sequence[Sequence[tuple[int, int, int]]]
    ) -> dict[tuple[int, int], str | None]:
        """What each find becomes, by position of the leaf and start; each mask is called once."""
        outputs: dict[tuple[int, int], str | None] = {}
        for position, mask in enumerate(self._masks):
            places = [
                (i, start, end) for i, found in enumerate(spans) for start, end, which in found if which == position
            ]
            texts = [leaves[i].text[start:end].decode("utf-8", "replace") for i, start, end in places]
            masked: Sequence[str | None] = mask.mask(texts, bytes([STRING]) * len(texts)) if texts else ()
            may_redact = self._search.finds[position].on_unmaskable == "redact"
            for (i, start, _), text in zip(places, masked, strict=True):
                outputs[id(leaves[i]), start] = REDACTED if text is None and may_redact else text
        return outputs

    def _join(
        self, leaf: Leaf, spans: Sequence[tuple[int, int, int]], outputs: dict[tuple[int, int], str | None]
    ) -> Searched:
        counts: dict[int, int] = {}
        pieces: list[str] = []
        at = 0
        if leaf.kind == NUMBER and spans:
            return Searched(text="0", masked=((self._search.finds[spans[0][2]].rule, 1),))
        for start, end, position in spans:
            rule = self._search.finds[position].rule
            output = outputs[id(leaf), start]
            if output is None:
                return Searched(text=None, refuser=rule)
            counts[rule] = counts.get(rule, 0) + 1
            pieces += (leaf.text[at:start].decode("utf-8", "replace"), output)
            at = end
        pieces.append(leaf.text[at:].decode("utf-8", "replace"))
        return Searched(text="".join(pieces), masked=tuple(counts.items()))


def _chunks(leaves: Sequence[Leaf]) -> list[tuple[int, int, bytes, list[int]]]:
    """Runs of leaves, joined: the first and the last of each, the text, and where each leaf starts in it."""
    chunks: list[tuple[int, int, bytes, list[int]]] = []
    first = size = 0
    for i, leaf in enumerate(leaves):
        size += len(leaf.text) + 1
        if size < CHUNK_BYTES and i + 1 < len(leaves):
            continue
        texts = [one.text if one.kind == STRING else b"\n" * len(one.text) for one in leaves[first : i + 1]]
        starts, at = [], 0
        for text in texts:
            starts.append(at)
            at += len(text) + 1
        chunks.append((first, i, b"\n".join(texts), starts))
        first, size = i + 1, 0
    return chunks


def _merge(finds: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Finds in order, those that overlap as one of the earliest field: as merge_finds in find_list.h."""
    merged: list[tuple[int, int, int]] = []
    for start, end, position in sorted(finds):
        if merged and start < merged[-1][1]:
            before = merged[-1]
            merged[-1] = (before[0], max(end, before[1]), min(position, before[2]))
        else:
            merged.append((start, end, position))
    return merged
