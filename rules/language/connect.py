"""Kafka Connect's masking transforms as rules: a connector's configuration in, a rule file and what it lacks out.

`MaskField` becomes `redact`, an excluded field of `ReplaceField` becomes `drop`, and a list of included ones an
allow-list. Of predicates, `TopicNameMatches` becomes topics, and the negation of `RecordIsTombstone` needs nothing.
What cannot be said in rules is told; where a predicate cannot, its mask applies to all records.

A sink connector's transforms act on what it reads, so its rules are for fetch; a source connector's are for produce.

Source: org.apache.kafka.connect.transforms.{MaskField, ReplaceField}, .predicates.{TopicNameMatches, HasHeaderKey,
RecordIsTombstone} (Apache Kafka 4.3; `blacklist` and `whitelist` until 3.0).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Literal

from wiremask.rules.model.globs import PatternInvalid
from wiremask.rules.model.topics import TopicPattern, read_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wiremask.rules.model.rule import Direction

Part = Literal["value", "key"]
Verb = Literal["mask", "exclude", "include"]

REPLACEMENT_LIMIT = 1024

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


class ConnectorInvalid(ValueError):
    """A document that is no connector's configuration; the message says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of a connector.

    Attributes:
        text: a rule file; "" if no transform became a rule.
        notes: what could not be carried over, or not in full, a line each.
    """

    text: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Transform:
    """One step of a connector that masks."""

    name: str
    verb: Verb
    part: Part
    fields: tuple[str, ...]
    replacement: str | None = None
    topics: tuple[str, ...]
    except_topics: tuple[str, ...]


class _Connector:
    """A configuration while it is read."""

    def __init__(self, name: str, config: Mapping[str, str], topics: Sequence[str]) -> None:
        self.name = name
        self.config = config
        self.notes: list[str] = []
        self.at: Direction = "fetch" if {"topics", "topics.regex"} & set(config) else "produce"
        self.topics = tuple(topics) or self._topics()

    def list(self, key: str) -> tuple[str, ...]:
        """A setting that is a list with commas; what stands twice counts once."""
        return tuple(dict.fromkeys(item.strip() for item in self.config.get(key, "").split(",") if item.strip()))

    def root(self, part: Part) -> str | None:
        """The path of what the transforms see; None if the records are not JSON."""
        converter = self.config.get(f"{part}.converter")
        if converter is None:
            self.note(f"the connector names no {part}.converter; the rules take the {part} for JSON without a schema")
            return "$"
        if not converter.endswith(".JsonConverter"):
            self.note(f"the {part} is not JSON ({_shown(converter)}); its transforms are left out")
            return None
        has_schema = self.config.get(f"{part}.converter.schemas.enable", "true").lower() != "false"
        return "$.payload" if has_schema else "$"

    def note(self, text: str) -> None:
        """Tells what could not be carried over, once."""
        if text not in self.notes:
            self.notes.append(text)

    def _topics(self) -> tuple[str, ...]:
        if "topics.regex" in self.config:
            return (f"/{self.config['topics.regex']}/",)
        found = self.list("topics") or self.list("topic") or self.list("kafka.topic")
        prefix = self.config.get("topic.prefix")
        return found or (() if prefix is None else (f"{prefix}*",))


def import_connector(document: object, topics: Sequence[str] = ()) -> Imported:
    """Turns a connector's configuration, as its REST interface or file has it, into rules.

    Args:
        document: {"name": ..., "config": {...}}, or the configuration alone.
        topics: the topics of the records, where the configuration does not tell.

    Raises:
        ConnectorInvalid: it is none, or its topics are not known.
    """
    connector = _connector(document, topics)
    names = connector.list("transforms")
    steps: list[_Transform] = []
    for place, name in enumerate(names):
        found = _transform(connector, name)
        if found:
            _check_neighbours(connector, name, names[:place] if connector.at == "fetch" else names[place + 1 :])
        steps += found
    # Connect applies all in turn, so the last one shows; of rules the first one wins.
    steps = [step for verb in ("exclude", "mask", "include") for step in reversed(steps) if step.verb == verb]
    roots = {part: connector.root(part) for part in dict.fromkeys(step.part for step in steps)}
    named = _named(steps)
    written = [_rule(connector, name, step, root) for name, step in named if (root := roots[step.part]) is not None]
    if not written:
        connector.note("no transform became a rule")
        return Imported(text="", notes=tuple(connector.notes))
    head = f"apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {{name: {_fit(connector.name)}}}\nrules:\n"
    return Imported(text=head + "".join(written), notes=tuple(connector.notes))


def _connector(document: object, topics: Sequence[str]) -> _Connector:
    if not isinstance(document, dict):
        raise ConnectorInvalid("a connector is a JSON object with `config`, or with its settings")
    config = document.get("config", document)
    if not isinstance(config, dict) or not all(isinstance(value, str | int | bool) for value in config.values()):
        raise ConnectorInvalid("the settings of a connector are texts, numbers, true and false")
    texts = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in config.items()}
    name = document.get("name", texts.get("name", "connector"))
    connector = _Connector(str(name), texts, topics)
    if not connector.topics:
        raise ConnectorInvalid("the configuration tells no topics; name them with --topics")
    return connector


def _transform(connector: _Connector, name: str) -> list[_Transform]:
    kind, _, part_name = connector.config.get(f"transforms.{name}.type", "").rpartition("$")
    word = kind.rpartition(".")[2]
    if word not in {"MaskField", "ReplaceField"} or part_name not in {"Value", "Key"}:
        connector.note(f"transform {_shown(name)} is no mask, and stays in the connector")
        return []
    part: Part = "value" if part_name == "Value" else "key"
    scope = _scope(connector, name, part)
    if scope is None:
        return []

    def of(verb: Verb, fields: tuple[str, ...]) -> _Transform:
        return _Transform(
            name=name,
            verb=verb,
            part=part,
            fields=fields,
            topics=scope[0],
            except_topics=scope[1],
        )

    def setting(*keys: str) -> tuple[str, ...]:
        return next((found for key in keys if (found := connector.list(f"transforms.{name}.{key}"))), ())

    if word == "MaskField":
        return _masked(connector, name, of("mask", setting("fields")))
    if setting("renames"):
        connector.note(f"transform {_shown(name)} renames fields, which rules do not do; that stays in the connector")
    found = []
    if excluded := setting("exclude", "blacklist"):
        found.append(of("exclude", excluded))
    if included := setting("include", "whitelist"):
        if part == "key":
            connector.note(f"transform {_shown(name)} lists the fields that a key keeps; write the others by hand")
        else:
            connector.note(
                f"transform {_shown(name)} removes all that it does not list; the rule makes that null instead, "
                "with the names left"
            )
            found.append(of("include", included))
    return found


def _masked(connector: _Connector, name: str, step: _Transform) -> list[_Transform]:
    """A step that masks, with its replacement."""
    if not step.fields:
        connector.note(f"transform {_shown(name)} names no fields; it is left out")
        return []
    replacement = connector.config.get(f"transforms.{name}.replacement")
    if replacement is not None and len(replacement) > REPLACEMENT_LIMIT:
        connector.note(f"the replacement of transform {_shown(name)} is longer than {REPLACEMENT_LIMIT} characters")
        replacement = None
    return [replace(step, replacement=replacement)]


def _check_neighbours(connector: _Connector, name: str, others: Sequence[str]) -> None:
    """Steps between the records that the proxy sees and the mask may name fields anew."""
    for other in others:
        kind = connector.config.get(f"transforms.{other}.type", "")
        renames = f"transforms.{other}.renames" in connector.config
        if renames or not kind.rpartition("$")[0].endswith((".MaskField", ".ReplaceField")):
            where = "before" if connector.at == "fetch" else "after"
            connector.note(
                f"transform {_shown(other)} stands {where} {_shown(name)} and may give fields other names or places; "
                "check the paths of the rule"
            )


def _scope(connector: _Connector, name: str, part: Part) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The topics of a transform and those that it leaves out; None if it never acts on what rules could mask."""
    predicate = connector.config.get(f"transforms.{name}.predicate")
    if predicate is None:
        return connector.topics, ()
    negated = connector.config.get(f"transforms.{name}.negate", "false").lower() == "true"
    kind = connector.config.get(f"predicates.{predicate}.type", "").rpartition(".")[2]
    if kind == "TopicNameMatches":
        return _matching(connector, name, connector.config.get(f"predicates.{predicate}.pattern", ""), negated)
    if kind == "RecordIsTombstone" and part == "value":
        if negated:
            return connector.topics, ()  # no rule touches the value of a tombstone
        connector.note(f"transform {_shown(name)} acts on tombstones only, which have no value; it is left out")
        return None
    connector.note(
        f"the predicate of transform {_shown(name)} ({_shown(kind or 'unknown')}) is not a rule's; "
        "the rule masks all records"
    )
    return connector.topics, ()


def _matching(
    connector: _Connector, name: str, pattern: str, negated: bool
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    expression = _read(f"/{pattern}/")
    if expression is None:
        connector.note(
            f"the pattern of transform {_shown(name)} is none that rules can have; the rule masks all of its topics"
        )
        return connector.topics, ()
    if negated:
        return connector.topics, (expression.text,)
    exact = [topic for topic in connector.topics if (read := _read(topic)) is not None and read.regex is None]
    if len(exact) < len(connector.topics):
        connector.note(
            f"the topics of transform {_shown(name)} are two patterns at once; the rule masks all that the connector "
            "reads, narrow it by hand"
        )
        return connector.topics, ()
    meant = tuple(topic for topic in exact if expression.matches(topic))
    if not meant:
        connector.note(f"transform {_shown(name)} matches none of the topics; it is left out")
        return None
    return meant, ()


def _read(text: str) -> TopicPattern | None:
    try:
        return read_pattern(text)
    except PatternInvalid:
        return None


def _named(steps: Sequence[_Transform]) -> list[tuple[str, _Transform]]:
    """Each step after the name of its rule, which no other has."""
    named: dict[str, _Transform] = {}
    for step in steps:
        name = _fit(f"{step.name}-{step.verb}")
        more = count(2)
        while name in named:
            name = _fit(f"{step.name[:40]}-{step.verb}-{next(more)}")
        named[name] = step
    return list(named.items())


def _rule(connector: _Connector, name: str, step: _Transform, root: str) -> str:
    """One rule as a rule file has it. A JSON text is a YAML text."""
    mask = {"mask": _mask(step.replacement), "exclude": "drop", "include": "keep"}[step.verb]
    fields = "".join(f"        - {{path: {json.dumps(_path(root, one))}, mask: {mask}}}\n" for one in step.fields)
    unlisted = "      unlisted: nullify\n" if step.verb == "include" else ""
    excepted = f"    exceptTopics: {json.dumps(list(step.except_topics))}\n" if step.except_topics else ""
    return (
        f"  - name: {name}\n    topics: {json.dumps(list(step.topics))}\n{excepted}"
        f"    at: [{connector.at}]\n    {step.part}:\n{unlisted}      fields:\n{fields}"
    )


def _mask(replacement: str | None) -> str:
    if replacement is None:
        return '{redact: {text: ""}}'
    number = f", number: {replacement}" if _NUMBER.fullmatch(replacement) else ""
    return f"{{redact: {{text: {json.dumps(replacement)}{number}}}}}"


def _path(root: str, field: str) -> str:
    return f"{root}[{json.dumps(field, ensure_ascii=False)}]"


def _fit(name: str) -> str:
    """The name as one of a rule or ruleset; in quotes, because some names are numbers."""
    return json.dumps((_UNFIT.sub("-", name).strip("-._") or "connector")[:63])


def _shown(text: str) -> str:
    return _UNFIT.sub("?", text)[:80]
