"""Two rulesets compared: which fields of which topics one masks less than the other.

Weaker is what cannot be proven equal or stronger. The proof, for each field f of the old ruleset that masks, on each of
its topic patterns, in each direction:

1. Where the acts that may meet f's leaves are the same in both rulesets, in the same order, nothing has changed.
2. Else the new ruleset has an act g that certainly selects all that f selects. So what decides such a leaf there is g,
   or an act that may go before g. (If g takes objects whole, what names something in them goes before g only where
   another act keeps g from taking them.)
3. Each of these masks at least as strongly as f does; or is excused, because wherever it acts, the old ruleset has an
   act before f: what it takes was never f's.

Topics, paths and conditions compare as written (`reach.py`), masks by tables (`strength.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from wiremask.rules.review.acts import VALUE, Act, Acts, Numbers, Opaque
from wiremask.rules.review.reach import covers_path, covers_topics
from wiremask.rules.review.strength import describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wiremask.rules.model.rule import Direction
    from wiremask.rules.model.topics import TopicPattern
    from wiremask.rules.plan import Plan

Verdict = Literal["less", "more", "otherwise"]
NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field that is masked differently.

    Attributes:
        verdict: `less` or `more` than before, or `otherwise`: neither can be proven.
        weaker: whether this is to be allowed first. `less` is; so is `otherwise`, unless both are equally strong.
        topics: the topic pattern.
        field: the selector.
        client: the condition on the client as written; None without one.
        some_records: whether there are conditions on the record.
        before: the old mask, or `nothing`; so is `after` for the new one. Either says in what it is not about the same
            field, topics, clients or records.
        rule: that of the change; the new one's, if there is one.
    """

    verdict: Verdict
    weaker: bool
    topics: str
    at: Direction
    part: str
    field: str
    client: str | None
    some_records: bool
    before: str
    after: str
    rule: str

    @property
    def name(self) -> str:
        """How the field is told."""
        return f"{self.part} {self.field}".removeprefix(f"{VALUE} ").strip()

    @property
    def when(self) -> str:
        """Where it counts, beside topics and direction; "" for always."""
        return ", ".join(filter(None, (self.client, "in some records" if self.some_records else None)))

    def __str__(self) -> str:
        when = self.when if self.client is None else f"when {self.when}"
        place = f"{self.name} of {self.topics} at {self.at}"
        return f"{', '.join(filter(None, (place, when)))}: {self.before} -> {self.after} (rule {self.rule})"


_Key = tuple[str, str, str, object, str | None, object]


def compare(old: Plan, new: Plan) -> tuple[Change, ...]:
    """What changes from one ruleset to the next, in the order of the old one, then of what only the new one has.

    Both are read without their keys (`compile_ruleset(sources, None)`): which key a mask names counts, not where it is.
    """
    numbers = Numbers()
    olds, news = Acts(old.rules, numbers), Acts(new.rules, numbers)
    losses = {_key(found, pattern): (found, pattern, other) for found, pattern, other in _unproven(olds, news)}
    gains = {_key(found, pattern): (found, pattern, other) for found, pattern, other in _unproven(news, olds)}
    changes = []
    for key, (act, pattern, other) in losses.items():
        verdict: Verdict = "otherwise" if key in gains and other is not None and not other.keeps else "less"
        changes.append(_change(verdict, act, other, act, pattern, weaker=True))
    for key, (act, pattern, other) in gains.items():
        if key not in losses:
            changes.append(_change("more", other, act, act, pattern, weaker=False))
    for act, pattern, other in _restated(olds, news):
        if _key(act, pattern) not in losses and _key(act, pattern) not in gains:
            verdict = "otherwise" if act.is_strong(other) else "more"
            changes.append(_change(verdict, act, other, act, pattern, weaker=False))
    return tuple(changes)


def _unproven(olds: Acts, news: Acts) -> Iterator[tuple[Act, TopicPattern, Act | None]]:
    """Each old act that masks, with a topic pattern, where the new ruleset may mask less; and what takes its place."""
    for act, pattern in olds.masking():
        before, after = olds.near(act, pattern), news.near(act, pattern)
        if _do_the_same(before, after):
            continue
        cover = next((one for one in after if one.covers(act, pattern)), None)
        if cover is None:
            yield act, pattern, next((one for one in after if one.path == act.path), None)
            continue
        is_stopped = cover.takes_whole and cover.is_stopped(after)
        rivals = [one for one in after if one.goes_before(cover) or (is_stopped and one.order < cover.order)]
        earlier = [one for one in before if one.order < act.order]
        if act.takes_whole and is_stopped:
            # What names something in it took nothing from it in the old ruleset.
            earlier = [one for one in earlier if covers_path(one.path, act.path)]
        for rival in (*rivals, cover):
            if not rival.is_strong(act) and not _is_excused(rival, earlier, pattern):
                yield act, pattern, rival
                break


def _do_the_same(before: Sequence[Act], after: Sequence[Act]) -> bool:
    return [one.effect_number for one in before] == [one.effect_number for one in after]


def _is_excused(rival: Act, earlier: Sequence[Act], pattern: TopicPattern) -> bool:
    """Whether an act of the old ruleset took all that `rival` takes, before the act that is looked at could."""
    return any(one.covers(rival, pattern) for one in earlier)


def _restated(olds: Acts, news: Acts) -> Iterator[tuple[Act, TopicPattern, Act]]:
    """Each old act that masks whose place a new one takes with a mask that is not the same."""
    for act, pattern in olds.masking():
        before, after = olds.near(act, pattern), news.near(act, pattern)
        if _do_the_same(before, after):
            continue
        cover = next((one for one in after if one.covers(act, pattern)), None)
        if cover is not None and cover.mask != act.mask:
            yield act, pattern, cover


def _key(act: Act, pattern: TopicPattern) -> _Key:
    return pattern.text, act.at, act.part, act.path, act.condition, act.record


def _change(
    verdict: Verdict, before: Act | None, after: Act | None, place: Act, pattern: TopicPattern, *, weaker: bool
) -> Change:
    named = after or before or place
    return Change(
        verdict=verdict,
        weaker=weaker,
        topics=pattern.text,
        at=place.at,
        part=place.part,
        field=place.text,
        client=place.condition,
        some_records=bool(place.record),
        before=_mask(before, place, pattern),
        after=_mask(after, place, pattern),
        rule=named.rule.name,
    )


def _mask(act: Act | None, place: Act, pattern: TopicPattern) -> str:
    """The mask of an act, and in what the act is about something else than the change is."""
    if act is None:
        return NOTHING
    return " ".join((act.part if isinstance(act.mask, Opaque) else describe(act.mask), *_scope(act, place, pattern)))


def _scope(act: Act, place: Act, pattern: TopicPattern) -> Iterator[str]:
    if act.text != place.text:
        yield f"of {act.name}"
    topics = act.rule.topics
    if not covers_topics(topics, pattern, place.rule.topics.exclude):
        exclude = f" except {', '.join(one.text for one in topics.exclude)}" if topics.exclude else ""
        yield f"on {', '.join(one.text for one in topics.include)}{exclude}"
    if act.condition != place.condition:
        yield (
            "for all clients"
            if act.condition is None
            else "for other clients"
            if place.condition
            else "for some clients"
        )
    if act.record != place.record:
        yield "in all records" if not act.record else "in other records" if place.record else "in some records"
    if act.format != place.format:
        yield f"as {act.format}"
