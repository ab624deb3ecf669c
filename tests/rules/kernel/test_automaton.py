"""The subset construction: what each node's state says, and how large the machine gets."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.json_documents import NAMES, selections
from wiremask.rules.kernel.automaton import (
    DEAD,
    STATES_LIMIT,
    Action,
    Automaton,
    AutomatonTooLarge,
    Selection,
    State,
    build,
)
from wiremask.rules.model.casefold import fold
from wiremask.rules.model.masks import Drop, Fixed, Keep, Mask, Nullify, Partial, Redact
from wiremask.rules.model.selector import Index, Name, Path, Segment, Selector, Slice, Wildcard


def path(*steps: str | int | None, descendant: bool = False) -> Path:
    """Segments of one selector each: a name, an index, None for the wildcard."""
    return tuple(Segment((_selector(step),), descendant) for step in steps)


def _selector(step: str | int | None) -> Selector:
    return Wildcard() if step is None else Name(step) if isinstance(step, str) else Index(step)


def select(at: Path, mask: Mask, rule: int = 0) -> Selection:
    return Selection(path=at, mask=mask, rule=rule)


LENGTH = 4


def follow(machine: Automaton, *steps: str | int) -> int:
    """The number of the state at a place in a document whose arrays have LENGTH elements."""
    number = machine.start
    for step in steps:
        state = machine.states[number]
        if isinstance(step, str):
            otherwise = state.folded.get(fold(step).encode(), state.fallback)
            number = state.names.get(step.encode(), otherwise)
        elif state.picks is not None:
            groups = [any(_is_in(step, one) for one in group) for group in state.picks.slices]
            row = state.picks.by_index.get(step, state.picks.by_group)
            number = row[sum(is_in << i for i, is_in in enumerate(groups))]
        else:
            number = state.indexes.get(step, state.fallback)
    return number


def _is_in(index: int, one: Slice) -> bool:
    return index in range(LENGTH)[one.start : one.end : one.step]


def mask_at(machine: Automaton, *steps: str | int) -> Mask | None:
    action = machine.states[follow(machine, *steps)].action
    return None if action is None else machine.actions[action].mask


def test_no_selection_gives_the_dead_state_alone() -> None:
    machine = build([])

    assert machine.start == DEAD
    assert machine.states == (State(action=None, names={}, indexes={}, fallback=DEAD),)


def test_state_0_is_dead_and_stays_dead() -> None:
    machine = build([select(path("a", "b"), Redact())])

    assert machine.states[DEAD] == State(action=None, names={}, indexes={}, fallback=DEAD)
    assert follow(machine, "x") == follow(machine, 0) == follow(machine, "a", "x", "b") == DEAD


def test_follows_names_indexes_and_wildcards() -> None:
    machine = build([select(path("a", None, 1), Redact())])

    assert mask_at(machine, "a", "x", 1) == mask_at(machine, "a", 7, 1) == Redact()
    assert mask_at(machine, "a", 7, 0) is None
    assert mask_at(machine, "a", 7, "1") is None


def test_descendant_segment_matches_at_every_depth() -> None:
    machine = build([select(path("a", descendant=True), Redact())])

    assert mask_at(machine, "a") == mask_at(machine, 3, "x", "a") == Redact()
    assert mask_at(machine, 3, "x") is None


def test_descendant_segments_in_a_row_need_two_levels() -> None:
    machine = build([select(path("a", "b", descendant=True), Redact())])

    assert mask_at(machine, "a", "x", 0, "b") == mask_at(machine, "x", "a", "b") == Redact()
    assert mask_at(machine, "b", "a") is None


def test_list_of_selectors_takes_any_of_them() -> None:
    machine = build([select((Segment((Name("a"), Index(2), Name("b"))),), Redact())])

    assert mask_at(machine, "a") == mask_at(machine, "b") == mask_at(machine, 2) == Redact()
    assert mask_at(machine, 0) is None


def test_selected_container_passes_its_mask_down() -> None:
    machine = build([select(path("a"), Redact())])

    assert mask_at(machine, "a", "x", 5) == Redact()


def test_earlier_selection_wins_at_and_below_its_node() -> None:
    first, second = Redact(text="1"), Redact(text="2")
    machine = build([select(path("a", "b"), first), select(path("a"), second), select(path("a", "b", "c"), Nullify())])

    assert mask_at(machine, "a") == mask_at(machine, "a", "x") == second
    assert mask_at(machine, "a", "b") == mask_at(machine, "a", "b", "c") == first


def test_keep_ends_the_search_and_leaves_nothing_to_do() -> None:
    machine = build([select(path("a"), Keep()), select(path("c", descendant=True), Redact())])

    assert follow(machine, "a") == follow(machine, "a", "c") == DEAD
    assert mask_at(machine, "b", "c") == Redact()


def test_keep_that_no_later_selection_follows_costs_no_state() -> None:
    machine = build([select(path("a", "b", "c"), Keep())])

    assert machine.start == DEAD


def test_whole_mask_hides_earlier_selections_below_it() -> None:
    machine = build([select(path("a", "b"), Keep()), select(path("a"), Drop())])

    state = machine.states[follow(machine, "a")]

    assert state.names == {}
    assert mask_at(machine, "a") == Drop()


@pytest.mark.parametrize(
    ("mask", "whole"),
    [
        (Drop(), True),
        (Nullify(), False),
        (Nullify(whole=True), True),
        (Fixed(literal=b"1"), False),
        (Fixed(literal=b"1", whole=True), True),
        (Redact(), False),
        (Partial(), False),
    ],
    ids=repr,
)
def test_knows_the_masks_that_take_containers_whole(
    mask: Redact | Fixed | Nullify | Drop | Partial, whole: bool
) -> None:
    assert Action(mask=mask, rule=0, on_unmaskable="reject").whole is whole


def test_selections_with_one_effect_share_an_action() -> None:
    machine = build([select(path("a"), Redact()), select(path("b"), Redact()), select(path("c"), Redact(), rule=1)])

    assert len(machine.actions) == 2
    assert follow(machine, "a") == follow(machine, "b") != follow(machine, "c")


@given(selections, st.lists(st.sampled_from([*NAMES, "SSN", "É", 0, 1, 2, 3]), max_size=5))
@settings(max_examples=200, deadline=None)
def test_agrees_with_a_plain_evaluation_of_each_path(chosen: list[Selection], steps: list[str | int]) -> None:
    machine = build(chosen)

    expected: list[Selection] = []
    for depth in range(len(steps) + 1):
        found = {number for number, one in enumerate(chosen) if _matches(one.path, steps[:depth])}
        found |= {chosen.index(one) for one in expected}
        expected = _candidates([chosen[number] for number in sorted(found)])
        if expected and expected[0].when is None and _action(expected[0]).whole:
            steps = steps[:depth]
            break

    state = machine.states[follow(machine, *steps)]
    decided = [*state.maybe, *([] if state.action is None else [state.action])]
    assert _shown([machine.actions[number] for number in decided]) == _shown([_action(one) for one in expected])


def _candidates(found: list[Selection]) -> list[Selection]:
    """Those of the selections that hit that may still win: the first of each condition, up to the first without one."""
    kept: list[Selection] = []
    for one in found:
        if one.when not in {other.when for other in kept}:
            kept.append(one)
        if one.when is None:
            break
    return kept


def _shown(actions: list[Action]) -> list[Action]:
    """Without keeps at the end, which leave a node as it is in any case."""
    while actions and isinstance(actions[-1].mask, Keep):
        actions = actions[:-1]
    return actions


def _action(selection: Selection) -> Action:
    return Action(mask=selection.mask, rule=selection.rule, on_unmaskable=selection.on_unmaskable, when=selection.when)


def _matches(at: Path, steps: list[str | int]) -> bool:
    """Whether a path leads exactly to the place, tried every way."""
    if not at:
        return not steps
    if not steps:
        return False
    hit = any(
        isinstance(one, Wildcard)
        or (isinstance(one, Name) and one.name in {steps[0], one.ignore_case and fold(str(steps[0]))})
        or (isinstance(one, Index) and steps[0] in {one.index, one.index + LENGTH})
        or (isinstance(one, Slice) and isinstance(steps[0], int) and _is_in(steps[0], one))
        for one in at[0].selectors
    )
    return (hit and _matches(at[1:], steps[1:])) or (at[0].descendant and _matches(at, steps[1:]))


def test_200_descendant_names_of_200_rules_stay_small_and_quick() -> None:
    chosen = [select(path(f"name{i}", descendant=True), Redact(), rule=i) for i in range(200)]
    started = time.process_time()

    machine = build(chosen)

    assert len(machine.states) == 202
    assert time.process_time() - started < 2


def test_200_descendant_names_of_one_rule_need_three_states() -> None:
    machine = build([select(path(f"name{i}", descendant=True), Redact()) for i in range(200)])

    assert len(machine.states) == 3


def test_slices_of_many_fields_at_one_place_share_a_group_if_they_are_the_same() -> None:
    machine = build([select((Segment((Slice(-2, None),)), *path(f"a{i}")), Redact(text=str(i))) for i in range(20)])

    assert mask_at(machine, LENGTH - 1, "a7") == Redact(text="7")


def test_too_many_different_slices_at_one_place_are_refused() -> None:
    with pytest.raises(AutomatonTooLarge, match="more than 8 fields have slices"):
        build([select((Segment((Slice(i, None),)), *path(f"a{i}")), Redact()) for i in range(1, 10)])


def test_paths_that_multiply_are_refused_with_a_reason() -> None:
    explosive = Segment((Name("a"),), descendant=True), *path(*[None] * 20)

    with pytest.raises(AutomatonTooLarge, match=rf"1 fields make more than {STATES_LIMIT} states"):
        build([select(explosive, Redact())])


@pytest.mark.parametrize(
    ("at", "mask", "message"),
    [
        ((), Drop(), "root value cannot be dropped"),
        (path(-(1 << 31)), Redact(), "index"),
        ((Segment((Slice(0, 1, 0),)),), Redact(), "step"),
        (path(1 << 63), Redact(), "index"),
        (path("\udc00"), Redact(), "surrogate"),
    ],
    ids=["drop at the root", "index far from the end", "step of 0", "huge index", "surrogate in a name"],
)
def test_refuses_what_no_document_can_meet(at: Path, mask: Mask, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build([select(at, mask)])
