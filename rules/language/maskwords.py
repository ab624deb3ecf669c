"""The masks as the rule language writes them: `keep`, `{partial: {keepLast: 4}}`, ...

A mask is a word, or a mapping from one word to its arguments; `redact` is `{redact: {}}`. A list of masks applies in
order. Here is what needs no key and no arithmetic; `generalwords.py` and `keyedwords.py` have the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wiremask.rules.language.generalwords import (
    read_age,
    read_bucket,
    read_date,
    read_ip,
    read_range,
    read_round,
    read_zip3,
)
from wiremask.rules.language.keyedwords import read_encrypt, read_fpe, read_hash, read_noise, read_pseudonym, read_token
from wiremask.rules.language.maskcall import KEEP_LIMIT, Call
from wiremask.rules.maskers.numeric import write_decimal
from wiremask.rules.model.masks import (
    REDACTED,
    SEPARATORS,
    Chain,
    DateShift,
    Drop,
    Email,
    Fixed,
    Keep,
    Mask,
    Nullify,
    Partial,
    Pattern,
    Redact,
    Truncate,
)
from wiremask.rules.nodes.shape import Words, choices, expected, member, nearest, read_members, read_switch, read_text
from wiremask.rules.nodes.source import Broken, Entry, Mapping, Node, Scalar, Sequence

if TYPE_CHECKING:
    from wiremask.rules.errors import Faults, Mark
    from wiremask.rules.language.keyring import KeyRing

SEPARATOR_LIMIT = 32
LENGTH_LIMIT = 1_000_000
FIXED_LENGTH_LIMIT = 1024
CHAIN_LIMIT = 8

# With these, `{round: 10}` is short for `{round: {to: 10}}`.
SHORT = {"fixed": "value", "truncate": "length", "round": "to", "date": "to"}
# They settle a field alone: what they leave is no text or number that a next mask could take.
ALONE = (Keep, Fixed, Nullify, Drop)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadMask:
    """A mask with its name and the place of that."""

    mask: Mask
    word: str
    mark: Mark


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
    if not node.items:
        faults.add(node.mark, f"the list of masks is empty; write one of {choices(MASKS)}")
        return None
    if len(node.items) > CHAIN_LIMIT:
        faults.add(node.items[CHAIN_LIMIT].mark, f"a list has at most {CHAIN_LIMIT} masks; delete this one")
        return None
    before = len(faults.found)
    found = [read_mask(item, keys, faults) for item in node.items]
    masks = [mask for mask in found if mask is not None]
    if len(masks) < len(found) or len(masks) == 1:
        return masks[0] if len(found) == len(masks) else None
    for mask in masks:
        if isinstance(mask.mask, ALONE):
            faults.add(mask.mark, f"`{mask.word}` leaves nothing for the other masks of the list; write it alone")
        elif isinstance(mask.mask, DateShift):
            faults.add(mask.mark, "a shifted date hangs on its subject and takes no output of a mask; write it alone")
        elif isinstance(mask.mask, Chain):
            faults.add(mask.mark, "a list stands within a list; write its masks into the outer one")
    if len(faults.found) > before:
        return None
    return ReadMask(mask=Chain(masks=tuple(mask.mask for mask in masks)), word="list", mark=node.items[0].mark)


def _read_call(word: str, mark: Mark, arguments: Node | None, keys: KeyRing, faults: Faults) -> ReadMask | None:
    if word not in MASKS:
        near = nearest(word, MASKS)
        hint = f"did you mean `{near}`?" if near is not None else f"write one of {choices(MASKS)}"
        faults.add(mark, f"unknown mask; {hint}")
        return None
    words, read = MASKS[word]
    before = len(faults.found)
    if word in SHORT and isinstance(arguments, Scalar):
        short = Entry(mark=arguments.mark, key=SHORT[word], value=arguments)
        arguments = Mapping(mark=arguments.mark, entries=(short,))
    members = read_members(arguments if arguments is not None else Mapping(mark=mark, entries=()), words, faults)
    if members is None or isinstance(arguments, Broken):
        return None

    def read_part(node: Node) -> Mask | None:
        part = read_mask(node, keys, faults)
        return None if part is None else part.mask

    mask = read(Call(word=word, mark=mark, members=members, keys=keys, faults=faults, part=read_part))
    if mask is None or len(faults.found) > before:
        return None
    return ReadMask(mask=mask, word=word, mark=mark)


def _read_redact(call: Call) -> Mask | None:
    text = call.text("text", REDACTED)
    number = call.number("number")
    node = member(call.members, "boolean")
    boolean = False if node is None else read_switch(node, "boolean", call.faults)
    if text is None or boolean is None:
        return None
    return Redact(
        text=text,
        number=b"0" if number is None else write_decimal(number).encode(),
        boolean=b"true" if boolean else b"false",
    )


def _read_fixed(call: Call) -> Mask | None:
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


def _read_nullify(call: Call) -> Mask | None:
    whole = call.switch("whole")
    return None if whole is None else Nullify(whole=whole)


def _read_partial(call: Call) -> Mask | None:
    kept = call.kept()
    hides = [call.count(key, 0, 1, KEEP_LIMIT) for key in ("hideFirst", "hideLast")]
    for key in ("keepFirst", "keepLast", "fixedLength"):
        if call.has(key) and (call.has("hideFirst") or call.has("hideLast")):
            call.fault(key, f"`{key}` does not go with `hideFirst` and `hideLast`, which keep all others; delete it")
    char = call.text("char", "*")
    separators = call.text("separators", SEPARATORS, SEPARATOR_LIMIT)
    fixed_length = call.count("fixedLength", 0, 1, FIXED_LENGTH_LIMIT)
    as_string = call.as_string()
    if char is not None and (len(char) != 1 or not char.isprintable()):
        call.fault("char", "`char` is exactly one printable character")
    if separators is not None and any(character.isalnum() for character in separators):
        call.fault("separators", "`separators` are kept in clear, so none is a letter or digit; delete those")
    hide_first, hide_last = hides
    if kept is None or hide_first is None or hide_last is None:
        return None
    if char is None or separators is None or fixed_length is None or as_string is None:
        return None
    return Partial(
        keep_first=kept[0],
        keep_last=kept[1],
        hide_first=hide_first,
        hide_last=hide_last,
        char=char,
        separators=separators,
        fixed_length=fixed_length,
        as_string=as_string,
    )


def _read_truncate(call: Call) -> Mask | None:
    length, as_string = call.count("length", 0, 0, LENGTH_LIMIT), call.as_string()
    return None if length is None or as_string is None else Truncate(length=length, as_string=as_string)


def _read_pattern(call: Call) -> Mask | None:
    as_string = call.as_string()
    return None if as_string is None else Pattern(as_string=as_string)


def _read_email(call: Call) -> Mask | None:
    local, domain = call.mask("local", Partial(fixed_length=5)), call.mask("domain", Keep())
    for key, mask in (("local", local), ("domain", domain)):
        if isinstance(mask, Fixed | Nullify | Drop | DateShift):
            call.fault(key, f"`{key}` takes a mask that makes text of text; write redact, partial, hash or the like")
    return None if local is None or domain is None else Email(local=local, domain=domain)


def _words(word: str, *known: str, required: tuple[str, ...] = ()) -> Words:
    return Words(of=f"the mask `{word}`", known=known, required=required)


_Read = Callable[[Call], Mask | None]

MASKS: dict[str, tuple[Words, _Read]] = {
    "keep": (_words("keep"), lambda _: Keep()),
    "redact": (_words("redact", "text", "number", "boolean"), _read_redact),
    "fixed": (_words("fixed", "value", "whole", required=("value",)), _read_fixed),
    "nullify": (_words("nullify", "whole"), _read_nullify),
    "drop": (_words("drop"), lambda _: Drop()),
    "partial": (
        _words("partial", "keepFirst", "keepLast", "hideFirst", "hideLast", "char", "separators", "fixedLength", "as"),
        _read_partial,
    ),
    "truncate": (_words("truncate", "length", "as", required=("length",)), _read_truncate),
    "pattern": (_words("pattern", "as"), _read_pattern),
    "email": (_words("email", "local", "domain"), _read_email),
    "hash": (_words("hash", "key", "domain", "length", "encoding", "as", required=("key",)), read_hash),
    "token": (
        _words("token", "key", "domain", "format", "keepFirst", "keepLast", "as", required=("key",)),
        read_token,
    ),
    "fpe": (
        _words("fpe", "key", "domain", "alphabet", "keepFirst", "keepLast", "as", required=("key",)),
        read_fpe,
    ),
    "encrypt": (_words("encrypt", "key", "domain", "deterministic", "as", required=("key",)), read_encrypt),
    "pseudonym": (_words("pseudonym", "key", "domain", "words", required=("key", "words")), read_pseudonym),
    "bucket": (_words("bucket", "size", "start", "lowest", "highest", required=("size",)), read_bucket),
    "round": (_words("round", "to", "direction", required=("to",)), read_round),
    "range": (_words("range", "bounds", "labels", required=("bounds",)), read_range),
    "noise": (_words("noise", "key", "domain", "within", "percent", "step", required=("key",)), read_noise),
    "date": (_words("date", "to", "numbers", "format", "shift", "key", "domain", "subject"), read_date),
    "age": (_words("age", "top"), read_age),
    "zip3": (_words("zip3", "restricted", "as"), read_zip3),
    "ip": (_words("ip", "v4", "v6", "key", "domain"), read_ip),
}
