"""Nodes of a rule file as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from wiremask.rules.nodes.source import Broken, Mapping, Scalar
from wiremask.rules.nodes.source import Sequence as ItemSequence

if TYPE_CHECKING:
    from wiremask.rules.nodes.source import Node


def node_json(node: Node) -> str | None:
    """A node as JSON text, numbers as they are written; None if any part of it is broken."""
    match node:
        case Broken():
            return None
        case Scalar(kind="text", text=text):
            return json.dumps(text, ensure_ascii=False)
        case Scalar(text=text):
            return text
        case ItemSequence(items=items):
            parts = [node_json(item) for item in items]
            return None if None in parts else f"[{','.join(part for part in parts if part is not None)}]"
        case Mapping(entries=entries):
            members = [(entry.key, node_json(entry.value)) for entry in entries]
            if any(value is None for _, value in members):
                return None
            return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{value}" for key, value in members) + "}"
