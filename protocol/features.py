"""Features of a cluster that clients act on, and the apis that they act with.

ApiVersions tells apis and features together (KIP-584). A client that sees a feature finalised uses the apis that belong
to it; where the proxy takes those out of the answer, the feature has to go with them, or the client starts what it
cannot finish (a producer of KIP-890 without Produce 12, for one). So a feature is told up to the highest level of which
all apis are left, and no higher than the levels that are known here, since those of the future may need apis that are
not. What the broker itself does not offer is its own affair and changes nothing.

    feature              level   needs
    transaction.version  2       Produce 12, EndTxn 5, TxnOffsetCommit 5 (KIP-890); 1 is between brokers
    group.version        1       ConsumerGroupHeartbeat 0, ConsumerGroupDescribe 0 (KIP-848)
    share.version        1       ShareGroupHeartbeat 1, ShareGroupDescribe 1, ShareFetch 1, ShareAcknowledge 1 (KIP-932)
    streams.version      1       StreamsGroupHeartbeat 0, StreamsGroupDescribe 0 (KIP-1071)

`metadata.version`, `kraft.version` and `eligible.leader.replicas.version` are between servers: clients only show them,
so they pass at any level. A feature that is not known at all is left out.

Source: Feature, TransactionVersion, GroupVersion, ShareVersion, StreamsVersion (Kafka 4.3); TransactionManager.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ANY_LEVEL: Final = 0x7FFF

_PRODUCE, _END_TXN, _TXN_OFFSET_COMMIT = 0, 26, 28
_CONSUMER_GROUP_HEARTBEAT, _CONSUMER_GROUP_DESCRIBE = 68, 69
_SHARE_GROUP_HEARTBEAT, _SHARE_GROUP_DESCRIBE, _SHARE_FETCH, _SHARE_ACKNOWLEDGE = 76, 77, 78, 79
_STREAMS_GROUP_HEARTBEAT, _STREAMS_GROUP_DESCRIBE = 88, 89

BETWEEN_SERVERS: Final = frozenset({"metadata.version", "kraft.version", "eligible.leader.replicas.version"})

# feature -> for each level from 1 on, the (api key, version) that it needs
LEVELS: Final[Mapping[str, tuple[tuple[tuple[int, int], ...], ...]]] = {
    "transaction.version": ((), ((_PRODUCE, 12), (_END_TXN, 5), (_TXN_OFFSET_COMMIT, 5))),
    "group.version": (((_CONSUMER_GROUP_HEARTBEAT, 0), (_CONSUMER_GROUP_DESCRIBE, 0)),),
    "share.version": (
        ((_SHARE_GROUP_HEARTBEAT, 1), (_SHARE_GROUP_DESCRIBE, 1), (_SHARE_FETCH, 1), (_SHARE_ACKNOWLEDGE, 1)),
    ),
    "streams.version": (((_STREAMS_GROUP_HEARTBEAT, 0), (_STREAMS_GROUP_DESCRIBE, 0)),),
}


def highest_level(feature: str, offered: Mapping[int, int], kept: Mapping[int, int]) -> int:
    """The highest level of a feature that a client may be told of; 0 is none.

    Args:
        feature: its name.
        offered: what the broker offers: api key -> last version.
        kept: what of that the client is told.
    """
    if feature in BETWEEN_SERVERS:
        return ANY_LEVEL
    level = 0
    for needs in LEVELS.get(feature, ()):
        if any(offered.get(key, -1) >= version > kept.get(key, -1) for key, version in needs):
            break
        level += 1
    return level
