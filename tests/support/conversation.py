"""What a client and a broker said to each other, in a form in which two runs of the same work can be compared.

Two relays record a run: one where the client bootstraps, one where it is told that the only broker is. Both runs, the direct
one and the one through a proxy, have this shape, so that a client that tells a bootstrap address from a broker's does so in both.

Some of a run depends on the clock, with or without a proxy, and is left out of the comparison or weakened in it:

- how often something is asked: fetches, heartbeats, metadata, commits. Compared is *what* is asked, and in which order the apis
  are asked for the first time on a connection;
- Metadata, FindCoordinator and Heartbeat are asked at any moment, over whichever connection is free, so they have no place in
  an order. Of two apis that came in either order in one of the runs, the order means nothing;
- answers that ask for patience (`PATIENCE`): a group that is rebalancing, a transaction whose end is still being written.
"""

from __future__ import annotations

import contextlib
import struct
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support import broker_schemas
from support.capture import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PRODUCE, FETCH, API_VERSIONS = 0, 1, 18

UNORDERED = frozenset({"Metadata", "FindCoordinator", "Heartbeat", "ConsumerGroupHeartbeat", "ShareGroupHeartbeat"})
PATIENCE = frozenset({14, 15, 27, 51})
"""COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, REBALANCE_IN_PROGRESS, CONCURRENT_TRANSACTIONS."""

Asked = tuple[str, int]
"""An api and a version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request and its answer; `at` is `bootstrap` or `broker`, the bodies are decoded by Kafka's schemas."""

    at: str
    connection: int
    asked: Asked
    request: dict[str, Any]
    response: dict[str, Any]


class Conversation:
    """All exchanges of one run."""

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        self.exchanges = exchanges

    def asked(self) -> set[Asked]:
        """Every api and version that the client used."""
        return {exchange.asked for exchange in self.exchanges}

    def places(self) -> set[tuple[str, Asked]]:
        """Where each api was asked: of the bootstrap address or of the broker."""
        return {(exchange.at, exchange.asked) for exchange in self.exchanges if exchange.asked[0] not in UNORDERED}

    def errors(self) -> dict[str, set[int]]:
        """The error codes that the answers of each api had, by its name."""
        found: dict[str, set[int]] = defaultdict(set)
        for exchange in self.exchanges:
            found[exchange.asked[0]] |= set(broker_schemas.error_codes(exchange.response)) - PATIENCE - {0}
        return dict(found)

    def order(self) -> set[tuple[Asked, Asked]]:
        """Pairs of apis of which the first was asked before the second, at first, on some connection."""
        pairs: set[tuple[Asked, Asked]] = set()
        connections: dict[tuple[str, int], dict[Asked, None]] = defaultdict(dict)
        for exchange in self.exchanges:
            if exchange.asked[0] not in UNORDERED:
                connections[exchange.at, exchange.connection].setdefault(exchange.asked)
        for first_asked in connections.values():
            names = list(first_asked)
            pairs |= {(before, after) for place, before in enumerate(names) for after in names[place + 1 :]}
        return pairs

    def offers(self) -> list[dict[str, Any]]:
        """The distinct ApiVersions answers, in order of appearance, without the epoch of the features: it counts time."""
        found: list[dict[str, Any]] = []
        for exchange in self.exchanges:
            if exchange.asked[0] == "ApiVersions":
                offer = {name: value for name, value in exchange.response.items() if name != "FinalizedFeaturesEpoch"}
                if offer not in found:
                    found.append(offer)
        return found

    def most_partitions(self, api: str) -> int:
        """The most partitions that one Produce or Fetch request had."""
        lists = {"Produce": ("TopicData", "PartitionData"), "Fetch": ("Topics", "Partitions")}
        topics, partitions = lists[api]
        return max(
            sum(len(topic[partitions]) for topic in exchange.request[topics])
            for exchange in self.exchanges
            if exchange.asked[0] == api
        )


def differences(direct: Conversation, through: Conversation) -> dict[str, list[Any]]:
    """In what two runs differ, by name; empty if nobody can tell."""
    both_ways = {pair for order in (direct.order(), through.order()) for pair in order if (pair[1], pair[0]) in order}
    either = both_ways | {(after, before) for before, after in both_ways}
    found: dict[str, set[Any]] = {
        "asked": direct.asked() ^ through.asked(),
        "places": direct.places() ^ through.places(),
        "order": (direct.order() - either) ^ (through.order() - either),
    }
    told = {name: sorted(difference) for name, difference in found.items() if difference}
    if direct.errors() != through.errors():
        told["errors"] = [direct.errors(), through.errors()]
    return told


class Recorder:
    """Relays in front of a broker or proxy, while the block lasts."""

    def __init__(self, *, bootstrap: Relay, broker: Relay) -> None:
        self._relays = {"bootstrap": bootstrap, "broker": broker}
        self.bootstrap = bootstrap.bootstrap
        self.broker = broker.bootstrap

    def conversation(self) -> Conversation:
        """What was said so far."""
        return Conversation([exchange for at, relay in self._relays.items() for exchange in _exchanges(at, relay)])


@contextlib.contextmanager
def recording(*, bootstrap: tuple[int, int], broker: tuple[int, int]) -> Iterator[Recorder]:
    """Records what passes from the first port of each pair to the second."""
    with (
        Relay(listen=bootstrap[0], target=bootstrap[1]) as first,
        Relay(listen=broker[0], target=broker[1]) as second,
    ):
        yield Recorder(bootstrap=first, broker=second)


def _exchanges(at: str, relay: Relay) -> Iterator[Exchange]:
    """Pairs the frames of each connection by their correlation id. An answer that never came is no exchange."""
    waiting: dict[tuple[int, int], Any] = {}
    for frame in relay.frames:
        (correlation_id,) = struct.unpack_from(">i", frame.data, 8 if frame.direction == "request" else 4)
        if frame.direction == "request":
            waiting[frame.connection, correlation_id] = frame
            continue
        asked = waiting.pop((frame.connection, correlation_id))
        yield Exchange(
            at=at,
            connection=frame.connection,
            asked=(broker_schemas.api_name(asked.api_key), asked.version),
            request=_request(asked),
            response=broker_schemas.decode("response", asked.api_key, asked.version, frame.data[4:]),
        )


def _request(frame: Any) -> dict[str, Any]:
    """Decoded, except for ApiVersions: a client may open with a version that the broker does not know yet."""
    if frame.api_key == API_VERSIONS:
        return {}
    return broker_schemas.decode("request", frame.api_key, frame.version, frame.data[4:])
