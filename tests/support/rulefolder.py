"""A folder of rule files that changes as editors, deployments and Kubernetes change it."""

from __future__ import annotations

import itertools
import json
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def ruleset(*rules: Mapping[str, Any], keys: Mapping[str, Any] | None = None, name: str = "test") -> str:
    """The text of a rule file. JSON is YAML, so a test writes rules as Python values."""
    document: dict[str, Any] = {"apiVersion": "wiremask.dev/v1", "kind": "RuleSet", "metadata": {"name": name}}
    if keys:
        document["keys"] = dict(keys)
    document["rules"] = [dict(rule) for rule in rules]
    return json.dumps(document, indent=2) + "\n"


def rule(
    name: str, topics: str | Sequence[str], fields: Mapping[str, Any], *, at: Sequence[str] = ("produce",), **more: Any
) -> dict[str, Any]:
    """One rule on JSON values; `fields` maps a JSONPath to a mask, `more` are further keys of the rule."""
    return {
        "name": name,
        "topics": [topics] if isinstance(topics, str) else list(topics),
        "at": list(at),
        "value": {"format": "json", "fields": [{"path": path, "mask": mask} for path, mask in fields.items()]},
        **more,
    }


_AT_PRODUCE = rule("others", "other-topic", {"$.ssn": "redact"})
_AT_FETCH = rule("others-read", "other-topic", {"$.ssn": "redact"}, at=["fetch"])
IDLE_RULES = {
    "none at produce": ruleset(_AT_FETCH),
    "none at fetch": ruleset(_AT_PRODUCE),
    "for others": ruleset(_AT_PRODUCE, _AT_FETCH),
}
"""Rulesets that mask nothing of any topic that a test uses: by having no rule for a direction, or none for the topic."""


class RuleFolder:
    """Rule files in a folder.

    With `configmap` the folder looks as kubelet mounts one: each file is a link to `..data/FILE`, and `..data` is a link to a
    dated folder that a change replaces as a whole.
    """

    def __init__(self, path: Path, *, configmap: bool = False) -> None:
        self.path = path
        self._configmap = configmap
        self._versions = itertools.count(1)
        path.mkdir(parents=True)

    def write(self, text: str, *, name: str = "rules.yaml") -> None:
        """Makes `text` the one rule file; a reader sees the old or the new file, never a part."""
        if self._configmap:
            self._swap({name: text})
            return
        partial = self.path / f".{name}.partial"
        partial.write_text(text)
        partial.replace(self.path / name)

    def _swap(self, files: Mapping[str, str]) -> None:
        # The order of kubelet's AtomicWriter: new folder, link beside, rename over, then the old folder goes.
        folder = self.path / f"..2026_01_01_00_00_00.{next(self._versions)}"
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
        data, beside = self.path / "..data", self.path / "..data_tmp"
        old = data.resolve() if data.is_symlink() else None
        beside.symlink_to(folder.name)
        beside.replace(data)
        for name in files:
            if not (self.path / name).is_symlink():
                (self.path / name).symlink_to(f"..data/{name}")
        if old is not None:
            shutil.rmtree(old)
