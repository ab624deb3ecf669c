"""What a ruleset says of itself: its name, what holds for all of its rules, and which step down it allows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, cast

from wiremask.rules.model.markers import Markers, read_markers
from wiremask.rules.nodes.shape import Words, member, read_items, read_members, read_switch, read_text, read_word

if TYPE_CHECKING:
    from wiremask.rules.errors import Faults
    from wiremask.rules.nodes.source import Node

Standard = Literal["pci-dss", "hipaa-safe-harbor"]
STANDARDS: tuple[Standard, ...] = ("pci-dss", "hipaa-safe-harbor")

METADATA = Words(
    of="`metadata`",
    known=("name", "irreversible", "standards", "allowWeaker", "markers"),
    required=("name",),
)
ALLOW_WEAKER = Words(of="`allowWeaker`", known=("from", "reason"), required=("from", "reason"))

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_NAME_FORM = "has letters, digits, `.`, `_`, `-`, begins with a letter or digit, and is at most 63 characters"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowWeaker:
    """The permission to mask less than one other ruleset.

    Attributes:
        digest: of the ruleset that may be replaced.
        reason: what the author says, for the log.
    """

    digest: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What the files of a ruleset say together.

    Attributes:
        irreversible: one of the files says so, and it holds for all.
        standards: those that any file names, and all rules must obey.
        markers: what stands for what cannot be read.
    """

    name: str = ""
    irreversible: bool = False
    standards: frozenset[Standard] = frozenset()
    allow_weaker: AllowWeaker | None = None
    markers: Markers = field(default_factory=Markers)


def read_metadata(node: Node, before: Metadata, faults: Faults) -> Metadata:
    """Reads one file's `metadata`; gives what the files `before` and this one say together."""
    members = read_members(node, METADATA, faults)
    if members is None:
        return before
    metadata = before
    irreversible = member(members, "irreversible")
    if irreversible is not None and read_switch(irreversible, "irreversible", faults):
        metadata = replace(metadata, irreversible=True)
    standards = member(members, "standards")
    if standards is not None:
        metadata = replace(metadata, standards=metadata.standards | _read_standards(standards, faults))
    allowed = member(members, "allowWeaker")
    if allowed is not None and before.allow_weaker is not None:
        faults.add(members["allowWeaker"].mark, "another file has `allowWeaker` already; delete one of the two")
    elif allowed is not None:
        metadata = replace(metadata, allow_weaker=_read_allow_weaker(allowed, faults))
    markers = member(members, "markers")
    if markers is not None and before.markers != Markers():
        faults.add(members["markers"].mark, "another file has `markers` already; delete one of the two")
    elif markers is not None:
        metadata = replace(metadata, markers=read_markers(markers, faults))
    name_node = member(members, "name")
    name = None if name_node is None else read_name(name_node, "the name of a ruleset", faults)
    if name_node is not None and name is not None:
        if before.name and name != before.name:
            faults.add(name_node.mark, f"all files of a ruleset have one name; write `{before.name}`")
        metadata = replace(metadata, name=before.name or name)
    return metadata


def read_name(node: Node, what: str, faults: Faults) -> str | None:
    """The name of a ruleset or rule; `what` is which."""
    name = read_text(node, f"{what} {_NAME_FORM}", faults)
    if name is not None and _NAME.fullmatch(name) is None:
        faults.add(node.mark, f"{what} {_NAME_FORM}")
        return None
    return name


def _read_standards(node: Node, faults: Faults) -> frozenset[Standard]:
    items = read_items(node, "`standards` is a list, for example [pci-dss]", faults) or ()
    found: set[Standard] = set()
    for item in items:
        word = read_word(item, "standards", STANDARDS, faults)
        if word is not None and word in found:
            faults.add(item.mark, "this standard stands in the list already; delete it")
        elif word is not None:
            found.add(cast("Standard", word))
    return frozenset(found)


def _read_allow_weaker(node: Node, faults: Faults) -> AllowWeaker | None:
    members = read_members(node, ALLOW_WEAKER, faults)
    if members is None or len(members) < 2:
        return None
    message = (
        "`from` is the digest of the ruleset that this one replaces, 64 digits and letters a-f, as `check` prints it"
    )
    digest = read_text(members["from"].value, message, faults)
    if digest is not None and _DIGEST.fullmatch(digest) is None:
        faults.add(members["from"].value.mark, message)
        return None
    reason = read_text(members["reason"].value, "`reason` is a text that says why less is masked", faults)
    if reason is not None and not reason.strip():
        faults.add(members["reason"].value.mark, "`reason` is empty; say why less is masked")
        return None
    return None if digest is None or reason is None else AllowWeaker(digest=digest, reason=reason)
