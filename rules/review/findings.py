"""What is valid in a ruleset and probably not meant, or good to know: `check` prints it.

A warning is about something to correct: a rule or field that never acts, a condition that anybody can get round. A note
tells which of two rules wins where both name one field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from wiremask.rules.model.datakinds import KINDS, is_of_standard, kind_by_name
from wiremask.rules.model.masks import Keep
from wiremask.rules.model.traits import tells_apart
from wiremask.rules.review.acts import Act, Acts, fields_of, name_of, path_of
from wiremask.rules.review.reach import is_emptied

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from wiremask.rules.errors import Mark
    from wiremask.rules.model.metadata import Standard
    from wiremask.rules.model.rule import Direction, Rule
    from wiremask.rules.model.topics import TopicPattern
    from wiremask.rules.plan import Plan

Kind = Literal["warning", "note"]
Code = Literal["condition", "clientId", "never", "unreachable", "overlap", "data", "key", "observe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found, and where.

    Attributes:
        code: what kind of thing, for machines.
        rule: the name of the rule.
    """

    kind: Kind
    code: Code
    rule: str
    file: str
    line: int
    column: int
    message: str


def find(plan: Plan) -> tuple[Finding, ...]:
    """All findings about a ruleset: rule by rule, then the overlaps."""
    acts = Acts(plan.rules)
    found = [finding for rule in plan.rules for finding in (*_of_condition(rule), *_of_topics(rule), *_of_key(rule))]
    unsaid = _unsaid(plan.rules, sorted(plan.metadata.standards))
    return (*found, *unsaid, *_unreachable(plan.rules, acts), *_overlaps(acts))


def _finding(rule: Rule, code: Code, message: str, *, kind: Kind = "warning", mark: Mark | None = None) -> Finding:
    line, column = (rule.line, rule.column) if mark is None else (mark.line, mark.column)
    return Finding(kind=kind, code=code, rule=rule.name, file=rule.file, line=line, column=column, message=message)


def _of_condition(rule: Rule) -> Iterator[Finding]:
    condition = rule.client
    if condition is None:
        return
    if condition.constant is not None:
        said = "true" if condition.constant else "false"
        yield _finding(
            rule, "condition", f"the condition of rule {rule.name} is always {said}; delete it, or correct it"
        )
    elif "clientId" in condition.uses:
        exempts = any(isinstance(mask, Keep) for mask in rule.masks)
        does, name = ("exempts", "that name") if exempts else ("masks", "another name")
        yield _finding(
            rule,
            "clientId",
            f"rule {rule.name} {does} by clientId, which every client chooses for itself: "
            f"who takes {name} is not masked; use principal",
        )


def _of_topics(rule: Rule) -> Iterator[Finding]:
    topics = rule.topics
    emptied = [pattern for pattern in topics.include if is_emptied(pattern, topics.exclude)]
    if len(emptied) == len(topics.include):
        yield _finding(
            rule, "never", f"rule {rule.name} never acts: `exceptTopics` takes all of its topics; correct one of them"
        )
        return
    for pattern in emptied:
        yield _finding(
            rule,
            "never",
            f"`exceptTopics` of rule {rule.name} takes all of its topics {pattern.text}; delete the pattern",
        )


def _of_key(rule: Rule) -> Iterator[Finding]:
    masks = [] if rule.key is None else [one.mask for one in rule.key.fields if not isinstance(one.mask, Keep)]
    if rule.observes:
        yield _finding(rule, "observe", f"rule {rule.name} observes only: it changes nothing yet", kind="note")
    if not masks:
        return
    if "produce" not in rule.at:
        message = f"rule {rule.name} masks keys at fetch: readers that join or compact by key do so by the masked ones"
    else:
        message = f"rule {rule.name} masks keys: partitions were chosen by the clear ones, and compaction goes by these"
        if not all(tells_apart(mask) for mask in masks):
            message += "; several keys become one, and compaction keeps one record for all; use hash or token"
        if rule.client is not None:
            message += "; it does so for some clients only, so that one key has two forms"
    yield _finding(rule, "key", message)


def _unsaid(rules: Iterable[Rule], standards: Sequence[Standard]) -> Iterator[Finding]:
    """Fields that a standard probably speaks of, and that do not say so."""
    for rule in rules:
        for part, one in fields_of(rule):
            kind = None if one.data is not None else kind_by_name(path_of(one))
            for standard in standards:
                if kind is not None and is_of_standard(kind, standard):
                    message = (
                        f"by its name, {name_of(part, one)} of rule {rule.name} may be {KINDS[kind].says}; "
                        f"write `data: {kind}`, so that {standard} is checked"
                    )
                    yield _finding(rule, "data", message, mark=one.mark)
                    break


def _unreachable(rules: Iterable[Rule], acts: Acts) -> Iterator[Finding]:
    """Fields that others take everything from, wherever they act."""
    takers: dict[int, Act | None] = {}
    for act in acts.all:
        if act.field is not None and act.patterns:
            known = takers.get(id(act.field), act)
            takers[id(act.field)] = None if known is None else _taker(act, acts)
    for rule in rules:
        named = list(fields_of(rule))
        taken = [(part, one, taker) for part, one in named if (taker := takers.get(id(one))) is not None]
        if taken and len(taken) == len(named):
            others = ", ".join(dict.fromkeys(_place(taker, rule) for _, _, taker in taken))
            yield _finding(
                rule, "unreachable", f"rule {rule.name} never acts: all that it names is taken before it, by {others}"
            )
            continue
        for part, one, taker in taken:
            yield _finding(
                rule,
                "unreachable",
                f"{name_of(part, one)} of rule {rule.name} is never used: {_place(taker, rule)} takes all of it; "
                "move it up, or delete it",
                mark=one.mark,
            )


def _taker(act: Act, acts: Acts) -> Act | None:
    """What takes all that a field selects, on each of its topics; the first one's, as an example."""
    found = []
    for pattern in act.patterns:
        near = acts.near(act, pattern)
        found.append(next((one for one in near if _takes_all(one, act, pattern, near)), None))
    return None if None in found else found[0]


def _takes_all(taker: Act, act: Act, pattern: TopicPattern, near: Sequence[Act]) -> bool:
    if not (taker.goes_before(act) and taker.covers(act, pattern)):
        return False
    return taker.order < act.order or not taker.is_stopped(near)


def _place(taker: Act, rule: Rule) -> str:
    return f"{taker.name} in line {taker.mark.line}" + ("" if taker.rule is rule else f" of rule {taker.rule.name}")


def _overlaps(acts: Acts) -> Iterator[Finding]:
    """Pairs of rules that name one field, once a pair and direction."""
    seen: set[tuple[str, str, Direction]] = set()
    for act in acts.all:
        for pattern in act.patterns:
            for other in acts.near(act, pattern):
                pair = (other.rule.name, act.rule.name, act.at)
                if other.rule is act.rule or not other.goes_before(act) or pair in seen or other.mask == act.mask:
                    continue
                if other.covers(act, pattern):
                    continue  # told as what is never used
                seen.add(pair)
                yield _finding(
                    act.rule,
                    "overlap",
                    f"rule {other.rule.name} goes before rule {act.rule.name} at {act.at}: on {pattern.text}, "
                    f"{other.name} wins where {act.name} names the same",
                    kind="note",
                    mark=act.mark,
                )
