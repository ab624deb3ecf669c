"""Reading nodes as what the grammar expects: members, lists, texts, words, counts.

Each function records what is wrong, with what to write instead, and returns None; a `Broken` node is passed over in
silence, its fault is known. A mistyped word is answered with the nearest right one and never repeated.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wiremask.rules.nodes.source import Broken, Entry, Mapping, Node, Scalar
from wiremask.rules.nodes.source import Sequence as ItemSequence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wiremask.rules.errors import Faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The keys of one kind of mapping.

    Attributes:
        of: what the mapping is, for messages ("a rule").
        known: keys that are read.
        required: those of `known` that must stand.
        later: keys of the language that this release does not do yet.
    """

    of: str
    known: tuple[str, ...]
    required: tuple[str, ...] = ()
    later: tuple[str, ...] = ()


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The word that `word` was probably meant to be; letter case and `_`, `-` don't count."""
    plain = {_plain(candidate): candidate for candidate in words}
    found = difflib.get_close_matches(_plain(word[:64]), plain, n=1, cutoff=0.6)
    return plain[found[0]] if found else None


def choices(words: Iterable[str]) -> str:
    """Words as a message lists them."""
    return ", ".join(f"`{word}`" for word in words)


def suggest(word: str, words: Sequence[str]) -> str:
    """`did you mean ...?`, or all there is to choose from."""
    near = nearest(word, words)
    return f"did you mean `{near}`?" if near is not None else f"write one of {choices(words)}"


def read_members(node: Node, words: Words, faults: Faults) -> dict[str, Entry] | None:
    """The members of a mapping by key. Unknown, missing and `later` keys are reported; the last are returned too."""
    if not isinstance(node, Mapping):
        expected(node, f"{words.of} is a mapping, with the keys {choices(words.known)}", faults)
        return None
    members: dict[str, Entry] = {}
    for entry in node.entries:
        if entry.key in words.later:
            faults.add(entry.mark, f"`{entry.key}` in {words.of} is not supported yet; delete it")
        elif entry.key not in words.known:
            hint = suggest(entry.key, words.known) if words.known else "it takes none, delete this one"
            faults.add(entry.mark, f"unknown key in {words.of}; {hint}")
            continue
        members[entry.key] = entry
    missing = [word for word in words.required if word not in members]
    if missing:
        faults.add(node.mark, f"{words.of} lacks {choices(missing)}; add {'it' if len(missing) == 1 else 'them'}")
    return members


def read_items(node: Node, what: str, faults: Faults) -> tuple[Node, ...] | None:
    """The items of a list that is not empty. `what` is the message, such as "`topics` is a list of patterns, [...]"."""
    if not isinstance(node, ItemSequence):
        expected(node, what, faults)
        return None
    if not node.items:
        faults.add(node.mark, f"the list is empty; {what}")
        return None
    return node.items


def read_text(node: Node, what: str, faults: Faults, *, limit: int = 1024) -> str | None:
    """A text. `what` is the message if it is none."""
    if not isinstance(node, Scalar) or node.kind != "text":
        expected(node, what + ("; quote it" if isinstance(node, Scalar) else ""), faults)
        return None
    if len(node.text) > limit:
        faults.add(node.mark, f"this text is longer than {limit} characters; shorten it")
        return None
    return node.text


def read_word(node: Node, what: str, words: Sequence[str], faults: Faults, *, later: Sequence[str] = ()) -> str | None:
    """One of a few words; `what` is the key that it belongs to."""
    if not isinstance(node, Scalar):
        expected(node, f"`{what}` is one of {choices(words)}", faults)
        return None
    if node.kind == "text" and node.text in words:
        return node.text
    if node.kind == "text" and node.text in later:
        faults.add(node.mark, f"`{what}: {node.text}` is not supported yet; write {choices(words)}")
        return None
    faults.add(node.mark, f"unknown word for `{what}`; {suggest(node.text, words)}")
    return None


def read_count(node: Node, what: str, lowest: int, highest: int, faults: Faults) -> int | None:
    """A whole number within bounds."""
    bounds = f"`{what}` is a whole number from {lowest} to {highest}"
    if not isinstance(node, Scalar) or node.kind != "number" or not node.text.removeprefix("-").isdecimal():
        expected(node, bounds, faults)
        return None
    # The length first: int() of a long run of digits costs its square.
    count = int(node.text) if len(node.text) <= 10 else highest + 1
    if not lowest <= count <= highest:
        faults.add(node.mark, bounds)
        return None
    return count


def read_switch(node: Node, what: str, faults: Faults) -> bool | None:
    """`true` or `false`."""
    if not isinstance(node, Scalar) or node.kind != "boolean":
        expected(node, f"`{what}` is true or false", faults)
        return None
    return node.text == "true"


def expected(node: Node, message: str, faults: Faults) -> None:
    """Records that a node is not what it should be, unless its fault is known."""
    if not isinstance(node, Broken):
        faults.add(node.mark, message)


def member(members: dict[str, Entry], key: str) -> Node | None:
    """The value under a key, if it stands."""
    entry = members.get(key)
    return None if entry is None else entry.value


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")
