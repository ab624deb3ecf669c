"""The masks with a key, as the rule language writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from wiremask.rules.maskers.fpe import ALPHABETS
from wiremask.rules.maskers.words import LISTS
from wiremask.rules.model.masks import (
    HASH_CEILING,
    Encrypt,
    Fpe,
    Hash,
    HashEncoding,
    Mask,
    Noise,
    Pseudonym,
    SealingKey,
    Token,
)
from wiremask.rules.nodes.shape import member, read_items, read_text, read_word
from wiremask.rules.nodes.source import Scalar
from wiremask.rules.subkey import take

if TYPE_CHECKING:
    from wiremask.rules.language.maskcall import Call
    from wiremask.rules.model.masks import TokenForm

# A shorter hash meets itself: 64 bits collide by chance after about 2^32 values.
HASH_FLOOR = {"hex": 16, "base64url": 11, "crockford": 13}
WORDS_FLOOR, WORDS_LIMIT = 2, 100_000
PERCENT_LIMIT = 100


def read_hash(call: Call) -> Mask | None:
    """Reads `hash`."""
    encoding = call.choice("encoding", ("hex", "base64url", "crockford"))
    length = None
    if encoding is not None:
        length = call.count("length", HASH_CEILING[encoding], HASH_FLOOR[encoding], HASH_CEILING[encoding])
    as_string, subkey = call.as_string(), call.subkey()
    if subkey is None or encoding is None or length is None or as_string is None:
        return None
    return Hash(subkey=subkey, encoding=cast("HashEncoding", encoding), length=length, as_string=as_string)


def read_token(call: Call) -> Mask | None:
    """Reads `token`."""
    form = call.choice("format", ("text", "pan", "iban"))
    kept, as_string, subkey = call.kept(), call.as_string(), call.subkey()
    if form is None or kept is None or as_string is None or subkey is None:
        return None
    return Token(
        subkey=subkey, form=cast("TokenForm", form), keep_first=kept[0], keep_last=kept[1], as_string=as_string
    )


def read_fpe(call: Call) -> Mask | None:
    """Reads `fpe`."""
    alphabet = call.choice("alphabet", tuple(ALPHABETS))
    kept, as_string, subkey = call.kept(), call.as_string(), call.subkey()
    if alphabet is None or kept is None or as_string is None or subkey is None:
        return None
    return Fpe(subkey=subkey, alphabet=ALPHABETS[alphabet], keep_first=kept[0], keep_last=kept[1], as_string=as_string)


def read_encrypt(call: Call) -> Mask | None:
    """Reads `encrypt`: the subkeys of every version, because old ones still open what they closed."""
    deterministic, as_string = call.switch("deterministic"), call.as_string()
    domain, key = call.domain(), call.key()
    if deterministic is None or as_string is None or domain is None or key is None:
        return None
    subkeys = [call.keys.subkeys(*key, word, domain, call.faults) for word in ("encrypt", "encrypt-siv1")]
    second = call.keys.subkeys(*key, "encrypt-siv2", domain, call.faults)
    if subkeys[0] is None or subkeys[1] is None or second is None:
        return None
    active, random = subkeys[0]
    versions = tuple(
        (version, SealingKey(random=random[version], deterministic=take(subkeys[1][1][version] + second[1][version])))
        for version in random
    )
    return Encrypt(key=key[0], version=active, versions=versions, deterministic=deterministic, as_string=as_string)


def read_pseudonym(call: Call) -> Mask | None:
    """Reads `pseudonym`."""
    node = member(call.members, "words")
    subkey = call.subkey()
    if node is None:
        return None
    if isinstance(node, Scalar):
        name = read_word(node, "words", tuple(LISTS), call.faults)
        return None if name is None or subkey is None else Pseudonym(words=LISTS[name], subkey=subkey)
    before = len(call.faults.found)
    words: dict[str, str] = {}
    for item in read_items(node, "`words` is the name of a list, or a list of texts", call.faults) or ():
        word = read_text(item, "a word is a text", call.faults)
        if word is not None and word.casefold() in words:
            call.faults.add(item.mark, "this word stands in the list already, letter case aside; delete it")
        elif word is not None:
            words[word.casefold()] = word
    if len(call.faults.found) > before or subkey is None:
        return None
    if not WORDS_FLOOR <= len(words) <= WORDS_LIMIT:
        call.faults.add(
            node.mark, f"there are {WORDS_FLOOR} to {WORDS_LIMIT} words, so that there is a choice; add some"
        )
        return None
    return Pseudonym(words=tuple(words.values()), subkey=subkey)


def read_noise(call: Call) -> Mask | None:
    """Reads `noise`."""
    before = len(call.faults.found)
    if call.has("within") == call.has("percent"):
        call.faults.add(call.mark, "`noise` has exactly one of `within` and `percent`; write {within: 5}")
        return None
    percent = call.has("percent")
    within = call.number("percent" if percent else "within", positive=True)
    step = call.number("step", positive=True)
    subkey = call.subkey()
    if within is None or subkey is None or len(call.faults.found) > before:
        return None
    if percent and within > PERCENT_LIMIT:
        call.fault("percent", f"`percent` is at most {PERCENT_LIMIT}")
        return None
    if step is not None and not percent and step > within:
        call.fault("step", "`step` is more than `within`, so that no noise would fit; write less")
        return None
    return Noise(subkey=subkey, within=within, percent=percent, step=step)
