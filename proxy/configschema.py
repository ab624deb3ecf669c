"""The configuration as JSON Schema, described by the texts that stand under its fields in the source.

Pydantic could take them in when a class is made, but reads and parses the source for it: a fifth of the start of a
proxy that needs none of them.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import TYPE_CHECKING, Any

from wiremask.proxy.model import Section

if TYPE_CHECKING:
    from collections.abc import Iterator


def schema_of(model: type[Section]) -> dict[str, Any]:
    """The JSON Schema of files that hold a configuration of this model."""
    schema = model.model_json_schema(by_alias=True)
    sections = {"": schema, **schema.get("$defs", {})}
    for kind in _sections(model):
        properties = sections["" if kind is model else kind.__name__]["properties"]
        for name, text in _texts(kind):
            properties[kind.model_fields[name].alias or name]["description"] = text
    return schema


def _sections(model: type[Section]) -> Iterator[type[Section]]:
    """A model, and all sections in it; one that stands in two places comes twice."""
    yield model
    for info in model.model_fields.values():
        for inner in _sections_in(info.annotation):
            yield from _sections(inner)


def _sections_in(annotation: Any) -> Iterator[type[Section]]:
    """The sections that a field's type names, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _sections_in(inner)


def _texts(kind: type[Section]) -> Iterator[tuple[str, str]]:
    """The fields that have a text under them, also those of its bases."""
    for base in reversed(kind.__mro__):
        if not base.__module__.startswith("wiremask."):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                    yield name, inspect.cleandoc(words)
