"""What a client and a broker said to each other, in a form in which two runs of the same work can be compared.

Two relays record a run: one where the client bootstraps, one where it is told that the only broker is. Both runs, the direct
one and the one through a proxy, have this shape, so that a client that tells a bootstrap address from a broker's does so in both.

Compared are the apis and versions that were asked for and where, every error code of their answers, the order in which they
were asked for the first time on a connection, and the sequence of all requests of the run with the codes of their answers.

Some of a run depends on the clock, with or without a proxy. Two tables say what, and why: `CLOCKED` are apis that are asked for at
any moment and as often as it takes, so they have no place in the sequence; `TIMED` are codes that ask for patience, after which the
same is asked once more. Beyond these:

- requests in a row for one api are one entry of the sequence: how many batches some records become depends on the clock. So are
  those for JoinGroup and SyncGroup: how many rounds a group needs depends on who comes first;
- of two apis that came in either order on the connections of one of the runs, the order on connections means nothing;
- a request that got no answer counts as one, and as unanswered if its api is not `CLOCKED`.
"""

from __future__ import annotations

import contextlib
import itertools
import struct
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support import broker_schemas
from support.capture import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PRODUCE, FETCH, API_VERSIONS = 0, 1, 18

CLOCKED = {
    "ApiVersions": "asked on each connection, and how many there are depends on when the older ones were closed",
    "Metadata": "asked when it grows old, and until a topic that was just made is known",
    "FindCoordinator": "asked by each part of a client that has not heard of it yet, and until there is a coordinator",
    "Heartbeat": "asked every 300 ms",
    "ConsumerGroupHeartbeat": "asked as often as the broker says",
    "ShareGroupHeartbeat": "asked as often as the broker says",
    "Fetch": "asked until what there is has come, and once more at the end, often without an answer before the client leaves",
    "ShareFetch": "asked until what there is has come; it also carries acknowledgements that are ready by then",
    "ListOffsets": "asked for as many partitions at once as are known to be assigned by then",
    "OffsetFetch": "asked for as many partitions at once as are known to be assigned by then",
}
"""Apis whose requests the clock counts, and why."""

_UNORDERED = {"InitProducerId", *CLOCKED} - {"ApiVersions", "Fetch", "ShareFetch", "ListOffsets", "OffsetFetch"}
"""Those that come over whichever connection is free, so that they have no order on one either. An idempotent producer asks any
broker for its id, the least busy one, and that may be the connection to the bootstrap address."""

_OF_GROUPS = ("JoinGroup", "SyncGroup", "OffsetFetch", "OffsetCommit")
_OF_TRANSACTIONS = ("InitProducerId", "AddPartitionsToTxn", "AddOffsetsToTxn", "TxnOffsetCommit", "EndTxn", "Produce")
_BY_THE_BROKER = ("ConsumerGroupHeartbeat", "ShareGroupHeartbeat")

# code -> (apis, why)
TIMED: dict[int, tuple[tuple[str, ...], str]] = {
    3: (
        ("Metadata",),
        "UNKNOWN_TOPIC_OR_PARTITION: the broker has not heard yet of a topic that was just made",
    ),
    5: (
        ("Metadata",),
        "LEADER_NOT_AVAILABLE: nor of the leader of one",
    ),
    14: (
        (*_OF_GROUPS, *_BY_THE_BROKER, "InitProducerId"),
        "COORDINATOR_LOAD_IN_PROGRESS: the broker has just become coordinator of this group or transactional id",
    ),
    15: (
        ("FindCoordinator", *_BY_THE_BROKER),
        "COORDINATOR_NOT_AVAILABLE: the first to ask has the topic of all groups or transactions made",
    ),
    27: (
        ("Heartbeat", *_OF_GROUPS),
        "REBALANCE_IN_PROGRESS: another member came or left since",
    ),
    51: (
        _OF_TRANSACTIONS,
        "CONCURRENT_TRANSACTIONS: the end of the transaction before is still being written",
    ),
}
"""Codes after which a client asks the same once more, by the apis that have them."""

_ROUND = {"JoinGroup": "a group's round", "SyncGroup": "a group's round"}

Asked = tuple[str, int]
"""An api and a version."""

Codes = frozenset[int] | None
"""The error codes of an answer; None if none came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request and its answer; the bodies are decoded by Kafka's schemas.

    Attributes:
        at: `bootstrap` or `broker`.
        response: None if the connection ended first.
        asked_ns: when the request passed.
    """

    at: str
    connection: int
    asked: Asked
    request: dict[str, Any]
    response: dict[str, Any] | None
    asked_ns: int = 0

    @property
    def codes(self) -> Codes:
        """The error codes of the answer that do not depend on the clock; None if there was none."""
        if self.response is None:
            return None
        timed = {code for code, (apis, _) in TIMED.items() if self.asked[0] in apis}
        return frozenset(broker_schemas.error_codes(self.response)) - timed - {0}

    @property
    def is_put_off(self) -> bool:
        """Whether the answer asks for patience and nothing else."""
        return self.response is not None and not self.codes and any(broker_schemas.error_codes(self.response))


class Conversation:
    """All exchanges of one run."""

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        self.exchanges = exchanges

    def asked(self) -> set[Asked]:
        """Every api and version that the client used."""
        return {exchange.asked for exchange in self.exchanges}

    def places(self) -> set[tuple[str, Asked]]:
        """Where each api was asked: of the bootstrap address or of the broker."""
        return {(exchange.at, exchange.asked) for exchange in self.exchanges if exchange.asked[0] not in _UNORDERED}

    def answers(self) -> set[tuple[Asked, Codes]]:
        """How each api was answered, at some time or other."""
        return {
            (exchange.asked, exchange.codes)
            for exchange in self.exchanges
            if not (exchange.asked[0] in CLOCKED and exchange.response is None)
        }

    def sequence(self) -> list[set[tuple[Asked, Codes]]]:
        """All that was asked in the order of time, with the codes of the answers, save for what the clock decides."""
        steady = [one for one in self.exchanges if one.asked[0] not in CLOCKED and not one.is_put_off]
        in_time = sorted(steady, key=lambda exchange: exchange.asked_ns)
        return [
            {(exchange.asked, exchange.codes) for exchange in run}
            for _, run in itertools.groupby(in_time, key=lambda one: _ROUND.get(one.asked[0], one.asked[0]))
        ]

    def order(self) -> set[tuple[Asked, Asked]]:
        """Pairs of apis of which the first was asked before the second, at first, on some connection."""
        pairs: set[tuple[Asked, Asked]] = set()
        connections: dict[tuple[str, int], dict[Asked, None]] = defaultdict(dict)
        for exchange in self.exchanges:
            if exchange.asked[0] not in _UNORDERED:
                connections[exchange.at, exchange.connection].setdefault(exchange.asked)
        for first_asked in connections.values():
            names = list(first_asked)
            pairs |= {(before, after) for place, before in enumerate(names) for after in names[place + 1 :]}
        return pairs

    def offers(self) -> list[dict[str, Any]]:
        """The distinct ApiVersions answers, in order of appearance, without the epoch of the features: it counts time."""
        found: list[dict[str, Any]] = []
        for exchange in self.exchanges:
            if exchange.asked[0] == "ApiVersions" and exchange.response is not None:
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
        "answers": direct.answers() ^ through.answers(),
    }
    told = {name: sorted(difference, key=str) for name, difference in found.items() if difference}
    if direct.sequence() != through.sequence():
        told["sequence"] = [direct.sequence(), through.sequence()]
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
    """Pairs the frames of each connection by their correlation id."""
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
            asked_ns=asked.seen_ns,
        )
    for (connection, _), asked in waiting.items():
        yield Exchange(
            at=at,
            connection=connection,
            asked=(broker_schemas.api_name(asked.api_key), asked.version),
            request=_request(asked),
            response=None,
            asked_ns=asked.seen_ns,
        )


def _request(frame: Any) -> dict[str, Any]:
    """Decoded, except for ApiVersions: a client may open with a version that the broker does not know yet."""
    if frame.api_key == API_VERSIONS:
        return {}
    return broker_schemas.decode("request", frame.api_key, frame.version, frame.data[4:])
