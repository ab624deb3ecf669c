"""The `keys` section: which keys a ruleset declares, and the subkeys that its masks get of them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wiremask.rules.errors import Faults, KeyUnavailable, Mark
from wiremask.rules.keys import KeyReference, KeyRefused, decode_key, derive_subkey
from wiremask.rules.nodes.shape import Words, expected, member, nearest, read_members, read_text
from wiremask.rules.nodes.source import Entry, Mapping, Node, Scalar

if TYPE_CHECKING:
    from collections.abc import Callable

ONLY_VERSION = "1"
KEY = Words(of="a key", known=("env", "file"))
VERSIONED_KEY = Words(of="a key with versions", known=("active", "versions"), required=("active", "versions"))
KEY_FORM = "write {env: NAME} or {file: /path}; the key itself never stands in a rule file"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MATERIAL = ("base64:", "hex:")


@dataclass(frozen=True, slots=True, kw_only=True)
class _References:
    """Where the versions of a key are."""

    active: str
    versions: dict[str, tuple[KeyReference, Mark]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """The versions of a key by name, the active one among them."""

    active: str
    versions: dict[str, bytearray] = field(repr=False)


class KeyRing:
    """Keys by name while a ruleset is read; no key outlives it (`forget`), the masks hold subkeys.

    A key that is declared but of no use is kept as None: its fault is reported once, at its own place.

    Without `resolve`, keys are known by their names alone: masks have equal subkeys if they name the same key and
    domain. Such rules can be compared, wherever their keys are; they must not mask.

    Attributes:
        complete: all files could be read; else a missing key is no fault, it may be declared in one of the others.
    """

    def __init__(self, resolve: Callable[[KeyReference], str] | None) -> None:
        self.complete = True
        self._resolve = resolve
        self._keys: dict[str, _Key | None] = {}
        self._places: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"KeyRing({len(self._keys)} keys)"

    def declare(self, node: Node, faults: Faults) -> None:
        """Reads one file's `keys` and resolves each."""
        if not isinstance(node, Mapping):
            expected(node, "`keys` is a mapping from a name to {env: NAME} or {file: /path}", faults)
            return
        for entry in node.entries:
            self._declare(entry, faults)

    def subkey(self, name: str, mark: Mark, mask: str, domain: str, faults: Faults) -> bytes | None:
        """The subkey of a declared key's active version; None, reported, if there is no such key."""
        found = self.subkeys(name, mark, mask, domain, faults)
        return None if found is None else found[1][found[0]]

    def subkeys(
        self, name: str, mark: Mark, mask: str, domain: str, faults: Faults
    ) -> tuple[str, dict[str, bytes]] | None:
        """The subkeys of all versions of a declared key for one mask and domain, after the name of the active one."""
        if name not in self._keys and not self.complete:
            return None
        if name not in self._keys:
            near = nearest(name, self._keys)
            hint = f"did you mean `{near}`?" if near is not None else "declare it under `keys`"
            faults.add(mark, f"no key of this name is declared; {hint}")
            return None
        key = self._keys[name]
        if key is None:
            return None
        if self._resolve is None:
            return ONLY_VERSION, {ONLY_VERSION: derive_subkey(name.encode("ascii"), mask, domain)}
        return key.active, {version: derive_subkey(text, mask, domain) for version, text in key.versions.items()}

    def forget(self) -> None:
        """Overwrites the keys; there are none from now on. What they were decoded from cannot be overwritten."""
        for key in filter(None, self._keys.values()):
            for version in key.versions.values():
                version[:] = bytes(len(version))
        self._keys.clear()

    def _declare(self, entry: Entry, faults: Faults) -> None:
        if _NAME.fullmatch(entry.key) is None:
            faults.add(entry.mark, "the name of a key has letters, digits, `.`, `_`, `-`, at most 63; " + KEY_FORM)
            return
        if entry.key in self._places:
            faults.add(
                entry.mark, f"a key of this name is declared at {self._places[entry.key]}; rename one of the two"
            )
            return
        self._places[entry.key] = f"{faults.file}:{entry.mark.line}"
        self._keys[entry.key] = None
        references = _read_key(entry.value, entry.mark, faults)
        if references is None:
            return
        keys = {
            version: self._fetch(reference, mark, faults) for version, (reference, mark) in references.versions.items()
        }
        versions = {version: key for version, key in keys.items() if key is not None}
        if len(versions) == len(keys) and _differ(versions, references, faults):
            self._keys[entry.key] = _Key(active=references.active, versions=versions)

    def _fetch(self, reference: KeyReference, mark: Mark, faults: Faults) -> bytearray | None:
        if self._resolve is None:
            return bytearray(repr(reference).encode())
        try:
            return decode_key(self._resolve(reference))
        except KeyUnavailable as error:
            faults.add(mark, f"the key is not available: {' '.join(error.reason.split())}")
        except KeyRefused as error:
            faults.add(mark, str(error))
        return None


def _differ(versions: dict[str, bytearray], references: _References, faults: Faults) -> bool:
    """Whether no key is there twice, which would be no new version."""
    seen: set[bytes] = set()
    for version, key in versions.items():
        digest = hashlib.sha256(key).digest()  # a set of the keys would be copies that nobody overwrites
        if digest in seen:
            faults.add(references.versions[version][1], "this version is the same key as another; make a new key")
            return False
        seen.add(digest)
    return True


def _read_key(node: Node, mark: Mark, faults: Faults) -> _References | None:
    if isinstance(node, Mapping) and any(entry.key in VERSIONED_KEY.known for entry in node.entries):
        return _read_versioned(node, faults)
    reference = _read_reference(node, faults)
    return None if reference is None else _References(active=ONLY_VERSION, versions={ONLY_VERSION: (reference, mark)})


def _read_versioned(node: Mapping, faults: Faults) -> _References | None:
    before = len(faults.found)
    members = read_members(node, VERSIONED_KEY, faults)
    if members is None or len(members) < 2:
        return None
    versions = members["versions"].value
    active = read_text(members["active"].value, "`active` is the name of a version", faults)
    if not isinstance(versions, Mapping) or not versions.entries:
        expected(versions, "`versions` is a mapping from a version's name to {env: NAME} or {file: /path}", faults)
        return None
    references: dict[str, tuple[KeyReference, Mark]] = {}
    for entry in versions.entries:
        if _NAME.fullmatch(entry.key) is None:
            faults.add(entry.mark, "the name of a version has letters, digits, `.`, `_`, `-`, at most 63; rename it")
        reference = _read_reference(entry.value, faults)
        if reference is not None:
            references[entry.key] = reference, entry.mark
    if active is None:
        return None
    if active not in {entry.key for entry in versions.entries}:
        near = nearest(active, [entry.key for entry in versions.entries])
        hint = f"did you mean `{near}`?" if near is not None else "name one of them"
        faults.add(members["active"].value.mark, f"no version of this name stands under `versions`; {hint}")
        return None
    return None if len(faults.found) > before else _References(active=active, versions=references)


def _read_reference(node: Node, faults: Faults) -> KeyReference | None:
    if not isinstance(node, Mapping):
        expected(node, KEY_FORM, faults)
        return None
    before = len(faults.found)
    members = read_members(node, KEY, faults)
    if members is None or len(faults.found) > before:
        return None
    if len(members) != 1:
        faults.add(node.mark, "a key has exactly one of `env` and `file`; " + KEY_FORM)
        return None
    variable, path = member(members, "env"), member(members, "file")
    if variable is not None:
        name = _read_place(
            variable, "`env` is the name of an environment variable: letters, digits, `_`", _VARIABLE, faults
        )
        return None if name is None else KeyReference(env=name)
    if path is not None:
        name = _read_place(path, "`file` is an absolute path, /etc/wiremask/keys/pii", re.compile("/[^\0]+"), faults)
        return None if name is None else KeyReference(file=name)
    return None


def _read_place(node: Node, what: str, form: re.Pattern[str], faults: Faults) -> str | None:
    if isinstance(node, Scalar) and node.text.startswith(_MATERIAL):
        faults.add(node.mark, "this is the text of a key; replace that key, it is no secret any more, and " + KEY_FORM)
        return None
    text = read_text(node, what, faults)
    if text is not None and form.fullmatch(text) is None:
        faults.add(node.mark, what)
        return None
    return text
