"""Masking without a proxy: the same rules on the same bytes, called from Python.

    import wiremask

    masking = wiremask.load("rules/")
    masked = masking.mask("payments.eu", "produce", None, b'{"ssn":"123-45-6789"}', [])
    masked.value  # b'{"ssn":"[redacted]"}'

For tests of rules, for batch jobs over files of records, and for clients that cannot go through the proxy. What comes
back is what a broker would store (`produce`) or what a consumer would read (`fetch`), to the last byte. A value that
the proxy would refuse raises `MaskingRefused`; there is no way to get it unmasked.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wiremask.proxy.loading import load_rules
from wiremask.rules import Client, RulesClash
from wiremask.rules.outcome import MaskedTooLarge
from wiremask.rules.records.batch import RecordsOutcome
from wiremask.rules.records.onerecord import OneRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wiremask.rules import Plan
    from wiremask.rules.model.rule import Direction
    from wiremask.rules.records.onerecord import Headers

__all__ = ["Masked", "Masking", "MaskingRefused", "load"]

JSON_DEPTH = 64


class MaskingRefused(Exception):
    """A record that the rules do not let pass.

    Attributes:
        rule: the name of the rule that refused; None where a part could not be read at all.
        reason: why, without any part of the record.
    """

    def __init__(self, *, rule: str | None, reason: str) -> None:
        super().__init__(f"{reason} (rule {rule})" if rule else reason)
        self.rule = rule
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """A record as the other side would get it. Its `repr` shows none of it."""

    key: bytes | None = field(repr=False)
    value: bytes | None = field(repr=False)
    headers: Headers = field(repr=False)


class Masking:
    """A loaded ruleset. It never changes, and threads may share it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def __repr__(self) -> str:
        return f"Masking(name={self.name!r}, digest={self.digest!r})"

    @property
    def name(self) -> str:
        """The name of the ruleset."""
        return self._plan.name

    @property
    def digest(self) -> str:
        """SHA-256 of the rule files: the name under which logs and `/readyz` know this ruleset."""
        return self._plan.digest

    def mask(
        self,
        topic: str,
        direction: Direction,
        key: bytes | None,
        value: bytes | bytearray | memoryview | None,
        headers: Iterable[tuple[str, bytes | None]] = (),
        *,
        principal: str | None = None,
        client_id: str | None = None,
    ) -> Masked:
        """Masks one record.

        Args:
            topic: the topic that the record is written to or read from.
            direction: `produce` or `fetch`.
            key: the record's key, or None.
            value: the record's value; None is a tombstone and stays one.
            headers: the record's headers, in order.
            principal: who writes or reads, as the broker knows it (`User:name`), for rules with `when.client`. What is
                not given is not known: such rules then mask, and exempt nobody. A listener is never known here.
            client_id: what the client calls itself, likewise.

        Raises:
            MaskingRefused: a part of the record cannot be read or masked and the rules say to reject or omit it.
            ValueError: there is no such direction.
            TypeError: value or key is neither bytes nor None.
        """
        if direction not in {"produce", "fetch"}:
            raise ValueError('direction is "produce" or "fetch"')
        for part in (key, value):
            if part is not None and not isinstance(part, bytes | bytearray | memoryview):
                raise TypeError("key and value are bytes, or None")
        rules = self._plan.for_client(Client(principal=principal, client_id=client_id))
        try:
            plan = rules.match(topic, direction)
            record = OneRecord.of(key=key, value=value, headers=headers)
            outcome = plan.mask_records(record) if plan is not None else RecordsOutcome()
        except (RulesClash, MaskedTooLarge) as error:
            raise MaskingRefused(rule=None, reason=str(error)) from None
        for name, failure in outcome.failures:
            rule = plan.rules[failure.rule].name if plan is not None and failure.rule >= 0 else None
            where = "" if name == "value" else f"{name} "
            raise MaskingRefused(rule=rule, reason=f"{where}{failure.reason}: {failure.detail}")
        return Masked(
            key=record.masked_key(outcome),
            value=record.masked_value(outcome),
            headers=record.masked_headers(outcome),
        )


def load(path: str | os.PathLike[str], *, env: Mapping[str, str] = os.environ, json_depth: int = JSON_DEPTH) -> Masking:
    """Loads the rules at `path`, a file or a directory, with their keys, and runs their tests.

    Args:
        path: as `rules.path` of the proxy.
        env: where keys that are given as `env` are looked up.
        json_depth: as `limits.jsonDepth` of the proxy; a value nested deeper is unreadable.

    Raises:
        wiremask.RuleSetInvalid: its text has one line for each fault, `file:line:column: what, and what to write`.
    """
    return Masking(load_rules(Path(path), env=env, json_depth=json_depth))
