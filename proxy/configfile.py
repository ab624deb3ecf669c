"""The configuration as it is written: a YAML file, the environment and options, laid over one another.

What comes out is a plain tree for the models to check, and for every value the place that it came from, so that an
error can name it. Later layers win: file, then environment, then options.

An environment variable names a scalar by its path, upper-case, words joined by `_` and steps by `__`:
`WIREMASK_ADMIN__ADDRESS`, `WIREMASK_LIMITS__FRAME_BYTES`, `WIREMASK_LISTENERS__0__ADVERTISED_HOST`,
`WIREMASK_UPSTREAM__NODES__7`. A list of scalars is also taken as a whole, with commas:
`WIREMASK_UPSTREAM__BOOTSTRAP_SERVERS=a:9092,b:9092`. Only names with `__` are overrides: `WIREMASK_KEY_PII` is free for
keys, and a Kubernetes Service called wiremask may add its `WIREMASK_SERVICE_HOST`.
"""

from __future__ import annotations

import difflib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from wiremask.proxy.model import Section
from wiremask.proxy.rulefiles import read_text
from wiremask.rules.errors import Faults
from wiremask.rules.nodes.source import Broken, Mapping, Node, Scalar, Sequence, read_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Mapping as MappingOf

PREFIX = "WIREMASK_"
_FILE_LIMIT_BYTES = 1 << 20

KeyPath = tuple[str | int, ...]
"""The way to a value, in the words of the file: `("listeners", 0, "address")`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigError:
    """One fault: where it was written (`file:line:column`, a variable or an option), and what to write instead."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(slots=True, kw_only=True)
class Written:
    """What was written, before it is checked.

    Attributes:
        tree: mappings, lists and scalars.
        places: where each value was written.
        keys: where each key of a mapping was written.
    """

    tree: dict[str, Any] = field(default_factory=dict, repr=False)
    places: dict[KeyPath, str] = field(default_factory=dict)
    keys: dict[KeyPath, str] = field(default_factory=dict)
    errors: list[ConfigError] = field(default_factory=list)

    def place(self, path: KeyPath) -> str:
        """Where the value at `path` was written, or else the nearest thing round it."""
        for end in range(len(path), -1, -1):
            if (found := self.places.get(path[:end])) is not None:
                return found
        return "configuration"


def read_file(written: Written, path: Path, model: type[Section]) -> None:
    """Lays a YAML file down first; relative paths in it count from its directory."""
    try:
        text = read_text(path, _FILE_LIMIT_BYTES)
    except UnicodeDecodeError:
        written.errors.append(ConfigError(place=f"{path}:1:1", message="it is not UTF-8; save it as UTF-8"))
        return
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        written.errors.append(ConfigError(place=f"{path}:1:1", message=f"cannot be read: {reason}"))
        return
    if all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines()):
        return  # every default
    faults = Faults(file=str(path))
    root = read_source(text, faults, key_kinds=frozenset({"text", "number"}))  # upstream.nodes: {7: ...}
    for fault in faults.found:
        place = f"{fault.file}:{fault.line}:{fault.column}"
        written.errors.append(ConfigError(place=place, message=fault.message))
    if root is None:
        return
    if not isinstance(root, Mapping):
        place = f"{path}:{root.mark.line}:{root.mark.column}"
        message = "a configuration is a mapping; begin with `upstream:`"
        written.errors.append(ConfigError(place=place, message=message))
        return
    tree = _plain(root, str(path), (), written)
    written.tree = _anchor(model, tree, path.parent)


def read_environment(written: Written, env: MappingOf[str, str], model: type[Section]) -> None:
    """Lays the variables that begin with `WIREMASK_` and hold `__` over what is there."""
    known = list(environment_names(model))
    joined = {name.replace("__", "_"): name for name in known}
    found: list[tuple[KeyPath, str, Any]] = []
    for name, text in env.items():
        if not name.startswith(PREFIX):
            continue
        place = f"environment variable {name}"
        if "__" not in name:
            if name in joined:
                message = f"it is not read under this name; write {joined[name]}"
                written.errors.append(ConfigError(place=place, message=message))
            continue
        target = _resolve(model, name.removeprefix(PREFIX).split("__"), ())
        if target is None:
            near = difflib.get_close_matches(name, known, 1, 0.75)
            advice = f"did you mean {near[0]}?" if near else "only settings have names with `__`; delete it"
            written.errors.append(ConfigError(place=place, message=f"it names no setting; {advice}"))
            continue
        path, is_list = target
        value: Any = [part.strip() for part in text.split(",") if part.strip()] if is_list else text
        found.append((path, place, value))
    # By path, so that entry 0 of a list is there before entry 1 is added, whatever the order of the environment.
    for path, place, value in sorted(found, key=lambda one: [(isinstance(step, str), step) for step in one[0]]):
        put(written, path, value, place)


def put(written: Written, path: KeyPath, value: object, place: str) -> None:
    """Lays one value over what is there, making the mappings and lists on the way to it."""
    node: Any = written.tree
    for step, following in zip(path, [*path[1:], None], strict=True):
        fresh: Any = value if following is None else [] if isinstance(following, int) else {}
        if isinstance(step, int) and isinstance(node, list):
            if step > len(node):
                message = f"there is no entry {len(node)} before it; entries count from 0 without gaps"
                written.errors.append(ConfigError(place=place, message=message))
                return
            if step == len(node):
                node.append(fresh)
            elif following is None:
                node[step] = fresh
        elif isinstance(step, str) and isinstance(node, dict):
            if following is None or step not in node:
                node[step] = fresh
        else:
            return  # the file has another shape here, which is reported as an error of the file
        node = node[step]
    for kept in (written.places, written.keys):
        for old in [old for old in kept if old[: len(path)] == path]:
            del kept[old]
    written.places[path] = written.keys[path] = place


def environment_names(model: type[Section], prefix: str = PREFIX) -> Iterator[str]:
    """The variable of every scalar, with 0 for the place in a list and 0 for a node id."""
    for name, info in model.model_fields.items():
        yield from _names(info.annotation, prefix + name.upper())


def _names(annotation: object, name: str) -> Iterator[str]:
    section, item, _ = _shape(annotation)
    if section is not None:
        yield from environment_names(section, name + "__")
    elif item is not None:
        if _shape(item)[0] is None:
            yield name
        yield from _names(item, name + "__0")
    else:
        yield name


def _resolve(annotation: object, steps: list[str], path: KeyPath) -> tuple[KeyPath, bool] | None:
    """The path that the steps of a variable's name stand for, and whether a list of scalars is there."""
    section, item, is_mapping = _shape(annotation)
    if not steps:
        is_list = item is not None and not is_mapping and _shape(item) == (None, None, False)
        return (path, is_list) if section is None and (item is None or is_list) else None
    step, rest = steps[0], steps[1:]
    if section is not None:
        for name, info in section.model_fields.items():
            if name.upper() == step:
                return _resolve(info.annotation, rest, (*path, info.alias or name))
        return None
    if item is None or not (step.isascii() and step.isdigit()) or len(step) > 9:
        return None
    return _resolve(item, rest, (*path, step if is_mapping else int(step)))


def _shape(annotation: object) -> tuple[type[Section] | None, object, bool]:
    """What a field holds: a section, items of some kind (and whether by key), or neither: a scalar."""
    if typing.get_origin(annotation) is Annotated:
        return _shape(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        inner = [one for one in typing.get_args(annotation) if one is not types.NoneType]
        return _shape(inner[0]) if len(inner) == 1 else (None, None, False)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation, None, False
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in {tuple, list}:
        return None, inside[0], False
    if origin is dict:
        return None, inside[1], True
    return None, None, False


def _plain(node: Node, file: str, path: KeyPath, written: Written) -> Any:
    """A node as Python values; notes the place of each."""
    written.places[path] = f"{file}:{node.mark.line}:{node.mark.column}"
    if isinstance(node, Mapping):
        members = {}
        for entry in node.entries:
            inner = (*path, entry.key)
            written.keys[inner] = f"{file}:{entry.mark.line}:{entry.mark.column}"
            members[entry.key] = _plain(entry.value, file, inner, written)
        return members
    if isinstance(node, Sequence):
        return [_plain(item, file, (*path, place), written) for place, item in enumerate(node.items)]
    if isinstance(node, Broken) or node.kind == "null":
        return None
    return _scalar(node)


def _scalar(node: Scalar) -> str | int | float | bool:
    if node.kind == "boolean":
        return node.text == "true"
    if node.kind == "number" and len(node.text) <= 32:
        return float(node.text) if any(c in node.text for c in ".eE") else int(node.text)
    return node.text


def _anchor(annotation: object, value: Any, base: Path) -> Any:
    """Makes relative paths of a file count from the file's directory, wherever the model has a path."""
    section, item, _ = _shape(annotation)
    if section is not None and isinstance(value, dict):
        kinds = {info.alias or name: info.annotation for name, info in section.model_fields.items()}
        return {key: _anchor(kinds.get(key), inner, base) for key, inner in value.items()}
    if item is not None and isinstance(value, list):
        return [_anchor(item, inner, base) for inner in value]
    if item is not None and isinstance(value, dict):
        return {key: _anchor(item, inner, base) for key, inner in value.items()}
    if _is_path(annotation) and isinstance(value, str):
        return str(base / value)
    return value


def _is_path(annotation: object) -> bool:
    return annotation is Path or Path in typing.get_args(annotation)
