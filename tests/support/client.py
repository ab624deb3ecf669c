"""What an end-to-end test asks of a client library, so that each test is written once."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CONSUME_S = 45.0
PRODUCE_S = 45.0
LARGEST_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One record, as it is sent or as it was received; a field that a test does not care for is left out."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int | None = None
    partition: int = 0
    offset: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How a client logs in, and with `ca` under TLS, to listeners whose certificates that authority has signed."""

    user: str
    password: str
    mechanism: str = "PLAIN"
    ca: Path | None = None

    @property
    def protocol(self) -> str:
        """Kafka's name for it."""
        return "SASL_PLAINTEXT" if self.ca is None else "SASL_SSL"


class ProduceRefused(Exception):
    """The client library reported an error for a record; `code` is Kafka's, -1 when it gave none."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class Producer(Protocol):
    """A running producer."""

    async def send(self, topic: str, messages: Sequence[Message]) -> list[int]:
        """Sends all at once and waits for all; gives their offsets.

        Raises:
            ProduceRefused: the first error among them.
        """
        ...


class Member(Protocol):
    """A member of a consumer group that reads, and commits what it read, for as long as it is open."""

    received: list[Message]

    @property
    def assigned(self) -> frozenset[int]:
        """The partitions that it owns now."""
        ...


class Client(Protocol):
    """One client library."""

    name: str
    invalid_record: int
    """The code that it reports for INVALID_RECORD."""

    def producer(
        self,
        bootstrap: str,
        *,
        acks: int | str = "all",
        codec: str = "none",
        idempotent: bool = False,
        login: Login | None = None,
        linger_ms: int = 5,
        batch_bytes: int | None = None,
    ) -> contextlib.AbstractAsyncContextManager[Producer]:
        """A producer, until the block ends.

        Args:
            acks: 0, 1 or "all".
            login: user and password of SASL PLAIN.
            batch_bytes: how large a batch becomes, before compression, if records come fast; the library's own by default.
        """
        ...

    async def consume(
        self,
        bootstrap: str,
        topic: str,
        count: int,
        *,
        group: str | None = None,
        login: Login | None = None,
        fetch_bytes: int = LARGEST_BYTES,
        timeout_s: float = CONSUME_S,
    ) -> list[Message]:
        """The first `count` committed messages of a topic; with a group, those after its commit, and they are committed.

        Raises:
            AssertionError: fewer came in time; the text says how many.
        """
        ...

    def member(
        self, bootstrap: str, topic: str, group: str, *, protocol: str = "classic"
    ) -> contextlib.AbstractAsyncContextManager[Member]:
        """A member of a group, running until the block ends; `protocol` is `classic` or `consumer` (KIP-848).

        What it read when a commit fails, it or another member may read again.
        """
        ...
