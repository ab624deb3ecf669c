"""What stands for a part of a record that cannot be read, where the rules do not refuse or omit the record."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wiremask.rules.nodes.asjson import node_json
from wiremask.rules.nodes.shape import Words, member, read_members, read_text

if TYPE_CHECKING:
    from wiremask.rules.errors import Faults
    from wiremask.rules.nodes.source import Node

MARKERS = Words(of="`markers`", known=("json", "text"))
LIMIT_CHARACTERS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Markers:
    """The markers of a ruleset.

    Attributes:
        json: stands for JSON; valid JSON itself.
        text: stands for a text; a JSON string.
    """

    json: bytes = b'{"wiremask":"unreadable"}'
    text: bytes = b'"[unreadable]"'


def read_markers(node: Node, faults: Faults) -> Markers:
    """Reads `markers`; what is not given or faulty is as by default."""
    members = read_members(node, MARKERS, faults) or {}
    json_node, text_node = member(members, "json"), member(members, "text")
    markers = Markers()
    written = None if json_node is None else node_json(json_node)
    if json_node is not None and written is not None and len(written) > LIMIT_CHARACTERS:
        faults.add(json_node.mark, f"a marker has at most {LIMIT_CHARACTERS} characters; shorten it")
        written = None
    text = None
    if text_node is not None:
        text = read_text(text_node, "the marker of texts is a text", faults, limit=LIMIT_CHARACTERS)
    return Markers(
        json=markers.json if written is None else written.encode(),
        text=markers.text if text is None else json.dumps(text, ensure_ascii=False).encode(),
    )
