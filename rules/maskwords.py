"""The masks as the rule language writes them: `keep`, `{partial: {keepLast: 4}}`, ...

A mask is a word, or a mapping from one word to its arguments; `redact` is `{redact: {}}`. A list of masks, and the
masks named in `LATER`, belong to the language but are not built yet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from wiremask.rules.masks import REDACTED, SEPARATORS, Drop, Fixed, Hash, Keep, Mask, Nullify, Partial, Redact
from wiremask.rules.shape import (
    Words,
    choices,
    expected,
    member,
    nearest,
    read_count,
    read_members,
    read_switch,
    read_text,
    read_word,
)
from wiremask.rules.source import Broken, Entry, Mapping, Node, Scalar, Sequence

if TYPE_CHECKING:
    from wiremask.rules.errors import Faults, Mark
    from wiremask.rules.keyring import KeyRing

KEEP_LIMIT = 65535
SEPARATOR_LIMIT = 32
# A shorter hash meets itself: 64 bits collide by chance after about 2^32 values.
HASH_FLOOR = {"hex": 16, "base64url": 11}
HASH_CEILING = {"hex": 64, "base64url": 43}

LATER = (
    "token", "fpe", "encrypt", "truncate", "bucket", "round", "range", "date", "zip3", "age", "ip", "pseudonym",
    "noise", "pattern", "email",
)  # fmt: skip

_DOMAIN = re.compile(r"[A-Za-z0-9._:/-]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadMask:
    """A mask with the place of its name and the places of its arguments."""

    mask: Mask
    word: str
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """A mask's arguments while they are read. `members` is empty for the bare word."""

    word: str
    mark: Mark
    members: dict[str, Entry]
    keys: KeyRing
    faults: Faults

    def count(self, key: str, default: int, lowest: int, highest: int) -> int | None:
        node = member(self.members, key)
        return default if node is None else read_count(node, key, lowest, highest, self.faults)

    def switch(self, key: str) -> bool | None:
        node = member(self.members, key)
        return False if node is None else read_switch(node, key, self.faults)

    def text(self, key: str, default: str, limit: int = 1024) -> str | None:
        node = member(self.members, key)
        return default if node is None else read_text(node, f"`{key}` is a text", self.faults, limit=limit)

    def as_string(self) -> bool | None:
        node = member(self.members, "as")
        if node is None:
            return False
        return None if read_word(node, "as", ("string",), self.faults) is None else True


def read_mask(node: Node, keys: KeyRing, faults: Faults) -> ReadMask | None:
    """Reads one mask; None if a fault was reported."""
    if isinstance(node, Sequence):
        return _read_list(node, keys, faults)
    if isinstance(node, Scalar):
        return _read_call(node.text if node.kind == "text" else "", node.mark, None, keys, faults)
    if isinstance(node, Mapping) and len(node.entries) == 1:
        entry = node.entries[0]
        return _read_call(entry.key, entry.mark, entry.value, keys, faults)
    expected(node, "a mask is a word, or one word with its arguments: {partial: {keepLast: 4}}", faults)
    return None


def _read_list(node: Sequence, keys: KeyRing, faults: Faults) -> ReadMask | None:
    masks = [read_mask(item, keys, faults) for item in node.items]
    if not masks:
        faults.add(node.mark, f"the list of masks is empty; write one of {choices(MASKS)}")
        return None
    if len(masks) > 1:
        faults.add(node.items[1].mark, "more than one mask on a field is not supported yet; leave one")
        return None
    return masks[0]


def _read_call(word: str, mark: Mark, arguments: Node | None, keys: KeyRing, faults: Faults) -> ReadMask | None:
    if word in LATER:
        faults.add(mark, f"the mask `{word}` is not supported yet; write one of {choices(MASKS)}")
        return None
    if word not in MASKS:
        near = nearest(word, (*MASKS, *LATER))
        hint = f"did you mean `{near}`?" if near is not None else f"write one of {choices(MASKS)}"
        faults.add(mark, f"unknown mask; {hint}")
        return None
    words, read = MASKS[word]
    before = len(faults.found)
    if word == "fixed" and isinstance(arguments, Scalar):
        arguments = Mapping(mark=arguments.mark, entries=(Entry(mark=arguments.mark, key="value", value=arguments),))
    members = read_members(arguments if arguments is not None else Mapping(mark=mark, entries=()), words, faults)
    if members is None or isinstance(arguments, Broken):
        return None
    mask = read(_Call(word=word, mark=mark, members=members, keys=keys, faults=faults))
    if mask is None or len(faults.found) > before:
        return None
    return ReadMask(mask=mask, word=word, mark=mark)


def _read_redact(call: _Call) -> Mask | None:
    text = call.text("text", REDACTED)
    return None if text is None else Redact(text=text)


def _read_fixed(call: _Call) -> Mask | None:
    whole = call.switch("whole")
    node = member(call.members, "value")
    if node is None:
        return None
    if not isinstance(node, Scalar):
        expected(node, "`value` is a text, a number, true or false; lists and mappings are not supported", call.faults)
        return None
    if node.kind == "null":
        call.faults.add(node.mark, "a fixed null is the mask `nullify`; write that")
        return None
    if node.kind == "text" and read_text(node, "`value` is a text", call.faults) is None:
        return None
    if len(node.text) > 1024:
        call.faults.add(node.mark, "this value is longer than 1024 characters; shorten it")
        return None
    literal = json.dumps(node.text, ensure_ascii=False) if node.kind == "text" else node.text
    return None if whole is None else Fixed(literal=literal.encode("utf-8"), whole=whole)


def _read_nullify(call: _Call) -> Mask | None:
    whole = call.switch("whole")
    return None if whole is None else Nullify(whole=whole)


def _read_partial(call: _Call) -> Mask | None:
    first, last = call.count("keepFirst", 0, 0, KEEP_LIMIT), call.count("keepLast", 0, 0, KEEP_LIMIT)
    char = call.text("char", "*")
    separators = call.text("separators", SEPARATORS, SEPARATOR_LIMIT)
    as_string = call.as_string()
    if char is not None and (len(char) != 1 or not char.isprintable()):
        call.faults.add(call.members["char"].value.mark, "`char` is exactly one printable character")
    if separators is not None and any(character.isalnum() for character in separators):
        call.faults.add(
            call.members["separators"].value.mark,
            "`separators` are kept in clear, so none is a letter or digit; delete those",
        )
    if first is None or last is None or char is None or separators is None or as_string is None:
        return None
    return Partial(keep_first=first, keep_last=last, char=char, separators=separators, as_string=as_string)


def _read_hash(call: _Call) -> Mask | None:
    node = member(call.members, "encoding")
    encoding = (
        "hex" if node is None else read_word(node, "encoding", ("hex", "base64url"), call.faults, later=("crockford",))
    )
    domain = call.text("domain", "")
    if "domain" in call.members and domain is not None and _DOMAIN.fullmatch(domain) is None:
        call.faults.add(
            call.members["domain"].value.mark,
            "`domain` has letters, digits and `._:/-`, 1 to 128; leave it out for none",
        )
        domain = None
    as_string = call.as_string()
    length = None
    if encoding is not None:
        length = call.count("length", HASH_CEILING[encoding], HASH_FLOOR[encoding], HASH_CEILING[encoding])
    name = member(call.members, "key")
    key = None if name is None else read_text(name, "`key` is the name of a key under `keys`", call.faults)
    if name is None or key is None or domain is None:
        return None
    subkey = call.keys.subkey(key, name.mark, call.word, domain, call.faults)
    if subkey is None or encoding is None or length is None or as_string is None:
        return None
    return Hash(
        subkey=subkey,
        encoding=cast("Literal['hex', 'base64url']", encoding),
        length=length,
        as_string=as_string,
    )


def _words(word: str, *known: str, required: tuple[str, ...] = ()) -> Words:
    return Words(of=f"the mask `{word}`", known=known, required=required)


_Read = Callable[[_Call], Mask | None]

MASKS: dict[str, tuple[Words, _Read]] = {
    "keep": (_words("keep"), lambda _: Keep()),
    "redact": (_words("redact", "text"), _read_redact),
    "fixed": (_words("fixed", "value", "whole", required=("value",)), _read_fixed),
    "nullify": (_words("nullify", "whole"), _read_nullify),
    "drop": (_words("drop"), lambda _: Drop()),
    "partial": (_words("partial", "keepFirst", "keepLast", "char", "separators", "as"), _read_partial),
    "hash": (_words("hash", "key", "domain", "length", "encoding", "as", required=("key",)), _read_hash),
}
