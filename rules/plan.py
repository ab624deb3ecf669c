"""A ruleset made ready to act: which rules touch a topic, and one compiled program for all of them.

A `Plan` is an immutable snapshot; a reload makes another one. What it remembers about topics and clients changes no
answer.

Rules with a condition act for some clients. Where a condition does not say (what it asks for is not known, or it cannot
be evaluated), it counts as true for the fields of its rule that mask and as false for those that exempt.
"""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Protocol, TypeVar

from wiremask.rules.errors import RulesClash
from wiremask.rules.kernel.jsonmask import OUTPUT_LIMIT_BYTES, JsonMasker
from wiremask.rules.model.condition import NOBODY, Client
from wiremask.rules.model.markers import Markers
from wiremask.rules.model.traits import acts_in_kernel, binds_topic
from wiremask.rules.observers import Observer, split
from wiremask.rules.outcome import unchanged
from wiremask.rules.records.batch import RecordsOutcome
from wiremask.rules.records.conditions import RecordTests
from wiremask.rules.records.formats import Setting
from wiremask.rules.records.parts import header_masker, key_masker, value_masker

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence

    from wiremask.rules.model.metadata import Metadata
    from wiremask.rules.model.rule import Direction, Rule
    from wiremask.rules.outcome import Outcome
    from wiremask.rules.records.batch import Records

TOPICS_REMEMBERED = 16384
DECISIONS_REMEMBERED = 16384
NAMES_REMEMBERED_CHARACTERS = 1024  # a topic's has at most 249; what a client makes longer than that is not kept
PROGRAMS_REMEMBERED = 1024

Parts = tuple[int, ...]
"""What acts, in order of precedence: the number of a rule, or, for its fields that mask alone, `~number`."""

K = TypeVar("K")
V = TypeVar("V")


class TopicPlan:
    """What happens to the records of one topic in one direction.

    Topics that the same rules match share one TopicPlan. Threads may share it too.

    Attributes:
        rules: the rules that act, in order of precedence. An outcome counts by, and a failure names, the position here.
        at: the direction.
        observers: the rules among them that only observe, ready to.
        kernel: what masks the records, if that is the JSON kernel alone: no mask is called, no other part is looked at.
        is_light: the kernel does all of it by itself, many times faster than what else there is.
        masks_headers: whether any rule looks at headers.
    """

    __slots__ = (
        "_asks_headers",
        "_headers",
        "_keeping",
        "_keys",
        "_setting",
        "_tests",
        "_values",
        "at",
        "is_light",
        "kernel",
        "masks_headers",
        "observers",
        "rules",
    )

    def __init__(
        self,
        rules: Sequence[Rule],
        at: Direction,
        *,
        json_depth: int,
        topic: str = "",
        markers: Markers | None = None,
        output_limit_bytes: int = OUTPUT_LIMIT_BYTES,
    ) -> None:
        """Compiles the rules.

        Args:
            rules: in order of precedence.
            at: the direction.
            json_depth: objects and arrays that may be open at once.
            topic: for masks that bind their outputs to it.
            markers: what stands for unreadable parts; None for the usual ones.
            output_limit_bytes: bound for what a part of one batch is masked to.

        Raises:
            RulesClash: the paths of these rules multiply beyond what the kernel should hold, or some read the value as
                text and others as JSON.
        """
        self.rules = tuple(rules)
        self.at = at
        self._setting = Setting(
            rules=len(self.rules),
            json_depth=json_depth,
            topic=topic,
            markers=markers or Markers(),
            output_limit_bytes=output_limit_bytes,
        )
        self._keeping: TopicPlan | None = None
        enforced = [rule.without_parts() if rule.observes else rule for rule in self.rules]
        self._tests = tests = RecordTests([rule for rule in enforced if rule.masks], depth_limit=json_depth)
        setting = replace(self._setting, conditions=tests.count)
        self._values = value_masker(enforced, at, setting, tests)
        self._keys = key_masker(enforced, at, setting, tests)
        self._headers = header_masker(enforced, at, setting, tests)
        # Both are asked of each batch, so they are answered once.
        self._asks_headers = any(condition.header is not None for rule in self.rules for condition in rule.record)
        self.masks_headers = self._headers is not None or self._asks_headers
        self.observers = tuple(
            Observer(rule, self._observing(enforced[:position], rule))
            for position, rule in enumerate(self.rules)
            if rule.observes
        )
        self.kernel = self._kernel()
        self.is_light = (
            not self.observers
            and self._headers is None
            and all(acts_in_kernel(mask) for rule in self.rules for mask in rule.masks)
        )

    def _kernel(self) -> JsonMasker | None:
        if self._keys is not None or self.masks_headers or self.observers or self._tests.count:
            return None
        values = self._values
        return values if isinstance(values, JsonMasker) and values.runs_alone else None

    @property
    def keeping(self) -> TopicPlan:
        """This plan for records that cannot be left out: it redacts where `omit` is said. Made when first asked for."""
        if self._keeping is None:
            rules = [
                replace(
                    rule,
                    on_unreadable="redact" if rule.on_unreadable == "omit" else rule.on_unreadable,
                    on_unmaskable="redact" if rule.on_unmaskable == "omit" else rule.on_unmaskable,
                )
                for rule in self.rules
            ]
            self._keeping = self._like(rules)
        return self._keeping

    def _observing(self, before: Sequence[Rule], rule: Rule) -> TopicPlan:
        """What an observing rule would do behind the rules before it; alone, where it cannot act with those."""
        try:
            return self._like([*before, *split(rule)])
        except RulesClash:
            return self._like(split(rule))

    def _like(self, rules: Sequence[Rule]) -> TopicPlan:
        """A plan of other rules that is like this one in all else."""
        setting = self._setting
        return TopicPlan(
            rules,
            self.at,
            json_depth=setting.json_depth,
            topic=setting.topic,
            markers=setting.markers,
            output_limit_bytes=setting.output_limit_bytes,
        )

    def mask_records(self, records: Records) -> RecordsOutcome:
        """Masks all parts of the records of a batch. The work is done without the interpreter's lock, headers aside.

        Raises:
            MaskedTooLarge: the masked parts outgrew the limit.
        """
        section = records.section
        holds = b""
        if self._tests.count:
            holds = self._tests.decide(section, records.values, records.headers if self._asks_headers else None)
        return RecordsOutcome(
            value=None if self._values is None else self._values.mask(section, records.values, holds),
            key=None if self._keys is None else self._keys.mask(section, records.keys, holds),
            headers=None if self._headers is None else self._headers.mask(section, records.headers, holds),
        )

    def mask(self, buffer: bytes | bytearray | memoryview, values: array[int]) -> Outcome:
        """Masks a batch of values alone: see mask_records.

        Args:
            buffer: the bytes that hold the values; not changed.
            values: `array('i')`, two ints a value: (start, length) in `buffer`; length -1 is null.

        Returns:
            The changed values, and per value what became of it; `Failure.rule` is a position in `rules`, or -1.
        """
        if self._values is None:
            return unchanged(len(values) // 2, rules=len(self.rules))
        return self._values.mask(buffer, values, self._tests.decide(buffer, values, None))


class ClientPlan(Protocol):
    """What a ruleset does for one client."""

    def acts_at(self, at: Direction) -> bool:
        """Whether any rule may act in this direction on whatever topic."""
        ...

    def match(self, topic: str, at: Direction) -> TopicPlan | None:
        """What happens to a topic's records in one direction; None if no rule touches them."""
        ...


class Plan:
    """A compiled ruleset. By itself it is the plan for a client of whom nothing is known.

    Attributes:
        metadata: what the ruleset says of itself.
        digest: SHA-256, in hex, over the names and texts of its files.
        rules: all rules, in order of precedence.
    """

    __slots__ = (
        "_asked",
        "_binding",
        "_by_direction",
        "_conditional",
        "_decisions",
        "_json_depth",
        "_lock",
        "_matches",
        "_output_limit_bytes",
        "_programs",
        "digest",
        "metadata",
        "rules",
    )

    def __init__(
        self,
        *,
        metadata: Metadata,
        digest: str,
        rules: Sequence[Rule],
        json_depth: int,
        output_limit_bytes: int = OUTPUT_LIMIT_BYTES,
    ) -> None:
        self.metadata = metadata
        self.digest = digest
        self.rules = tuple(rules)
        self._json_depth = json_depth
        self._output_limit_bytes = output_limit_bytes
        self._by_direction: dict[Direction, tuple[int, ...]] = {
            "produce": tuple(number for number, rule in enumerate(self.rules) if "produce" in rule.at),
            "fetch": tuple(number for number, rule in enumerate(self.rules) if "fetch" in rule.at),
        }
        self._conditional = frozenset(number for number, rule in enumerate(self.rules) if rule.client is not None)
        conditions = [rule.client for rule in self.rules if rule.client is not None]
        self._asked = frozenset(name for condition in conditions for name in condition.uses)
        self._lock = Lock()
        # In steps, so that what clients can make up, names, costs little: many names, few sets of rules.
        self._matches: dict[tuple[str, Direction], tuple[int, ...]] = {}
        self._decisions: dict[tuple[Client, str, Direction], Parts] = {}
        self._programs: dict[tuple[Direction, Parts, str], TopicPlan] = {}
        self._binding = frozenset(
            number for number, rule in enumerate(self.rules) if any(binds_topic(mask) for mask in rule.masks)
        )

    def __repr__(self) -> str:
        return f"Plan(name={self.name!r}, digest={self.digest!r}, rules={len(self.rules)})"

    @property
    def name(self) -> str:
        """The name of the ruleset."""
        return self.metadata.name

    def acts_at(self, at: Direction) -> bool:
        """Whether any rule acts in this direction on whatever topic."""
        return bool(self._by_direction[at])

    @property
    def has_conditions(self) -> bool:
        """Whether any rule asks who the client is."""
        return bool(self._conditional)

    def for_client(self, client: Client) -> ClientPlan:
        """The plan for a client; the ruleset itself where no rule has a condition."""
        if not self._conditional:
            return self
        # Clients that no condition tells apart share what is decided for one of them.
        known = Client(
            principal=client.principal if "principal" in self._asked else None,
            client_id=client.client_id if "clientId" in self._asked else None,
            listener=client.listener if "listener" in self._asked else None,
            claims=client.claims if "claims" in self._asked else None,
        )
        return _PlanForClient(self, known)

    def match(self, topic: str, at: Direction, client: Client = NOBODY) -> TopicPlan | None:
        """What happens to a topic's values in one direction; None if no rule touches them.

        The first call for a topic tries every rule, and compiles unless the same rules met before; later calls are two
        look-ups. Conditions are decided once for a client and topic. The oldest answers are forgotten beyond
        TOPICS_REMEMBERED, DECISIONS_REMEMBERED and PROGRAMS_REMEMBERED.

        Raises:
            RulesClash: rules that met first on this topic cannot be compiled together: too many, too general, of
                different formats (`compile_ruleset` tries all topics that the ruleset names). The values must not pass.
        """
        parts = self._matches.get((topic, at))
        if parts is None:
            parts = self._find(topic, at)
        if self._conditional and not self._conditional.isdisjoint(parts):
            parts = self._decide(parts, client, topic, at)
        if not parts:
            return None
        bound = self._bound(parts, topic)
        program = self._programs.get((at, parts, bound))
        return self._compile(at, parts, bound) if program is None else program

    def try_topic(self, topic: str, at: Direction) -> None:
        """Compiles what happens to a topic where every condition holds, and where none can be decided.

        Raises:
            RulesClash: the rules that meet on it cannot act together.
        """
        matched = self._find(topic, at)
        bound = self._bound(matched, topic)
        if matched and (at, matched, bound) not in self._programs:
            self._compile(at, matched, bound)
        self.match(topic, at)

    def _find(self, topic: str, at: Direction) -> tuple[int, ...]:
        """The rules for a topic, whatever their conditions."""
        matched = tuple(number for number in self._by_direction[at] if self.rules[number].topics.matches(topic))
        if len(topic) <= NAMES_REMEMBERED_CHARACTERS:
            self._remember(self._matches, (topic, at), matched, TOPICS_REMEMBERED)
        return matched

    def _decide(self, matched: tuple[int, ...], client: Client, topic: str, at: Direction) -> Parts:
        """What of the rules for a topic acts for a client."""
        parts = self._decisions.get((client, topic, at))
        if parts is None:
            every = (self._part(number, client, topic) for number in matched)
            parts = tuple(part for part in every if part is not None)
            if len(topic) + len(client.principal or "") + len(client.client_id or "") <= NAMES_REMEMBERED_CHARACTERS:
                self._remember(self._decisions, (client, topic, at), parts, DECISIONS_REMEMBERED)
        return parts

    def _part(self, number: int, client: Client, topic: str) -> int | None:
        rule = self.rules[number]
        holds = True if rule.client is None else rule.client.holds(client, topic)
        if holds is None:
            masking = rule.masking()
            return None if masking is None else number if masking.masks == rule.masks else ~number
        return number if holds else None

    def _bound(self, parts: Parts, topic: str) -> str:
        """The topic, if a mask of these rules binds its outputs to it: then topics share no program."""
        return topic if self._binding and any(max(part, ~part) in self._binding for part in parts) else ""

    def _compile(self, at: Direction, parts: Parts, topic: str) -> TopicPlan:
        program = TopicPlan(
            [self._rule(part) for part in parts],
            at,
            json_depth=self._json_depth,
            topic=topic,
            markers=self.metadata.markers,
            output_limit_bytes=self._output_limit_bytes,
        )
        return self._remember(self._programs, (at, parts, topic), program, PROGRAMS_REMEMBERED)

    def _rule(self, part: int) -> Rule:
        if part >= 0:
            return self.rules[part]
        masking = self.rules[~part].masking()
        assert masking is not None, "a part of a rule that masks nothing is none"
        return masking

    def _remember(self, answers: dict[K, V], key: K, answer: V, limit: int) -> V:
        """Keeps an answer, and gives the one that is kept."""
        with self._lock:
            if len(answers) >= limit:
                del answers[next(iter(answers))]
            return answers.setdefault(key, answer)


class _PlanForClient:
    """A ruleset with conditions, for one client."""

    __slots__ = ("_client", "_plan")

    def __init__(self, plan: Plan, client: Client) -> None:
        self._plan = plan
        self._client = client

    def acts_at(self, at: Direction) -> bool:
        return self._plan.acts_at(at)

    def match(self, topic: str, at: Direction) -> TopicPlan | None:
        return self._plan.match(topic, at, self._client)


__all__ = ["ClientPlan", "Plan", "TopicPlan"]
