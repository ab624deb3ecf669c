"""The rule language as JSON Schema (2020-12), for editors: made of the tables by which rule files are read.

The keys, which of them are needed and the masks come from those tables; here stands what each key's value looks like. A
key without an entry here is an error when the schema is made. The schema tells most faults, not all: what hangs on
other places of the file (a key that is declared, a mask that may stand in both directions) only the reader finds.

Source: https://json-schema.org/draft/2020-12 (JSON Schema), RFC 9535 (paths).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wiremask.rules.detect.detectors import DETECTORS
from wiremask.rules.language import (
    detectwords,
    fieldlist,
    fields,
    generalwords,
    headerfields,
    keyring,
    maskcall,
    maskwords,
    recordwords,
    ruleset,
)
from wiremask.rules.language.keyedwords import HASH_FLOOR, PERCENT_LIMIT, WORDS_FLOOR
from wiremask.rules.language.ruletests import PARTS, TEST
from wiremask.rules.maskers.fpe import ALPHABETS
from wiremask.rules.maskers.words import LISTS
from wiremask.rules.model import condition, datakinds, markers, masks
from wiremask.rules.model import metadata as about
from wiremask.rules.model.masks import HASH_CEILING
from wiremask.rules.model.rule import DIRECTIONS
from wiremask.rules.model.topics import PATTERN_LIMIT_CHARACTERS

if TYPE_CHECKING:
    from wiremask.rules.nodes.shape import Words

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
PATTERN_NAME = r"^[a-z][a-z0-9-]{0,62}$"


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _text(says: str = "", **more: Any) -> Schema:
    return {"type": "string", **({"description": says} if says else {}), **more}


def _word(words: Any, says: str = "") -> Schema:
    return {"enum": list(words), **({"description": says} if says else {})}


def _count(lowest: int, highest: int) -> Schema:
    return {"type": "integer", "minimum": lowest, "maximum": highest}


def _list(of: Schema, says: str = "", **more: Any) -> Schema:
    return {"type": "array", "items": of, "minItems": 1, **({"description": says} if says else {}), **more}


SWITCH: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
POSITIVE: Schema = {"type": "number", "exclusiveMinimum": 0}
SCALAR: Schema = {"type": ["string", "number", "boolean"]}

# By the name of an argument; OF_MASK has those that mean something else in one mask.
OF_ARGUMENT: dict[str, Schema] = {
    "key": _text("The name of a key under `keys`."),
    "domain": _text("Keeps what is masked apart from other domains.", pattern=r"^[A-Za-z0-9._:/-]{1,128}$"),
    "as": _word(["string"], "Numbers are taken too, by their text, and become texts."),
    "keepFirst": _count(0, maskcall.KEEP_LIMIT),
    "keepLast": _count(0, maskcall.KEEP_LIMIT),
    "hideFirst": _count(1, maskcall.KEEP_LIMIT),
    "hideLast": _count(1, maskcall.KEEP_LIMIT),
    "whole": SWITCH,
    "text": _text(maxLength=1024),
    "number": NUMBER,
    "boolean": SWITCH,
    "value": SCALAR,
    "char": _text(minLength=1, maxLength=1),
    "separators": _text(maxLength=maskwords.SEPARATOR_LIMIT, pattern="^[^A-Za-z0-9]*$"),
    "fixedLength": _count(1, maskwords.FIXED_LENGTH_LIMIT),
    "length": _count(0, maskwords.LENGTH_LIMIT),
    "local": _ref("mask"),
    "encoding": _word(HASH_FLOOR),
    "format": _word(["text", "pan", "iban"]),
    "alphabet": _word(ALPHABETS),
    "deterministic": SWITCH,
    "words": {"anyOf": [_word(LISTS), _list(_text(), minItems=WORDS_FLOOR)]},
    "size": POSITIVE,
    "start": NUMBER,
    "lowest": NUMBER,
    "highest": NUMBER,
    "to": POSITIVE,
    "direction": _word(["nearest", "down", "up"]),
    "bounds": _list(NUMBER, maxItems=generalwords.BOUNDS_LIMIT),
    "labels": _list(_text()),
    "within": POSITIVE,
    "percent": {**POSITIVE, "maximum": PERCENT_LIMIT},
    "step": POSITIVE,
    "numbers": _word(["seconds", "milliseconds"], "What numbers count since 1970."),
    "top": _count(1, 150),
    "restricted": _list(_text(pattern="^[0-9]{3}$")),
    "v4": _count(0, 31),
    "v6": _count(0, 127),
}
OF_MASK: dict[tuple[str, str], Schema] = {
    ("hash", "length"): _count(min(HASH_FLOOR.values()), max(HASH_CEILING.values())),
    ("email", "domain"): _ref("mask"),
    ("date", "to"): _word(generalwords.PRECISIONS),
    ("date", "format"): _text("Such as %d.%m.%Y; ISO 8601 without it.", maxLength=generalwords.FORM_LIMIT),
    ("date", "shift"): _count(1, generalwords.SHIFT_LIMIT_DAYS),
    ("date", "subject"): _text("The path of what dates of one value move by."),
}

TOPICS = _list(
    _text(minLength=1, maxLength=PATTERN_LIMIT_CHARACTERS),
    'Names, globs such as "payments.*", or /regular expressions/.',
    uniqueItems=True,
)
DETECT = _list(
    {"anyOf": [_word(DETECTORS), _text("The name of a pattern.", pattern=PATTERN_NAME)]},
    "What is masked wherever it stands in texts; in a field, in place of `path`.",
    uniqueItems=True,
)
DATA = {"anyOf": [_word(datakinds.KINDS, "What the field holds, for standards."), _ref("data")]}
POLICY = _word(ruleset.POLICIES)
FORMAT = _word(fields.FORMATS)
FIELDS = _list(_ref("field"), "The first that selects a leaf decides it.")
LITERAL: Schema = {"type": ["string", "integer", "boolean"]}
CONDITION = _text(
    f"CEL over {', '.join(condition.VARIABLES)}.", minLength=1, maxLength=ruleset.CONDITION_LIMIT_CHARACTERS
)

# What the keys of each kind of mapping hold.
SECTIONS: dict[str, tuple[Words, dict[str, Schema]]] = {
    "ruleset": (
        ruleset.FILE,
        {
            "apiVersion": {"const": ruleset.API_VERSION},
            "kind": {"const": ruleset.KIND},
            "metadata": _ref("metadata"),
            "keys": {
                "type": "object",
                "propertyNames": {"pattern": NAME},
                "additionalProperties": {"anyOf": [_ref("key"), _ref("versionedKey")]},
                "description": "Where keys are; a key itself never stands in a rule file.",
            },
            "patterns": {
                "type": "object",
                "propertyNames": {"pattern": PATTERN_NAME},
                "additionalProperties": _ref("pattern"),
                "description": "Detectors of the ruleset's own.",
            },
            "rules": _list(_ref("rule"), "In order of precedence."),
        },
    ),
    "pattern": (
        detectwords.PATTERN,
        {
            "regex": _text("A regular expression of RE2, without anchors.", minLength=1, maxLength=1024),
            "ignoreCase": SWITCH,
        },
    ),
    "metadata": (
        about.METADATA,
        {
            "name": _text("The ruleset's name.", pattern=NAME),
            "irreversible": {**SWITCH, "description": "No mask of this ruleset can be undone, whatever a rule says."},
            "standards": _list(_word(about.STANDARDS), "Whose numbers hold for fields with `data`.", uniqueItems=True),
            "allowWeaker": _ref("allowWeaker"),
            "markers": _ref("markers"),
        },
    ),
    "markers": (
        markers.MARKERS,
        {
            "json": {"description": "Any JSON; stands for a value that cannot be read."},
            "text": _text("Stands for a text that cannot be read.", maxLength=markers.LIMIT_CHARACTERS),
        },
    ),
    "allowWeaker": (
        about.ALLOW_WEAKER,
        {
            "from": _text("The digest of the ruleset that may be weakened.", pattern="^[0-9a-f]{64}$"),
            "reason": _text("Why less is masked.", pattern=r"\S", maxLength=1024),
        },
    ),
    "key": (
        keyring.KEY,
        {
            "env": _text("An environment variable.", pattern="^[A-Za-z_][A-Za-z0-9_]*$"),
            "file": _text("An absolute path.", pattern="^/"),
        },
    ),
    "versionedKey": (
        keyring.VERSIONED_KEY,
        {
            "active": _text("The version that masks.", pattern=NAME),
            "versions": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": NAME},
                "additionalProperties": _ref("key"),
            },
        },
    ),
    "rule": (
        ruleset.RULE,
        {
            "name": _text("Unique in the ruleset.", pattern=NAME),
            "topics": TOPICS,
            "exceptTopics": TOPICS,
            "at": _list(_word(DIRECTIONS), "Masked before it is stored, or as it is read.", uniqueItems=True),
            "when": _ref("when"),
            "mode": _word(ruleset.MODES, "Whether the rule masks, or counts what it would mask."),
            "reversible": {**SWITCH, "description": "Masks that can be undone with the key are meant."},
            "ignoreCase": {**SWITCH, "description": "Names in paths compare without regard to case."},
            "value": _ref("value"),
            "key": _ref("recordKey"),
            "headers": _list(_ref("header"), "The first whose name matches decides a header."),
            "onUnreadable": POLICY,
            "onUnmaskable": POLICY,
            "tests": _list(_ref("test"), "Run at every load."),
        },
    ),
    "when": (
        ruleset.WHEN,
        {"client": CONDITION, "record": _list(_ref("recordCondition"), "All must hold of a record.")},
    ),
    "recordCondition": (
        recordwords.CONDITION,
        {
            "path": _text("A JSONPath into the value.", pattern=r"^\$", maxLength=1024),
            "header": _text("The name of a header."),
            "equals": LITERAL,
            "in": _list(LITERAL, "One of these."),
        },
    ),
    "value": (fields.VALUE, {"format": FORMAT, "fields": FIELDS, "unlisted": _ref("mask")}),
    "recordKey": (fields.KEY, {"format": FORMAT, "fields": FIELDS}),
    "header": (
        headerfields.HEADER,
        {"name": _text("A name or glob."), "detect": DETECT, "mask": _ref("mask"), "ignoreCase": SWITCH, "data": DATA},
    ),
    "field": (
        fieldlist.FIELD,
        {
            "path": _text("A JSONPath, $.customer.ssn.", pattern=r"^\$", maxLength=1024),
            "detect": DETECT,
            "mask": _ref("mask"),
            "ignoreCase": SWITCH,
            "data": DATA,
            "onMissing": _word(fieldlist.ON_MISSING, "What becomes of a produced record that lacks the field."),
            "embedded": _word(fieldlist.EMBEDDED, "The text holds JSON, with fields of its own."),
            "fields": FIELDS,
            "unlisted": _ref("mask"),
        },
    ),
    "data": (datakinds.DATA, {"pan": _list(_word(datakinds.BRANDS))}),
    "test": (
        TEST,
        {
            "part": _word(PARTS, "What `in` and `out` are; the value unless given."),
            "in": {"description": "A value."},
            "out": {"description": "What must become of it."},
            "rejected": {"const": True, "description": "The record must be refused."},
            "omitted": {"const": True, "description": "The record must be left out."},
        },
    ),
}


def rule_schema() -> Schema:
    """The schema of a rule file."""
    parts = {name: _object(words, entries) for name, (words, entries) in SECTIONS.items()}
    ruleset = parts.pop("ruleset")
    parts["mask"] = _mask()
    some = [{"required": [key]} for key in ("rules", "keys", "patterns")]
    title = {"$schema": DIALECT, "title": "wiremask rules", "anyOf": some}
    return {**title, **ruleset, "$defs": parts}


def _object(words: Words, entries: dict[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": {key: entries[key] for key in words.known},
        "required": list(words.required),
        "additionalProperties": False,
    }


def _mask() -> Schema:
    """A word, a word with its arguments, or a list of these."""
    arguments = {word: _arguments(word, words) for word, (words, _) in maskwords.MASKS.items()}
    bare = [word for word, (words, _) in maskwords.MASKS.items() if not words.required]
    call = {
        "type": "object",
        "properties": arguments,
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }
    return {"anyOf": [_word(bare), call, _list(_ref("mask"), maxItems=maskwords.CHAIN_LIMIT)]}


def _arguments(word: str, words: Words) -> Schema:
    entries = {key: OF_MASK.get((word, key), OF_ARGUMENT.get(key)) for key in words.known}
    missing = [key for key, entry in entries.items() if entry is None]
    if missing:
        raise KeyError(f"no schema for {missing} of {word}")
    schema = _object(words, {key: entry for key, entry in entries.items() if entry is not None})
    schema["description"] = (getattr(masks, word.capitalize()).__doc__ or "").splitlines()[0]
    short = maskwords.SHORT.get(word)
    return schema if short is None else {"anyOf": [schema, schema["properties"][short]]}
