"""The api table: every key of Kafka 4, what the proxy does with it, and the versions that it takes.

The ranges are those of Kafka 4.3.1, without versions that are still marked unstable. A key or version that is not here
is refused, because a future api might carry records past the rules.

Source: clients/src/main/resources/common/message/*Request.json, Kafka 4.3.1; ApiVersions 5 from 4.4.0 (KIP-1242).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from wiremask.protocol.errors import UnknownApi

if TYPE_CHECKING:
    from collections.abc import Mapping


class Mode(Enum):
    """What the proxy does with the requests and responses of an api."""

    PASS = "pass"  # noqa: S105  # forwarded untouched; only the header is read
    READ = "read"  # decoded, forwarded untouched
    REWRITE = "rewrite"  # decoded, and changed where rules or addresses ask for it
    GUARD = "guard"  # the request is decoded; it may be refused for a write-once topic, once that policy exists
    REFUSE = "refuse"  # the connection is closed, as a broker does with what it does not know


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """One api.

    `flexible_from` is the first version whose request has header v2 and whose response has header v1 (KIP-482); None if
    no version does. ApiVersions alone keeps response header v0 throughout, so that an old client can read the refusal.
    """

    key: int
    name: str
    mode: Mode
    first: int
    last: int
    flexible_from: int | None
    note: str = ""

    def takes(self, version: int) -> bool:
        """Whether the proxy forwards requests of this version."""
        return self.mode is not Mode.REFUSE and self.first <= version <= self.last

    def has_flexible_request_header(self, version: int) -> bool:
        """Whether the request has header v2: a tagged section behind the client id."""
        return self.flexible_from is not None and version >= self.flexible_from

    def has_flexible_response_header(self, version: int) -> bool:
        """Whether the response has header v1: a tagged section behind the correlation id."""
        return self.key != API_VERSIONS and self.has_flexible_request_header(version)


PRODUCE: Final = 0
FETCH: Final = 1
METADATA: Final = 3
FIND_COORDINATOR: Final = 10
SASL_HANDSHAKE: Final = 17
API_VERSIONS: Final = 18
CREATE_TOPICS: Final = 19
DELETE_TOPICS: Final = 20
DELETE_RECORDS: Final = 21
ALTER_CONFIGS: Final = 33
SASL_AUTHENTICATE: Final = 36
INCREMENTAL_ALTER_CONFIGS: Final = 44
DESCRIBE_CLUSTER: Final = 60
DESCRIBE_TOPIC_PARTITIONS: Final = 75
SHARE_FETCH: Final = 78
SHARE_ACKNOWLEDGE: Final = 79

_PASS, _READ, _REWRITE, _GUARD, _REFUSE = Mode.PASS, Mode.READ, Mode.REWRITE, Mode.GUARD, Mode.REFUSE
_BETWEEN_BROKERS: Final = "between brokers"
_CONTROLLER: Final = "to controllers"
_REMOVED: Final = "removed in Kafka 4.0; was between brokers"

# key, name, mode, first and last version, first flexible version, note
_ROWS: Final[tuple[tuple[int, str, Mode, int, int, int | None, str], ...]] = (
    (0, "Produce", _REWRITE, 3, 13, 9, "records; node endpoints from 10; topic ids from 13"),
    (1, "Fetch", _REWRITE, 4, 18, 12, "records; topic ids from 13; node endpoints from 16"),
    (2, "ListOffsets", _PASS, 1, 11, 6, ""),
    (3, "Metadata", _REWRITE, 0, 13, 9, "broker addresses; topic ids from 10"),
    (4, "LeaderAndIsr", _REFUSE, 0, -1, None, _REMOVED),
    (5, "StopReplica", _REFUSE, 0, -1, None, _REMOVED),
    (6, "UpdateMetadata", _REFUSE, 0, -1, None, _REMOVED),
    (7, "ControlledShutdown", _REFUSE, 0, -1, None, _REMOVED),
    (8, "OffsetCommit", _PASS, 2, 10, 8, ""),
    (9, "OffsetFetch", _PASS, 1, 10, 6, ""),
    (10, "FindCoordinator", _REWRITE, 0, 6, 3, "broker addresses"),
    (11, "JoinGroup", _PASS, 0, 9, 6, ""),
    (12, "Heartbeat", _PASS, 0, 4, 4, ""),
    (13, "LeaveGroup", _PASS, 0, 5, 4, ""),
    (14, "SyncGroup", _PASS, 0, 5, 4, ""),
    (15, "DescribeGroups", _PASS, 0, 6, 5, ""),
    (16, "ListGroups", _PASS, 0, 5, 3, ""),
    (17, "SaslHandshake", _READ, 0, 1, None, "mechanism; version 0 is followed by bare tokens"),
    (18, "ApiVersions", _REWRITE, 0, 5, 3, "filtered by this table"),
    (19, "CreateTopics", _READ, 2, 7, 5, "topic ids"),
    (20, "DeleteTopics", _GUARD, 1, 6, 4, ""),
    (21, "DeleteRecords", _GUARD, 0, 2, 2, ""),
    (22, "InitProducerId", _PASS, 0, 5, 2, "6 is unstable (KIP-939)"),
    (23, "OffsetForLeaderEpoch", _PASS, 2, 4, 4, ""),
    (24, "AddPartitionsToTxn", _PASS, 0, 5, 3, ""),
    (25, "AddOffsetsToTxn", _PASS, 0, 4, 3, ""),
    (26, "EndTxn", _PASS, 0, 5, 3, ""),
    (27, "WriteTxnMarkers", _PASS, 1, 2, 1, "kafka-transactions abort"),
    (28, "TxnOffsetCommit", _PASS, 0, 5, 3, ""),
    (29, "DescribeAcls", _PASS, 1, 3, 2, ""),
    (30, "CreateAcls", _PASS, 1, 3, 2, ""),
    (31, "DeleteAcls", _PASS, 1, 3, 2, ""),
    (32, "DescribeConfigs", _PASS, 1, 4, 4, ""),
    (33, "AlterConfigs", _GUARD, 0, 2, 2, ""),
    (34, "AlterReplicaLogDirs", _PASS, 1, 2, 2, ""),
    (35, "DescribeLogDirs", _PASS, 1, 5, 2, ""),
    (36, "SaslAuthenticate", _READ, 0, 2, 2, "the end of a login"),
    (37, "CreatePartitions", _PASS, 0, 3, 2, ""),
    (38, "CreateDelegationToken", _PASS, 1, 3, 2, ""),
    (39, "RenewDelegationToken", _PASS, 1, 2, 2, ""),
    (40, "ExpireDelegationToken", _PASS, 1, 2, 2, ""),
    (41, "DescribeDelegationToken", _PASS, 1, 3, 2, ""),
    (42, "DeleteGroups", _PASS, 0, 2, 2, ""),
    (43, "ElectLeaders", _PASS, 0, 2, 2, ""),
    (44, "IncrementalAlterConfigs", _GUARD, 0, 1, 1, ""),
    (45, "AlterPartitionReassignments", _PASS, 0, 1, 0, ""),
    (46, "ListPartitionReassignments", _PASS, 0, 0, 0, ""),
    (47, "OffsetDelete", _PASS, 0, 0, None, ""),
    (48, "DescribeClientQuotas", _PASS, 0, 1, 1, ""),
    (49, "AlterClientQuotas", _PASS, 0, 1, 1, ""),
    (50, "DescribeUserScramCredentials", _PASS, 0, 0, 0, ""),
    (51, "AlterUserScramCredentials", _PASS, 0, 0, 0, ""),
    (52, "Vote", _REFUSE, 0, 2, 0, _CONTROLLER),
    (53, "BeginQuorumEpoch", _REFUSE, 0, 1, 1, _CONTROLLER),
    (54, "EndQuorumEpoch", _REFUSE, 0, 1, 1, _CONTROLLER),
    (55, "DescribeQuorum", _PASS, 0, 2, 0, "controller listeners, which are no brokers"),
    (56, "AlterPartition", _REFUSE, 2, 3, 0, _CONTROLLER),
    (57, "UpdateFeatures", _PASS, 0, 2, 0, ""),
    (58, "Envelope", _REFUSE, 0, 0, 0, "wraps requests of any kind; " + _CONTROLLER),
    (59, "FetchSnapshot", _REFUSE, 0, 1, 0, _CONTROLLER),
    (60, "DescribeCluster", _REWRITE, 0, 2, 0, "broker addresses"),
    (61, "DescribeProducers", _PASS, 0, 0, 0, ""),
    (62, "BrokerRegistration", _REFUSE, 0, 4, 0, _CONTROLLER),
    (63, "BrokerHeartbeat", _REFUSE, 0, 2, 0, _CONTROLLER),
    (64, "UnregisterBroker", _PASS, 0, 0, 0, ""),
    (65, "DescribeTransactions", _PASS, 0, 0, 0, ""),
    (66, "ListTransactions", _PASS, 0, 2, 0, ""),
    (67, "AllocateProducerIds", _REFUSE, 0, 0, 0, _CONTROLLER),
    (68, "ConsumerGroupHeartbeat", _PASS, 0, 1, 0, ""),
    (69, "ConsumerGroupDescribe", _PASS, 0, 1, 0, ""),
    (70, "ControllerRegistration", _REFUSE, 0, 0, 0, _CONTROLLER),
    (71, "GetTelemetrySubscriptions", _PASS, 0, 0, 0, ""),
    (72, "PushTelemetry", _PASS, 0, 0, 0, ""),
    (73, "AssignReplicasToDirs", _REFUSE, 0, 0, 0, _CONTROLLER),
    (74, "ListConfigResources", _PASS, 0, 1, 0, ""),
    (75, "DescribeTopicPartitions", _READ, 0, 0, 0, "topic ids"),
    (76, "ShareGroupHeartbeat", _PASS, 1, 1, 0, ""),
    (77, "ShareGroupDescribe", _PASS, 1, 1, 0, ""),
    (78, "ShareFetch", _REWRITE, 1, 2, 0, "records; topic ids; node endpoints"),
    (79, "ShareAcknowledge", _REWRITE, 1, 2, 0, "node endpoints"),
    (80, "AddRaftVoter", _PASS, 0, 1, 0, ""),
    (81, "RemoveRaftVoter", _PASS, 0, 0, 0, ""),
    (82, "UpdateRaftVoter", _REFUSE, 0, 0, 0, _CONTROLLER),
    (83, "InitializeShareGroupState", _REFUSE, 0, 0, 0, _BETWEEN_BROKERS),
    (84, "ReadShareGroupState", _REFUSE, 0, 0, 0, _BETWEEN_BROKERS),
    (85, "WriteShareGroupState", _REFUSE, 0, 1, 0, _BETWEEN_BROKERS),
    (86, "DeleteShareGroupState", _REFUSE, 0, 0, 0, _BETWEEN_BROKERS),
    (87, "ReadShareGroupStateSummary", _REFUSE, 0, 1, 0, _BETWEEN_BROKERS),
    (88, "StreamsGroupHeartbeat", _PASS, 0, 0, 0, "application endpoints, which are no brokers"),
    (89, "StreamsGroupDescribe", _PASS, 0, 0, 0, "application endpoints, which are no brokers"),
    (90, "DescribeShareGroupOffsets", _PASS, 0, 1, 0, ""),
    (91, "AlterShareGroupOffsets", _PASS, 0, 0, 0, ""),
    (92, "DeleteShareGroupOffsets", _PASS, 0, 0, 0, ""),
)

APIS: Final[Mapping[int, Api]] = {
    key: Api(key=key, name=name, mode=mode, first=first, last=last, flexible_from=flexible_from, note=note)
    for key, name, mode, first, last, flexible_from, note in _ROWS
}


def find(key: int, version: int) -> Api:
    """The api of a request that may be forwarded.

    Raises:
        UnknownApi: the table lacks the key, refuses it, or does not have the version.
    """
    api = APIS.get(key)
    if api is None:
        raise UnknownApi(f"api key {key} is not known (version {version})")
    if api.mode is Mode.REFUSE:
        raise UnknownApi(f"{api.name} (key {key}) is refused: {api.note}")
    if not api.takes(version):
        raise UnknownApi(f"{api.name} {version} is not known; {api.first}-{api.last} are")
    return api
