"""What a broker says to the steps of a transaction that come too early is what a client hears through the proxy.

librdkafka (2.16) may end a transactional producer for good: a transaction that begins at once after a commit is told
CONCURRENT_TRANSACTIONS; if it is aborted before a record was delivered, librdkafka ends what the broker never began, and takes
INVALID_TXN_STATE for fatal. That happens directly on a broker as well; here its steps, in an order that the clock does not change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support import broker_schemas
from support.capture import RawClient
from support.kafka import KafkaCluster
from support.proxy import ProxyProcess
from support.requests import plain_frame
from support.wait import eventually
from wiremask.protocol.api import APIS
from wiremask.protocol.encode import encode

pytestmark = pytest.mark.broker

FIND_COORDINATOR, INIT_PRODUCER_ID, ADD_PARTITIONS, END = 10, 22, 24, 26
OF_TRANSACTIONS = 1
INVALID_TXN_STATE = 48
PATIENCE = {14, 15, 16, 51}
"""The coordinator is not there yet, or still writes the end of the last transaction."""


class Transactions:
    """The transactional producer of one id, request by request, as librdkafka asks."""

    def __init__(self, client: RawClient, name: str) -> None:
        self._client = client
        self._name = name
        # The first question for a coordinator makes the topic of transactions.
        self._ask(FIND_COORDINATOR, 4, {"KeyType": OF_TRANSACTIONS, "CoordinatorKeys": [name]})
        told = self._ask(INIT_PRODUCER_ID, 4, {"TransactionalId": name, "TransactionTimeoutMs": 60_000})
        self._who = told["ProducerId"], told["ProducerEpoch"]

    def add(self, topic: str) -> int:
        """Adds partition 0 of a topic, which begins a transaction; gives the error code."""
        number, epoch = self._who
        told = self._ask(
            ADD_PARTITIONS,
            0,
            {
                "V3AndBelowTransactionalId": self._name,
                "V3AndBelowProducerId": number,
                "V3AndBelowProducerEpoch": epoch,
                "V3AndBelowTopics": [{"Name": topic, "Partitions": [0]}],
            },
        )
        (answer,) = told["ResultsByTopicV3AndBelow"]
        code: int = answer["ResultsByPartition"][0]["PartitionErrorCode"]
        return code

    def end(self, *, commit: bool) -> int:
        """Ends the transaction; gives the error code."""
        number, epoch = self._who
        asked = {"TransactionalId": self._name, "ProducerId": number, "ProducerEpoch": epoch, "Committed": commit}
        code: int = self._ask(END, 1, asked)["ErrorCode"]
        return code

    def _ask(self, key: int, version: int, values: dict[str, Any]) -> dict[str, Any]:
        """Asks until the broker does not ask for patience."""
        api = APIS[key]
        body = encode(f"{api.name}Request", version, values)
        frame = plain_frame(key, version, body, flexible=api.has_flexible_request_header(version))

        def answered() -> dict[str, Any] | None:
            told = broker_schemas.decode("response", key, version, self._client.ask(frame))
            return None if PATIENCE.intersection(broker_schemas.error_codes(told)) else told

        return eventually(answered, what=f"an answer to {api.name}") or {}


def test_a_transaction_that_was_never_begun_is_ended_with_the_same_error_as_on_a_broker(
    masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: Callable[..., str]
) -> None:
    topic = make_topic("stored")

    def told(bootstrap: str, name: str) -> list[int]:
        with RawClient(bootstrap) as client:
            transactions = Transactions(client, name)
            begun = transactions.add(topic)
            return [begun, transactions.end(commit=True), transactions.end(commit=False), transactions.add(topic)]

    direct, through = told(kafka.bootstrap, f"{topic}-direct"), told(masking_proxy.bootstrap, f"{topic}-through")

    assert direct == [0, 0, INVALID_TXN_STATE, 0]
    assert through == direct
