"""The paths of all selections as one automaton that a walker follows down a document.

Every path is a small nondeterministic machine: position k of path i means "the first k segments led here".
The subset construction turns all of them into one deterministic machine at load, so that a walker does one
look-up per member or element however many rules there are.

Precedence is settled here too. A state carries the decision that is in force at its node: the earliest
selection that selects the node or a node above it. Positions of later selections can no longer win below
that node, so they are dropped from the state; this is also what keeps the machine small.

Some selections act only where something holds that a walker finds out for each value (`Selection.when`). They
decide nothing by themselves: the state carries them in order, before the selection that decides if none of them
acts, and the walker takes the first that does.

Source: RFC 9535 section 2.3 (selectors) and 2.5 (child and descendant segments).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from wiremask.rules.errors import RulesClash
from wiremask.rules.model.casefold import fold
from wiremask.rules.model.masks import Drop, Fixed, Keep, Mask, Nullify, OneOf, OnUnmaskable, Search
from wiremask.rules.model.selector import Index, Name, Path, Slice, Wildcard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wiremask.rules.detect.detectors import Detector

STATES_LIMIT = 4096
TRANSITIONS_LIMIT = 1 << 18
SLICES_LIMIT = 8
DEAD = 0


class AutomatonTooLarge(RulesClash):
    """The paths multiply into more states or transitions than a walker should hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """One field of one rule. Selections stand in order of precedence: the earlier one wins.

    Attributes:
        rule: index of the rule that the field belongs to, for counts and failures.
        on_unmaskable: what to do with a leaf of a type that the mask does not take.
        when: number of the condition that must hold of the value; None for a selection that always acts.
        detect: what is masked in the leaves that the path selects; () for the leaves themselves. `detection.weave`
            makes selections without it.
    """

    path: Path
    mask: Mask | OneOf | Search
    rule: int
    on_unmaskable: OnUnmaskable = "reject"
    when: int | None = None
    detect: tuple[Detector, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What is done to a node: selections that differ only in their path share one."""

    mask: Mask | OneOf | Search
    rule: int
    on_unmaskable: OnUnmaskable
    when: int | None = None

    @property
    def whole(self) -> bool:
        """Whether an object or array is taken as one, without a look at what is in it."""
        match self.mask:
            case Drop():
                return True
            case Fixed(whole=whole) | Nullify(whole=whole):
                return whole
            case _:
                return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Picks:
    """Where the elements of an array lead if slices select some of them.

    Attributes:
        slices: groups; an element is in a group if any slice of the group selects it.
        by_group: 2 ** len(slices) states; bit i of the index is set if the element is in group i.
        by_index: the same for the elements at these positions.
    """

    slices: tuple[tuple[Slice, ...], ...]
    by_group: tuple[int, ...]
    by_index: Mapping[int, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is known at a node of the document.

    Attributes:
        action: index of the action for the node if it is a leaf, or if the action is whole; None for none.
        names: state of a member by its name in UTF-8, where it differs from that by `folded`, or from `fallback`.
        indexes: state of an element by its position, where it differs from `fallback`. Empty if there are `picks`.
        fallback: state of every other child.
        maybe: indexes of actions with conditions; the first whose condition holds is done instead of `action`.
        folded: state of a member by its name in UTF-8, folded, where it differs from `fallback`.
        picks: state of an element, where slices decide it.
    """

    action: int | None
    names: Mapping[bytes, int]
    indexes: Mapping[int, int]
    fallback: int
    maybe: tuple[int, ...] = ()
    folded: Mapping[bytes, int] = field(default_factory=dict)
    picks: Picks | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Automaton:
    """The machine. State 0 is dead: nothing at or below its node is selected."""

    states: tuple[State, ...]
    actions: tuple[Action, ...]
    start: int


def build(selections: Sequence[Selection]) -> Automaton:
    """Makes the automaton of some selections.

    Raises:
        AutomatonTooLarge: the paths multiply into too many states.
        ValueError: a selection cannot be carried out on any document.
    """
    return _Construction(selections).run()


@dataclass(frozen=True, slots=True)
class _Decision:
    """What is in force at a node.

    Attributes:
        maybe: runs of selections with conditions, by the number of the first of each run, in order.
        action: what is done if none of them acts; None for nothing.
    """

    maybe: tuple[int, ...] = ()
    action: int | None = None


class _Construction:
    """Subset construction over sets of positions, each set the bits of one int.

    Bit `first[i] + k` is position k of path i, so "positions of selections before i" is all bits below
    `first[i]`, and the earliest selection in a set is its lowest bit.
    """

    def __init__(self, selections: Sequence[Selection]) -> None:
        self._paths = [selection.path for selection in selections]
        self._when = [selection.when for selection in selections]
        self._first: list[int] = []
        self._owner: list[int] = []
        self._finals = 0
        actions: dict[Action, int] = {}
        self._action_of: list[int | None] = []
        self._run_of: list[int] = []
        for number, selection in enumerate(selections):
            _check(selection)
            self._first.append(len(self._owner))
            self._owner += [number] * (len(selection.path) + 1)
            self._finals |= 1 << (len(self._owner) - 1)
            if isinstance(selection.mask, Keep) and selection.when is None:
                self._action_of.append(None)
            else:
                action = Action(
                    mask=selection.mask,
                    rule=selection.rule,
                    on_unmaskable=selection.on_unmaskable,
                    when=selection.when,
                )
                self._action_of.append(actions.setdefault(action, len(actions)))
        for _, run in groupby(range(len(selections)), key=lambda number: (self._when[number], self._action_of[number])):
            numbers = list(run)
            self._run_of += [numbers[0]] * len(numbers)
        self._actions = tuple(actions)
        self._rivals = self._find_rivals()
        self._numbers: dict[tuple[int, _Decision], int] = {(0, _Decision()): DEAD}
        self._queue: list[tuple[int, _Decision]] = [(0, _Decision())]

    def run(self) -> Automaton:
        start = self._settle(sum(1 << first for first in self._first), _Decision())
        states: list[State] = []
        transitions = 0
        while len(states) < len(self._queue):
            state = self._expand(*self._queue[len(states)])
            states.append(state)
            transitions += len(state.names) + len(state.indexes) + len(state.folded)
            if state.picks is not None:
                transitions += len(state.picks.by_group) * (1 + len(state.picks.by_index))
            if len(self._queue) > STATES_LIMIT or transitions > TRANSITIONS_LIMIT:
                raise AutomatonTooLarge(
                    f"the paths of {len(self._paths)} fields make more than {STATES_LIMIT} states or "
                    f"{TRANSITIONS_LIMIT} transitions together; use fewer descendant segments ('..') or wildcards"
                )
        return Automaton(states=tuple(states), actions=self._actions, start=start)

    def _find_rivals(self) -> list[int]:
        """For each selection with a condition, the positions of later ones with the same: they never win below it."""
        rivals = [0] * len(self._paths)
        later: dict[int, int] = {}
        for number in range(len(self._paths) - 1, -1, -1):
            when = self._when[number]
            if when is not None:
                rivals[number] = later.get(when, 0)
                own = (1 << (len(self._paths[number]) + 1)) - 1
                later[when] = rivals[number] | own << self._first[number]
        return rivals

    def _settle(self, positions: int, decision: _Decision) -> int:
        """Gives the number of the state for a node reached at `positions` below a node with `decision`."""
        hits = positions & self._finals
        while hits:
            bit = hits & -hits
            winner = self._owner[bit.bit_length() - 1]
            if self._when[winner] is None:
                before = tuple(run for run in decision.maybe if run < winner)
                decision = _Decision(before, self._action_of[winner])
                positions &= (1 << self._first[winner]) - 1
                break
            decision = _Decision(self._add(decision.maybe, winner), decision.action)
            positions &= ~(self._rivals[winner] | bit)
            hits &= positions
        if not decision.maybe and decision.action is not None and self._actions[decision.action].whole:
            positions = 0
        while positions:
            # The last selection still alive may say only what is in force anyway; then it changes nothing.
            last = self._owner[positions.bit_length() - 1]
            if self._matters(last, decision):
                break
            positions &= (1 << self._first[last]) - 1
        if not positions:
            decision = self._trim(decision)
        key = (positions, decision)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._queue)
            self._queue.append(key)
        return number

    def _add(self, maybe: tuple[int, ...], winner: int) -> tuple[int, ...]:
        """The runs with that of `winner`, which takes the place of a later one with the same condition."""
        when = self._when[winner]
        return tuple(sorted({run for run in maybe if self._when[run] != when} | {self._run_of[winner]}))

    def _matters(self, selection: int, decision: _Decision) -> bool:
        """Whether a hit of a selection, the last one alive, would change what is in force."""
        if self._when[selection] is not None:
            return self._run_of[selection] not in decision.maybe
        return self._action_of[selection] != decision.action or any(run > selection for run in decision.maybe)

    def _trim(self, decision: _Decision) -> _Decision:
        """Without what leaves a node as it is and stands last, where nothing else can be hit any more."""
        maybe = decision.maybe
        while maybe and decision.action is None and self._is_keep(maybe[-1]):
            maybe = maybe[:-1]
        return _Decision(maybe, decision.action)

    def _is_keep(self, run: int) -> bool:
        action = self._action_of[run]
        return action is not None and isinstance(self._actions[action].mask, Keep)

    def _expand(self, positions: int, decision: _Decision) -> State:
        """Follows every child that the live segments name, and the one that they do not."""
        anywhere = 0
        by_name: dict[str, int] = {}
        by_folded: dict[str, int] = {}
        by_index: dict[int, int] = {}
        by_slice: dict[int, list[Slice]] = {}
        rest = positions
        while rest:
            bit = rest & -rest
            rest ^= bit
            at = bit.bit_length() - 1
            owner = self._owner[at]
            segment = self._paths[owner][at - self._first[owner]]
            if segment.descendant:
                anywhere |= bit
            for selector in segment.selectors:
                match selector:
                    case Name(name, ignore_case=True):
                        by_folded[name] = by_folded.get(name, 0) | bit << 1
                    case Name(name):
                        by_name[name] = by_name.get(name, 0) | bit << 1
                    case Index(index) if index >= 0:
                        by_index[index] = by_index.get(index, 0) | bit << 1
                    case Index(index):
                        by_slice.setdefault(bit << 1, []).append(Slice(index, index + 1 or None))
                    case Slice():
                        by_slice.setdefault(bit << 1, []).append(selector)
                    case Wildcard():
                        anywhere |= bit << 1
        fallback = self._settle(anywhere, decision)
        folded = {name: self._settle(anywhere | more, decision) for name, more in by_folded.items()}
        names = {
            name: self._settle(anywhere | more | by_folded.get(fold(name), 0), decision)
            for name, more in by_name.items()
        }
        picks = self._pick(anywhere, by_index, by_slice, decision) if by_slice else None
        indexes = {} if picks else {i: self._settle(anywhere | more, decision) for i, more in by_index.items()}
        return State(
            action=decision.action,
            maybe=tuple(action for run in decision.maybe if (action := self._action_of[run]) is not None),
            names={
                name.encode(): target for name, target in names.items() if target != folded.get(fold(name), fallback)
            },
            folded={name.encode(): target for name, target in folded.items() if target != fallback},
            indexes={index: target for index, target in indexes.items() if target != fallback},
            fallback=fallback,
            picks=picks,
        )

    def _pick(
        self, anywhere: int, by_index: dict[int, int], by_slice: dict[int, list[Slice]], decision: _Decision
    ) -> Picks:
        """Follows every element that slices may select, in whatever combination."""
        groups: dict[frozenset[Slice], int] = {}
        for more, slices in by_slice.items():
            groups[frozenset(slices)] = groups.get(frozenset(slices), 0) | more
        if len(groups) > SLICES_LIMIT:
            raise AutomatonTooLarge(
                f"more than {SLICES_LIMIT} fields have slices or indexes from the end at one place; join them in lists"
            )
        sums = [0]
        for more in groups.values():
            sums += [total | more for total in sums]
        return Picks(
            slices=tuple(map(tuple, groups)),
            by_group=tuple(self._settle(anywhere | total, decision) for total in sums),
            by_index={
                index: tuple(self._settle(anywhere | at | total, decision) for total in sums)
                for index, at in by_index.items()
            },
        )


def _check(selection: Selection) -> None:
    """Refuses what the language refuses earlier, and with a position."""
    if not selection.path and isinstance(selection.mask, Drop):
        raise ValueError("the root value cannot be dropped; use nullify with whole")
    for segment in selection.path:
        for selector in segment.selectors:
            match selector:
                case Index(index) if not -1 << 31 < index < 1 << 63:
                    raise ValueError("an index must fit 63 bits; from the end, 31")
                case Slice(step=0):
                    raise ValueError("a step must not be 0")
                case Name(name) if any("\ud800" <= char <= "\udfff" for char in name):
                    raise ValueError("a name holds half a surrogate pair, which no valid document does")
                case _:
                    pass
