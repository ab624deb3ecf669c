"""Requests that go on as they came, once read to the last byte; brokers are lenient about what stands behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wiremask.protocol import api as apis
from wiremask.protocol.messages.cluster import DescribeClusterRequest
from wiremask.protocol.messages.coordinator import FindCoordinatorRequest
from wiremask.protocol.messages.guarded import (
    AlterConfigsRequest,
    DeleteRecordsRequest,
    DeleteTopicsRequest,
    IncrementalAlterConfigsRequest,
)
from wiremask.protocol.messages.metadata import MetadataRequest
from wiremask.protocol.messages.share import ShareAcknowledgeRequest
from wiremask.protocol.messages.topic import CreateTopicsRequest, DescribeTopicPartitionsRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wiremask.protocol.view import Message

CHECKED: Final[Mapping[int, type[Message]]] = {
    apis.METADATA: MetadataRequest,
    apis.FIND_COORDINATOR: FindCoordinatorRequest,
    apis.CREATE_TOPICS: CreateTopicsRequest,
    apis.DELETE_TOPICS: DeleteTopicsRequest,
    apis.DELETE_RECORDS: DeleteRecordsRequest,
    apis.ALTER_CONFIGS: AlterConfigsRequest,
    apis.INCREMENTAL_ALTER_CONFIGS: IncrementalAlterConfigsRequest,
    apis.DESCRIBE_CLUSTER: DescribeClusterRequest,
    apis.DESCRIBE_TOPIC_PARTITIONS: DescribeTopicPartitionsRequest,
    apis.SHARE_ACKNOWLEDGE: ShareAcknowledgeRequest,
}
