"""Streams groups (KIP-1071): the broker assigns tasks through the proxy, and the hosts of applications stay what they are."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from support import broker_schemas
from support.capture import RawClient
from support.kafka import KafkaCluster
from support.proxy import ProxyProcess
from support.requests import plain_frame
from support.wait import eventually
from wiremask.protocol.encode import encode, encode_struct
from wiremask.protocol.schema import parse

pytestmark = pytest.mark.broker

FIND_COORDINATOR, HEARTBEAT = 10, 88
LEAVING = -1
COORDINATOR_LOADS = 14
PARTITIONS = 4
HERE = {"Host": "application.example", "Port": 8080}


class Member:
    """The only member of a streams group, whose application copies one topic and can be asked at `HERE`."""

    def __init__(self, client: RawClient, topic: str) -> None:
        self._client, self._topic = client, topic
        self._id = str(uuid.uuid4())
        self._epoch = 0
        self.tasks: list[int] = []
        self.endpoints: list[dict[str, Any]] = []
        self.told: list[str] = []
        """The distinct answers that did not ask for patience, in order, without the names that only this member has."""

    def beat(self, *, epoch: int | None = None) -> int:
        """One heartbeat; gives the error code, and keeps what the broker assigned and told."""
        joining = {
            "RebalanceTimeoutMs": 10_000,
            "Topology": {"Epoch": 0, "Subtopologies": [{"SubtopologyId": "0", "SourceTopics": [self._topic]}]},
            "ProcessId": self._id,
            "UserEndpoint": HERE,
            "ClientTags": [],
            **{kind: [] for kind in ("ActiveTasks", "StandbyTasks", "WarmupTasks")},
        }
        owned = {"ActiveTasks": [{"SubtopologyId": "0", "Partitions": self.tasks}] if self.tasks else []}
        told = self._ask(
            {
                "GroupId": self._topic,
                "MemberId": self._id,
                "MemberEpoch": self._epoch if epoch is None else epoch,
                **(joining if self._epoch == 0 else {**owned, "StandbyTasks": [], "WarmupTasks": []}),
            }
        )
        self._epoch = told["MemberEpoch"]
        text = json.dumps(told).replace(self._id, "member").replace(self._topic, "topic")
        if told["ErrorCode"] != COORDINATOR_LOADS and text not in self.told:
            self.told.append(text)
        for task in told["ActiveTasks"] or ():
            self.tasks = sorted(task["Partitions"])
        self.endpoints = [
            told_of["UserEndpoint"] for told_of in told["PartitionsByUserEndpoint"] or ()
        ] or self.endpoints
        code: int = told["ErrorCode"]
        return code

    def _ask(self, values: dict[str, Any]) -> dict[str, Any]:
        body = encode_struct(parse(broker_schemas.text("request", HEARTBEAT)).fields, 0, values, flexible=True)
        answer = self._client.ask(plain_frame(HEARTBEAT, 0, body, flexible=True))
        return broker_schemas.decode("response", HEARTBEAT, 0, answer)


def work(bootstrap: str, topic: str) -> Member:
    """The life of an application: it joins, gets its tasks, and leaves."""
    with RawClient(bootstrap) as client:
        member = Member(client, topic)
        # The first question for a coordinator makes the topic of groups.
        asked = encode("FindCoordinatorRequest", 4, {"CoordinatorKeys": [topic]})
        client.ask(plain_frame(FIND_COORDINATOR, 4, asked, flexible=True))

        def is_assigned() -> bool:
            assert member.beat() == 0
            return len(member.tasks) == PARTITIONS and bool(member.endpoints)

        eventually(is_assigned, step_s=0.3, what="all tasks of the application")
        assert member.beat(epoch=LEAVING) == 0
    return member


def test_a_streams_application_gets_its_tasks_and_its_own_address(
    plain_proxy: ProxyProcess, make_topic: Callable[..., str]
) -> None:
    member = work(plain_proxy.bootstrap, make_topic("streamed", partitions=PARTITIONS))

    assert member.tasks == list(range(PARTITIONS))
    assert member.endpoints == [HERE]


def test_a_streams_application_is_told_the_same_as_directly(
    plain_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: Callable[..., str]
) -> None:
    direct, through = (
        work(bootstrap, make_topic("streamed", partitions=PARTITIONS)).told
        for bootstrap in (kafka.bootstrap, plain_proxy.bootstrap)
    )

    assert len(direct) > 2
    assert through == direct
