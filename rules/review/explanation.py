"""Which rules act on a topic for a client, in order, and why the others do not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from wiremask.rules.review.acts import Act, Acts
from wiremask.rules.review.reach import covers_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wiremask.rules.model.condition import Client
    from wiremask.rules.model.rule import Direction, Rule
    from wiremask.rules.model.topics import TopicFilter
    from wiremask.rules.plan import Plan

Verdict = Literal["acts", "acts in part", "does not act"]
_RECORD = "where its condition on the record holds"
_NAMES = {"principal": "principal", "clientId": "client_id", "listener": "listener", "claims": "claims"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What one rule does, and why; `why` is "" where it acts and nothing is to be said."""

    rule: Rule
    verdict: Verdict
    why: str = ""


def explain(plan: Plan, topic: str, at: Direction, client: Client) -> Iterator[Explained]:
    """Every rule of a ruleset, in order of precedence."""
    acting: list[Act] = []
    for rule in plan.rules:
        found = _explain(rule, topic, at, client)
        acts = [act for act in Acts([rule]).all if act.at == at]
        takers = [next((one for one in acting if _takes(one, act)), None) for act in acts]
        if found.verdict == "acts" and acts and None not in takers:
            names = ", ".join(dict.fromkeys(taker.rule.name for taker in takers if taker is not None))
            found = replace(found, verdict="does not act", why=f"all that it names is taken before it, by {names}")
        elif found.verdict == "acts":
            acting += acts
        yield found


def _takes(one: Act, other: Act) -> bool:
    """Whether an act takes all that a later one names, on a topic that both act on."""
    return one.acts_where(other) and covers_path(one.path, other.path)


def _explain(rule: Rule, topic: str, at: Direction, client: Client) -> Explained:
    if at not in rule.at:
        return Explained(rule=rule, verdict="does not act", why=f"it acts at {', '.join(sorted(rule.at))} only")
    if not rule.topics.matches(topic):
        return Explained(rule=rule, verdict="does not act", why=_why_no_topic(rule.topics, topic))
    if rule.observes:
        return Explained(rule=rule, verdict="does not act", why="it observes: it counts and changes nothing")
    if rule.client is None:
        return Explained(rule=rule, verdict="acts", why=_RECORD if rule.record else "")
    holds = rule.client.holds(client, topic)
    if holds is None:
        unknown = sorted(name for name in rule.client.uses if name in _NAMES and getattr(client, _NAMES[name]) is None)
        because = f"{' and '.join(unknown)} not known" if unknown else "it fails for this client"
        why = f"its condition cannot be decided ({because}): what masks acts, what keeps does not"
        masking = rule.masking()
        verdict: Verdict = "acts" if masking == rule else "acts in part" if masking is not None else "does not act"
        return Explained(rule=rule, verdict=verdict, why=why)
    if holds:
        return Explained(rule=rule, verdict="acts", why=f"its condition is true{f'; {_RECORD}' if rule.record else ''}")
    return Explained(rule=rule, verdict="does not act", why="its condition is false")


def _why_no_topic(topics: TopicFilter, topic: str) -> str:
    meant = [pattern.text for pattern in topics.include if pattern.matches(topic)]
    if not meant:
        return "none of its topics is this one"
    taken = next(pattern.text for pattern in topics.exclude if pattern.matches(topic))
    return f"exceptTopics {taken} takes the topic from it"
