"""A ruleset made ready to act: which rules touch a topic, and one compiled program for all of them.

A `Plan` is an immutable snapshot; a reload makes another one. What it remembers about topics changes no answer.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from wiremask.rules.automaton import AutomatonTooLarge, Selection
from wiremask.rules.jsonmask import JsonMasker

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence

    from wiremask.rules.masks import OnUnreadable
    from wiremask.rules.outcome import Outcome
    from wiremask.rules.rule import Direction, Rule

TOPICS_REMEMBERED = 16384
PROGRAMS_REMEMBERED = 1024


class TopicPlan:
    """What happens to the values of one topic in one direction.

    Topics that the same rules match share one TopicPlan. Threads may share it too.

    Attributes:
        rules: the rules that act, in order of precedence. An outcome counts by, and a failure names, the position here.
        at: the direction.
    """

    __slots__ = ("_masker", "at", "rules")

    def __init__(self, rules: Sequence[Rule], at: Direction, *, json_depth: int) -> None:
        """Compiles the rules.

        Raises:
            AutomatonTooLarge: the paths of these rules multiply beyond what the kernel should hold.
        """
        self.rules = tuple(rules)
        self.at = at
        selections = [
            Selection(
                path=field.path,
                mask=field.mask,
                rule=position,
                # A consumer must never be stuck at a record: at fetch nothing is rejected.
                on_unmaskable="redact" if at == "fetch" else rule.on_unmaskable,
            )
            for position, rule in enumerate(self.rules)
            for field in rule.fields
        ]
        reject = at == "produce" and any(rule.on_unreadable == "reject" for rule in self.rules)
        on_unreadable: OnUnreadable = "reject" if reject else "redact"
        self._masker = JsonMasker(
            selections, rules=len(self.rules), depth_limit=json_depth, on_unreadable=on_unreadable
        )

    def mask(self, buffer: bytes | bytearray | memoryview, values: array[int]) -> Outcome:
        """Masks a batch of values. The work is done without the interpreter's lock.

        Args:
            buffer: the bytes that hold the values; not changed.
            values: `array('i')`, two ints a value: (start, length) in `buffer`; length -1 is null.

        Returns:
            The changed values, and per value what became of it; `Failure.rule` is a position in `rules`, or -1.
        """
        return self._masker.mask(buffer, values)


class Plan:
    """A compiled ruleset.

    Attributes:
        name: of the ruleset.
        digest: SHA-256, in hex, over the names and texts of its files.
        rules: all rules, in order of precedence.
    """

    __slots__ = ("_by_direction", "_json_depth", "_lock", "_matches", "_programs", "digest", "name", "rules")

    def __init__(self, *, name: str, digest: str, rules: Sequence[Rule], json_depth: int) -> None:
        self.name = name
        self.digest = digest
        self.rules = tuple(rules)
        self._json_depth = json_depth
        self._by_direction: dict[Direction, tuple[int, ...]] = {
            "produce": tuple(number for number, rule in enumerate(self.rules) if "produce" in rule.at),
            "fetch": tuple(number for number, rule in enumerate(self.rules) if "fetch" in rule.at),
        }
        self._lock = Lock()
        # Two steps, so that what clients can make up, topic names, costs little: many names, few sets of rules.
        self._matches: dict[tuple[str, Direction], tuple[int, ...]] = {}
        self._programs: dict[tuple[Direction, tuple[int, ...]], TopicPlan] = {}

    def __repr__(self) -> str:
        return f"Plan(name={self.name!r}, digest={self.digest!r}, rules={len(self.rules)})"

    def acts_at(self, at: Direction) -> bool:
        """Whether any rule acts in this direction on whatever topic."""
        return bool(self._by_direction[at])

    def match(self, topic: str, at: Direction) -> TopicPlan | None:
        """What happens to a topic's values in one direction; None if no rule touches them.

        The first call for a topic tries every rule, and compiles unless the same rules met before; later calls are two
        look-ups. The oldest answers are forgotten beyond TOPICS_REMEMBERED and PROGRAMS_REMEMBERED.

        Raises:
            AutomatonTooLarge: rules that met first on this topic are too many or too general to compile together
                (`compile_ruleset` tries all topics that the ruleset names). The values must not pass.
        """
        matched = self._matches.get((topic, at))
        if matched is None:
            matched = tuple(number for number in self._by_direction[at] if self.rules[number].topics.matches(topic))
            self._remember_match((topic, at), matched)
        if not matched:
            return None
        program = self._programs.get((at, matched))
        return self._compile(at, matched) if program is None else program

    def _compile(self, at: Direction, matched: tuple[int, ...]) -> TopicPlan:
        program = TopicPlan([self.rules[number] for number in matched], at, json_depth=self._json_depth)
        with self._lock:
            if len(self._programs) >= PROGRAMS_REMEMBERED:
                del self._programs[next(iter(self._programs))]
            return self._programs.setdefault((at, matched), program)

    def _remember_match(self, key: tuple[str, Direction], matched: tuple[int, ...]) -> None:
        with self._lock:
            if len(self._matches) >= TOPICS_REMEMBERED:
                del self._matches[next(iter(self._matches))]
            self._matches[key] = matched


__all__ = ["AutomatonTooLarge", "Plan", "TopicPlan"]
