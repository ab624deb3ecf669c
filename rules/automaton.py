"""The paths of all selections as one automaton that a walker follows down a document.

Every path is a small nondeterministic machine: position k of path i means "the first k segments led here".
The subset construction turns all of them into one deterministic machine at load, so that a walker does one
look-up per member or element however many rules there are.

Precedence is settled here too. A state carries the decision that is in force at its node: the earliest
selection that selects the node or a node above it. Positions of later selections can no longer win below
that node, so they are dropped from the state; this is also what keeps the machine small.

Source: RFC 9535 section 2.3 (selectors) and 2.5 (child and descendant segments).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wiremask.rules.errors import RulesClash
from wiremask.rules.masks import Drop, Fixed, Keep, Mask, Nullify, OnUnmaskable
from wiremask.rules.selector import Index, Name, Path, Wildcard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STATES_LIMIT = 4096
TRANSITIONS_LIMIT = 1 << 18
DEAD = 0


class AutomatonTooLarge(RulesClash):
    """The paths multiply into more states or transitions than a walker should hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """One field of one rule. Selections stand in order of precedence: the earlier one wins.

    Attributes:
        rule: index of the rule that the field belongs to, for counts and failures.
        on_unmaskable: what to do with a leaf of a type that the mask does not take.
    """

    path: Path
    mask: Mask
    rule: int
    on_unmaskable: OnUnmaskable = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What is done to a node: selections that differ only in their path share one."""

    mask: Mask
    rule: int
    on_unmaskable: OnUnmaskable

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
class State:
    """What is known at a node of the document.

    Attributes:
        action: index of the action for the node if it is a leaf, or if the action is whole; None for none.
        names: state of a member by its name in UTF-8, where it differs from `fallback`.
        indexes: state of an element by its position, where it differs from `fallback`.
        fallback: state of every other child.
    """

    action: int | None
    names: Mapping[bytes, int]
    indexes: Mapping[int, int]
    fallback: int


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


class _Construction:
    """Subset construction over sets of positions, each set the bits of one int.

    Bit `first[i] + k` is position k of path i, so "positions of selections before i" is all bits below
    `first[i]`, and the earliest selection in a set is its lowest bit.
    """

    def __init__(self, selections: Sequence[Selection]) -> None:
        self._paths = [selection.path for selection in selections]
        self._first: list[int] = []
        self._owner: list[int] = []
        self._finals = 0
        actions: dict[Action, int] = {}
        self._action_of: list[int | None] = []
        for number, selection in enumerate(selections):
            _check(selection)
            self._first.append(len(self._owner))
            self._owner += [number] * (len(selection.path) + 1)
            self._finals |= 1 << (len(self._owner) - 1)
            if isinstance(selection.mask, Keep):
                self._action_of.append(None)
            else:
                action = Action(mask=selection.mask, rule=selection.rule, on_unmaskable=selection.on_unmaskable)
                self._action_of.append(actions.setdefault(action, len(actions)))
        self._actions = tuple(actions)
        self._numbers: dict[tuple[int, int | None], int] = {(0, None): DEAD}
        self._queue: list[tuple[int, int | None]] = [(0, None)]

    def run(self) -> Automaton:
        start = self._settle(sum(1 << first for first in self._first), None)
        states: list[State] = []
        transitions = 0
        while len(states) < len(self._queue):
            state = self._expand(*self._queue[len(states)])
            states.append(state)
            transitions += len(state.names) + len(state.indexes)
            if len(self._queue) > STATES_LIMIT or transitions > TRANSITIONS_LIMIT:
                raise AutomatonTooLarge(
                    f"the paths of {len(self._paths)} fields make more than {STATES_LIMIT} states or "
                    f"{TRANSITIONS_LIMIT} transitions together; use fewer descendant segments ('..') or wildcards"
                )
        return Automaton(states=tuple(states), actions=self._actions, start=start)

    def _settle(self, positions: int, decision: int | None) -> int:
        """Gives the number of the state for a node reached at `positions` below a node with `decision`."""
        hits = positions & self._finals
        if hits:
            winner = self._owner[(hits & -hits).bit_length() - 1]
            decision = self._action_of[winner]
            positions &= (1 << self._first[winner]) - 1
        if decision is not None and self._actions[decision].whole:
            positions = 0
        while positions:
            # The last selection still alive may say only what is in force anyway; then it changes nothing.
            last = self._owner[positions.bit_length() - 1]
            if self._action_of[last] != decision:
                break
            positions &= (1 << self._first[last]) - 1
        key = (positions, decision)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._queue)
            self._queue.append(key)
        return number

    def _expand(self, positions: int, decision: int | None) -> State:
        """Follows every child that the live segments name, and the one that they do not."""
        anywhere = 0
        by_name: dict[str, int] = {}
        by_index: dict[int, int] = {}
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
                    case Name(name):
                        by_name[name] = by_name.get(name, 0) | bit << 1
                    case Index(index):
                        by_index[index] = by_index.get(index, 0) | bit << 1
                    case Wildcard():
                        anywhere |= bit << 1
        fallback = self._settle(anywhere, decision)
        names = {name.encode(): self._settle(anywhere | more, decision) for name, more in by_name.items()}
        indexes = {index: self._settle(anywhere | more, decision) for index, more in by_index.items()}
        return State(
            action=decision,
            names={name: target for name, target in names.items() if target != fallback},
            indexes={index: target for index, target in indexes.items() if target != fallback},
            fallback=fallback,
        )


def _check(selection: Selection) -> None:
    """Refuses what the language refuses earlier, and with a position."""
    if not selection.path and isinstance(selection.mask, Drop):
        raise ValueError("the root value cannot be dropped; use nullify with whole")
    for segment in selection.path:
        for selector in segment.selectors:
            match selector:
                case Index(index) if not 0 <= index < 1 << 63:
                    raise ValueError("an index must be 0 or more, and fit 63 bits")
                case Name(name) if any("\ud800" <= char <= "\udfff" for char in name):
                    raise ValueError("a name holds half a surrogate pair, which no valid document does")
                case _:
                    pass
