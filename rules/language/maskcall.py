"""The arguments of one mask while they are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wiremask.rules.maskers.numeric import read_decimal
from wiremask.rules.nodes.shape import expected, member, read_count, read_items, read_switch, read_text, read_word
from wiremask.rules.nodes.source import Entry, Node, Scalar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from wiremask.rules.errors import Faults, Mark
    from wiremask.rules.language.keyring import KeyRing
    from wiremask.rules.model.masks import Mask

KEEP_LIMIT = 65535
NUMBER_LIMIT_CHARACTERS = 40

_DOMAIN = re.compile(r"[A-Za-z0-9._:/-]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A mask's arguments while they are read. `members` is empty for the bare word.

    Each reader gives None if the argument is faulty; the fault is recorded.

    Attributes:
        part: reads an argument that is a mask itself.
    """

    word: str
    mark: Mark
    members: dict[str, Entry]
    keys: KeyRing
    faults: Faults
    part: Callable[[Node], Mask | None]

    def has(self, key: str) -> bool:
        """Whether the argument is given."""
        return key in self.members

    def fault(self, key: str, message: str) -> None:
        """Records what is wrong with an argument that is given."""
        self.faults.add(self.members[key].value.mark, message)

    def count(self, key: str, default: int, lowest: int, highest: int) -> int | None:
        """A whole number."""
        node = member(self.members, key)
        return default if node is None else read_count(node, key, lowest, highest, self.faults)

    def kept(self) -> tuple[int, int] | None:
        """`keepFirst` and `keepLast`."""
        first, last = self.count("keepFirst", 0, 0, KEEP_LIMIT), self.count("keepLast", 0, 0, KEEP_LIMIT)
        return None if first is None or last is None else (first, last)

    def number(self, key: str, *, positive: bool = False) -> Decimal | None:
        """A number, kept exactly; also None if it is not given."""
        node = member(self.members, key)
        return None if node is None else self.as_number(node, f"`{key}`", positive=positive)

    def as_number(self, node: Node, what: str, *, positive: bool = False) -> Decimal | None:
        """A node as a number."""
        message = f"{what} is a number{' above 0' if positive else ''} of at most {NUMBER_LIMIT_CHARACTERS} characters"
        if not isinstance(node, Scalar) or node.kind != "number" or len(node.text) > NUMBER_LIMIT_CHARACTERS:
            expected(node, message, self.faults)
            return None
        number = read_decimal(node.text)
        if number is None or (positive and number <= 0):
            self.faults.add(node.mark, message)
            return None
        return number

    def items(self, key: str, what: str) -> Sequence[Node]:
        """The items of a list; () if it is not given, or faulty."""
        node = member(self.members, key)
        return () if node is None else read_items(node, what, self.faults) or ()

    def switch(self, key: str) -> bool | None:
        """A switch, off by default."""
        node = member(self.members, key)
        return False if node is None else read_switch(node, key, self.faults)

    def text(self, key: str, default: str, limit: int = 1024) -> str | None:
        """A text."""
        node = member(self.members, key)
        return default if node is None else read_text(node, f"`{key}` is a text", self.faults, limit=limit)

    def choice(self, key: str, words: Sequence[str]) -> str | None:
        """One of a few words; the first by default."""
        node = member(self.members, key)
        return words[0] if node is None else read_word(node, key, words, self.faults)

    def as_string(self) -> bool | None:
        """Whether `as: string` is given."""
        node = member(self.members, "as")
        if node is None:
            return False
        return None if read_word(node, "as", ("string",), self.faults) is None else True

    def mask(self, key: str, default: Mask) -> Mask | None:
        """An argument that is a mask."""
        node = member(self.members, key)
        return default if node is None else self.part(node)

    def domain(self) -> str | None:
        """`domain`, which tells subkeys apart."""
        domain = self.text("domain", "")
        if self.has("domain") and domain is not None and _DOMAIN.fullmatch(domain) is None:
            self.fault("domain", "`domain` has letters, digits and `._:/-`, 1 to 128; leave it out for none")
            return None
        return domain

    def key(self) -> tuple[str, Mark] | None:
        """The name of the key, and its place."""
        node = member(self.members, "key")
        name = None if node is None else read_text(node, "`key` is the name of a key under `keys`", self.faults)
        return None if node is None or name is None else (name, node.mark)

    def subkey(self) -> bytes | None:
        """The subkey for `key` and `domain`."""
        domain, key = self.domain(), self.key()
        return None if domain is None or key is None else self.keys.subkey(*key, self.word, domain, self.faults)
