"""The maskers of a topic's rules, one for each part of a record: value, key, headers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wiremask.rules.kernel.automaton import Selection
from wiremask.rules.model.masks import Keep
from wiremask.rules.records.formats import common_format, make_masker
from wiremask.rules.records.headers import HeaderEntry, HeaderMasker
from wiremask.rules.records.required import Required, RequiredMasker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wiremask.rules.model.masks import FailurePolicy, OnUnmaskable
    from wiremask.rules.model.rule import Direction, Part, Rule
    from wiremask.rules.records.conditions import RecordTests
    from wiremask.rules.records.formats import PartMasker, Setting


_FAILS: dict[Direction, FailurePolicy] = {"produce": "reject", "fetch": "omit"}
"""The policy by which a record becomes a failure of the outcome. A consumer must never be stuck at a record, so at
fetch `reject` does as `redact` does; at produce nothing is omitted, and the language does not let it be written."""


def value_masker(rules: Sequence[Rule], at: Direction, setting: Setting, tests: RecordTests) -> PartMasker | None:
    """What masks values; None if no rule does.

    Raises:
        RulesClash: the rules cannot act together.
    """
    return _fields_masker(rules, [_value_part(rule) for rule in rules], at, setting, tests)


def key_masker(rules: Sequence[Rule], at: Direction, setting: Setting, tests: RecordTests) -> PartMasker | None:
    """What masks keys; None if no rule does.

    Raises:
        RulesClash: the rules cannot act together.
    """
    return _fields_masker(rules, [rule.key for rule in rules], at, setting, tests)


def header_masker(rules: Sequence[Rule], at: Direction, setting: Setting, tests: RecordTests) -> HeaderMasker | None:
    """What masks headers; None if no rule does."""
    concerned = [rule for rule in rules if rule.headers]
    entries = [
        HeaderEntry(
            field=field,
            rule=position,
            on_unmaskable=_on_unmaskable(rule, at),
            when=tests.number(rule, exempts=isinstance(field.mask, Keep)),
        )
        for position, rule in enumerate(rules)
        for field in rule.headers
    ]
    return HeaderMasker(entries, _with_policy(setting, concerned, at)) if entries else None


def _fields_masker(
    rules: Sequence[Rule], parts: Sequence[Part | None], at: Direction, setting: Setting, tests: RecordTests
) -> PartMasker | None:
    concerned = [rule for rule, part in zip(rules, parts, strict=True) if part is not None]
    if not concerned:
        return None
    selections = [
        Selection(
            path=field.path,
            mask=field.mask,
            rule=position,
            on_unmaskable=_on_unmaskable(rule, at),
            detect=field.detect,
            when=tests.number(rule, exempts=isinstance(field.mask, Keep)),
        )
        for position, (rule, part) in enumerate(zip(rules, parts, strict=True))
        if part is not None
        for field in part.fields
    ]
    required = [
        Required(path=field.path, rule=position, when=tests.number(rule))
        for position, (rule, part) in enumerate(zip(rules, parts, strict=True))
        if part is not None and at == "produce"
        for field in part.fields
        if field.required
    ]
    form = common_format(part.format for part in parts if part is not None)
    masker = make_masker(form, selections, _with_policy(setting, concerned, at))
    if not required:
        return masker
    return RequiredMasker(masker, required, depth_limit=setting.json_depth, conditions=setting.conditions)


def _value_part(rule: Rule) -> Part | None:
    return rule.value if rule.fields else None


def _with_policy(setting: Setting, rules: Sequence[Rule], at: Direction) -> Setting:
    """The setting with the strictest of what the rules say of unreadable parts."""
    rejects = any(rule.on_unreadable == _FAILS[at] for rule in rules)
    return replace(setting, on_unreadable="reject" if rejects else "redact")


def _on_unmaskable(rule: Rule, at: Direction) -> OnUnmaskable:
    return "reject" if rule.on_unmaskable == _FAILS[at] else "redact"
