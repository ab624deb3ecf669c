"""The rule language: texts in, a compiled plan out, or everything that is wrong with them.

A ruleset is one or more files. Each says what it is (`apiVersion`, `kind`, `metadata.name`) and adds keys and rules;
keys are known in all files. The order of precedence is the order of file names (by code point), then of the rules in a
file, then of the fields in a rule.

The tables of `Words` here and in the modules beside are the grammar. To add a key to the language, move it from `later`
to `known` (or add it there) and read it where its mapping is read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from wiremask.rules.errors import Faults, Mark, RuleError, RulesClash, RuleSetInvalid
from wiremask.rules.kernel.automaton import AutomatonTooLarge
from wiremask.rules.kernel.jsonmask import OUTPUT_LIMIT_BYTES
from wiremask.rules.language.detectwords import PatternBook
from wiremask.rules.language.fields import Ground, read_key, read_value
from wiremask.rules.language.headerfields import read_headers
from wiremask.rules.language.keyring import KeyRing
from wiremask.rules.language.recordwords import read_conditions
from wiremask.rules.language.ruletests import RuleTest, read_tests, try_tests
from wiremask.rules.model.condition import Condition, ConditionInvalid, read_condition
from wiremask.rules.model.globs import PatternInvalid
from wiremask.rules.model.metadata import Metadata, read_metadata, read_name
from wiremask.rules.model.rule import DIRECTIONS, Direction, RecordCondition, Rule
from wiremask.rules.model.topics import TopicFilter, TopicPattern, read_pattern
from wiremask.rules.nodes.shape import (
    Words,
    expected,
    member,
    read_items,
    read_members,
    read_switch,
    read_text,
    read_word,
)
from wiremask.rules.nodes.source import Entry, Node, Scalar, place_in, read_source
from wiremask.rules.plan import Plan, TopicPlan
from wiremask.rules.review.standards import breaches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wiremask.rules.keys import KeyReference
    from wiremask.rules.model.markers import Markers
    from wiremask.rules.model.masks import FailurePolicy

API_VERSION = "wiremask.dev/v1"
KIND = "RuleSet"
TOTAL_LIMIT_CHARACTERS = 1 << 22
CONDITION_LIMIT_CHARACTERS = 4096

FILE = Words(
    of="a ruleset file",
    known=("apiVersion", "kind", "metadata", "keys", "patterns", "rules"),
    required=("apiVersion", "kind", "metadata"),
)
RULE = Words(
    of="a rule",
    known=(
        "name",
        "topics",
        "exceptTopics",
        "at",
        "when",
        "mode",
        "reversible",
        "ignoreCase",
        "value",
        "key",
        "headers",
        "onUnreadable",
        "onUnmaskable",
        "tests",
    ),
    required=("name", "topics", "at"),
)
WHEN = Words(of="`when`", known=("client", "record"))
MODES = ("enforce", "observe")
POLICIES = ("reject", "redact", "omit")


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """One file whose head is read.

    Attributes:
        whole: the file is YAML; else there may be keys and rules in it that nobody knows.
    """

    faults: Faults
    whole: bool
    keys: Node | None
    patterns: Node | None
    rules: tuple[Node, ...]


@dataclass(slots=True)
class _Reading:
    """What is known of the ruleset while its files are read, in order."""

    keys: KeyRing
    patterns: PatternBook = field(default_factory=PatternBook)
    metadata: Metadata = field(default_factory=Metadata)
    rules: list[tuple[Rule, tuple[RuleTest, ...], Faults]] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)


def compile_ruleset(
    sources: Mapping[str, str],
    resolve_key: Callable[[KeyReference], str] | None,
    *,
    json_depth: int = 64,
    output_limit_bytes: int = OUTPUT_LIMIT_BYTES,
    run_tests: bool = True,
) -> Plan:
    """Reads, checks and compiles a ruleset.

    Args:
        sources: text by file name.
        resolve_key: gives the text of a key, `base64:...` or `hex:...`; raises KeyUnavailable. Called once for each
            declared key, used or not. None: no key is asked for; such a plan is to be compared and never to mask.
        json_depth: objects and arrays within one another that a value may have.
        output_limit_bytes: what a part of one batch may be masked to.
        run_tests: whether the tests in the rules run.

    Raises:
        RuleSetInvalid: with every fault of every file.
    """
    if not sources:
        raise _refuse("rules", "there is no rule file; add one, or nothing would be masked")
    if sum(map(len, sources.values())) > TOTAL_LIMIT_CHARACTERS:
        raise _refuse(
            min(sources), f"all files together are longer than {TOTAL_LIMIT_CHARACTERS} characters; shorten them"
        )
    reading = _Reading(keys=KeyRing(resolve_key))
    files = [_read_file(name, sources[name], reading) for name in sorted(sources)]
    everything = [file.faults for file in files]
    reading.keys.complete = reading.patterns.complete = all(file.whole for file in files)
    for file in files:
        if file.keys is not None:
            reading.keys.declare(file.keys, file.faults)
        if file.patterns is not None:
            reading.patterns.declare(file.patterns, file.faults)
    for file in files:
        for node in file.rules:
            _read_rule(node, reading, file.faults)
    reading.keys.forget()
    _check_standards(reading)
    for rule, tests, faults in reading.rules:
        _try_rule(rule, tests if run_tests else (), faults, json_depth, reading.metadata.markers)
    errors = sorted(error for faults in everything for error in faults.found)
    if errors:
        raise RuleSetInvalid(errors)
    rules = [rule for rule, _, _ in reading.rules]
    if not rules:
        raise _refuse(min(sources), "no file of the ruleset has `rules`; add some, or nothing would be masked")
    plan = Plan(
        metadata=reading.metadata,
        digest=digest_of(sources),
        rules=rules,
        json_depth=json_depth,
        output_limit_bytes=output_limit_bytes,
    )
    _try_topics(plan)
    return plan


def digest_of(sources: Mapping[str, str]) -> str:
    """The name of a ruleset: SHA-256, in hex, over the names and texts of its files."""
    digest = hashlib.sha256()
    for name in sorted(sources):
        for part in (name.encode("utf-8", "surrogateescape"), sources[name].encode("utf-8")):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _refuse(file: str, message: str) -> RuleSetInvalid:
    return RuleSetInvalid([RuleError(file=file, line=1, column=1, message=message)])


def _read_file(name: str, text: str, reading: _Reading) -> _File:
    faults = Faults(file=name)
    root = read_source(text, faults)
    members = None if root is None else read_members(root, FILE, faults)
    if root is None or members is None:
        return _File(faults=faults, whole=False, keys=None, patterns=None, rules=())
    _check_word(members, "apiVersion", API_VERSION, faults)
    _check_word(members, "kind", KIND, faults)
    metadata = member(members, "metadata")
    if metadata is not None:
        reading.metadata = read_metadata(metadata, reading.metadata, faults)
    rules = member(members, "rules")
    keys = member(members, "keys")
    patterns = member(members, "patterns")
    if rules is None and keys is None and patterns is None:
        faults.add(root.mark, "the file has neither `rules` nor `keys` nor `patterns`; add `rules`")
    items: tuple[Node, ...] = ()
    if rules is not None:
        items = read_items(rules, "`rules` is a list of rules, with at least one", faults) or ()
    return _File(faults=faults, whole=True, keys=keys, patterns=patterns, rules=items)


def _check_word(members: dict[str, Entry], key: str, word: str, faults: Faults) -> None:
    node = member(members, key)
    if node is not None and not (isinstance(node, Scalar) and node.kind == "text" and node.text == word):
        expected(node, f"`{key}` must be `{word}`; write `{key}: {word}`", faults)


def _read_rule(node: Node, reading: _Reading, faults: Faults) -> None:
    before = len(faults.found)
    members = read_members(node, RULE, faults)
    if members is None:
        return
    name_node = member(members, "name")
    name = None if name_node is None else _read_rule_name(name_node, reading, faults)
    topics = _read_topics(members, faults)
    at = _read_directions(members, faults)
    mode = member(members, "mode")
    observes = mode is not None and read_word(mode, "mode", MODES, faults) == "observe"
    client, record = _read_when(members, faults)
    undo = _read_reversible(members, reading, faults)
    value, key, headers = member(members, "value"), member(members, "key"), member(members, "headers")
    if value is None and key is None and headers is None:
        faults.add(node.mark, "a rule lacks `value`; add value: {fields: [{path: ..., mask: ...}]}")
    ground = Ground(
        twice=len(at) == len(DIRECTIONS),
        undo=undo,
        produces=not at or "produce" in at,
        ignore_case=_read_ignore_case(members, faults),
        keys=reading.keys,
        patterns=reading.patterns,
        faults=faults,
    )
    value_part = None if value is None else read_value(value, ground)
    key_part = None if key is None else read_key(key, ground)
    header_fields = None if headers is None else read_headers(headers, ground)
    on_unreadable = _read_policy(members, "onUnreadable", at, faults)
    on_unmaskable = _read_policy(members, "onUnmaskable", at, faults)
    tests_node = member(members, "tests")
    tests = () if tests_node is None else read_tests(tests_node, faults)
    if len(faults.found) > before or name is None or name_node is None or topics is None:
        return
    rule = Rule(
        name=name,
        file=faults.file,
        line=name_node.mark.line,
        column=name_node.mark.column,
        topics=topics,
        at=at,
        fields=() if value_part is None else value_part.fields,
        format="json" if value_part is None else value_part.format,
        key=key_part,
        headers=header_fields or (),
        client=client,
        record=record,
        observes=observes,
        on_unreadable=on_unreadable,
        on_unmaskable=on_unmaskable,
    )
    if record:
        _check_record(rule, members["when"].mark, faults)
        if len(faults.found) > before:
            return
    reading.rules.append((rule, tests, faults))


def _read_rule_name(node: Node, reading: _Reading, faults: Faults) -> str | None:
    name = read_name(node, "the name of a rule", faults)
    if name is None:
        return None
    if name in reading.places:
        faults.add(node.mark, f"a rule of this name stands at {reading.places[name]}; rename one of the two")
        return None
    reading.places[name] = f"{faults.file}:{node.mark.line}"
    return name


def _read_reversible(members: dict[str, Entry], reading: _Reading, faults: Faults) -> str | None:
    """Why this rule may have no mask that can be undone; None if it may."""
    node = member(members, "reversible")
    allowed = node is not None and read_switch(node, "reversible", faults)
    if reading.metadata.irreversible:
        if node is not None and allowed:
            faults.add(node.mark, "the ruleset is `irreversible`; delete `reversible`, and use masks that are one-way")
        return "this mask can be undone with the key, and the ruleset is `irreversible`; write token or hash"
    return None if allowed else "this mask can be undone with the key; write `reversible: true` in the rule, or token"


def _read_ignore_case(members: dict[str, Entry], faults: Faults) -> bool:
    """Whether names in the rule's paths compare without regard to case."""
    node = member(members, "ignoreCase")
    return node is not None and read_switch(node, "ignoreCase", faults) is True


def _read_when(members: dict[str, Entry], faults: Faults) -> tuple[Condition | None, tuple[RecordCondition, ...]]:
    when = member(members, "when")
    conditions = None if when is None else read_members(when, WHEN, faults)
    if when is None or conditions is None:
        return None, ()
    client, record = member(conditions, "client"), member(conditions, "record")
    if record is None and client is None:
        faults.add(when.mark, "`when` has neither `client` nor `record`; add one, or delete `when`")
    return (
        None if client is None else _read_client(client, faults),
        () if record is None else read_conditions(record, faults),
    )


def _check_record(rule: Rule, mark: Mark, faults: Faults) -> None:
    """Reports what does not go with conditions on the record."""
    if rule.key is not None:
        faults.add(
            mark, "the same key must always mask to the same bytes, whatever the record; put `key` into another rule"
        )
    if rule.format == "text" and any(condition.path is not None for condition in rule.record):
        faults.add(mark, "a value of `format: text` has no fields to compare; write {header: source, equals: web}")


def _read_client(client: Node, faults: Faults) -> Condition | None:
    text = read_text(client, "`client` is a CEL expression", faults, limit=CONDITION_LIMIT_CHARACTERS)
    if text is None or not isinstance(client, Scalar):
        return None
    try:
        return read_condition(text)
    except ConditionInvalid as error:
        for offset, message in error.faults:
            faults.add(place_in(client, offset), message)
        return None


def _read_topics(members: dict[str, Entry], faults: Faults) -> TopicFilter | None:
    include = _read_patterns(members, "topics", faults)
    exclude = _read_patterns(members, "exceptTopics", faults)
    if include is None or exclude is None:
        return None
    return TopicFilter(include=include, exclude=exclude)


def _read_patterns(members: dict[str, Entry], key: str, faults: Faults) -> tuple[TopicPattern, ...] | None:
    node = member(members, key)
    if node is None:
        return ()
    items = read_items(node, f'`{key}` is a list of names, globs or /regex/, for example ["payments.*"]', faults)
    if items is None:
        return None
    patterns: dict[str, TopicPattern] = {}
    for item in items:
        text = read_text(item, "a topic pattern is a text", faults)
        if text is None or not isinstance(item, Scalar):
            continue
        if text in patterns:
            faults.add(item.mark, "this pattern stands in the list already; delete it")
            continue
        try:
            patterns[text] = read_pattern(text)
        except PatternInvalid as error:
            faults.add(place_in(item, error.offset), error.message)
    return tuple(patterns.values())


def _read_directions(members: dict[str, Entry], faults: Faults) -> frozenset[Direction]:
    node = member(members, "at")
    items = () if node is None else read_items(node, "`at` is a list of directions: [produce] or [fetch]", faults) or ()
    found: set[Direction] = set()
    for item in items:
        word = read_word(item, "at", DIRECTIONS, faults)
        if word in found:
            faults.add(item.mark, "this direction stands in the list already; delete it")
        if word is not None:
            found.add(cast("Direction", word))
    return frozenset(found)


def _read_policy(members: dict[str, Entry], key: str, at: frozenset[Direction], faults: Faults) -> FailurePolicy:
    node = member(members, key)
    word = None if node is None else read_word(node, key, POLICIES, faults)
    if node is not None and word == "omit" and "produce" in at:
        faults.add(node.mark, "a producer's record is not left out, it would be lost; write reject, or `at: [fetch]`")
    return cast("FailurePolicy", word or POLICIES[0])


def _check_standards(reading: _Reading) -> None:
    if not reading.metadata.standards:
        return
    faults_of = {rule.name: faults for rule, _, faults in reading.rules}
    for act, message in breaches([rule for rule, _, _ in reading.rules], reading.metadata.standards):
        faults_of[act.rule.name].add(act.mark, message)


def _try_rule(rule: Rule, tests: tuple[RuleTest, ...], faults: Faults, json_depth: int, markers: Markers) -> None:
    """Compiles a rule alone, as if it were enforced, and runs its tests."""
    at: Direction = "produce" if "produce" in rule.at else "fetch"
    try:
        plan = TopicPlan([replace(rule, observes=False)], at, json_depth=json_depth, markers=markers)
    except RulesClash as clash:
        message = "the paths of this rule multiply; write fewer `..` and `*`"
        faults.add(Mark(rule.line, rule.column), message if isinstance(clash, AutomatonTooLarge) else str(clash))
        return
    try_tests(tests, plan, faults)


def _try_topics(plan: Plan) -> None:
    """Compiles what the ruleset does to each topic that it names, and to one topic of each glob, for some clients.

    Rules that compile alone may be too much together; that should show here and not when a record comes.
    """
    faults: dict[str, Faults] = {}
    for rule in plan.rules:
        for pattern in rule.topics.include:
            for at in sorted(rule.at):
                try:
                    if pattern.sample is not None:
                        plan.try_topic(pattern.sample, at)
                except RulesClash as clash:
                    message = (
                        "the paths of all rules for one of these topics multiply; "
                        "write fewer `..` and `*`, or topics that overlap less"
                        if isinstance(clash, AutomatonTooLarge)
                        else str(clash)
                    )
                    faults.setdefault(rule.file, Faults(file=rule.file)).add(Mark(rule.line, rule.column), message)
    errors = sorted({error for found in faults.values() for error in found.found})
    if errors:
        raise RuleSetInvalid(errors)
