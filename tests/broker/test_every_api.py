"""Every api and version that a broker offers is answered through the proxy as it is directly."""

from __future__ import annotations

import re
from typing import Any

import pytest

from support import broker_schemas
from support.capture import RawClient
from support.kafka import KafkaCluster
from support.proxy import ProxyProcess
from support.requests import plain_frame
from support.wait import eventually
from wiremask.protocol.api import APIS, Api, Mode
from wiremask.protocol.encode import encode_struct
from wiremask.protocol.schema import parse

pytestmark = pytest.mark.broker

LEFT_OUT = {"ApiVersions", "GetTelemetrySubscriptions", "PushTelemetry"}
"""The answer to the first is to differ, and has its own tests; the others a broker offers with a plugin only."""

SERVED = [api for api in APIS.values() if api.mode is not Mode.REFUSE and api.name not in LEFT_OUT]

ANY = 1
PATIENCE = {14, 15, 51}
"""The coordinator is not there yet, or busy."""

NEEDED: dict[str, dict[str, Any]] = {
    "Produce": {"Acks": -1},
    "SaslHandshake": {"Mechanism": "PLAIN"},
    # To nothing at all a broker gives no answer.
    "AddPartitionsToTxn": {
        "Transactions": [
            {"TransactionalId": "none", "VerifyOnly": True, "Topics": [{"Name": "none", "Partitions": [0]}]}
        ]
    },
    "DescribeAcls": {"ResourceTypeFilter": ANY, "Operation": ANY, "PermissionType": ANY},
    # With nothing in it, it would ask every partition for an election.
    "ElectLeaders": {"TopicPartitions": []},
}
"""What a request needs, beside the defaults of its fields, to be answered."""

OF_THE_CLOCK = re.compile(r"ThrottleTimeMs|Epoch|MemberId|ProducerId|ClusterId|IncarnationId|Timestamp|Ms$|Size|Bytes")
"""Fields that two answers of one broker may differ in."""


@pytest.mark.parametrize("api", SERVED, ids=[api.name for api in SERVED])
def test_an_empty_request_of_every_version_is_answered_as_by_the_broker(
    api: Api, masking_proxy: ProxyProcess, kafka: KafkaCluster
) -> None:
    last = min(api.last, _offered(kafka.bootstrap)[api.key][1])

    for version in range(api.first, last + 1):

        def is_the_same(version: int = version) -> bool:
            through, direct = (_answer(one, api, version) for one in (masking_proxy.bootstrap, kafka.bootstrap))
            assert direct is not None, "the broker closed the connection"
            assert through == direct
            return True

        # What earlier tests left behind, such as a member that is given up, may change between two questions.
        eventually(is_the_same, what=f"{api.name} {version} answered alike")


def _offered(bootstrap: str) -> dict[int, tuple[int, int]]:
    with RawClient(bootstrap) as client:
        told = broker_schemas.decode("response", 18, 3, client.ask(plain_frame(18, 3, b"\2a\2b\0", flexible=True)))
    return {offer["ApiKey"]: (offer["MinVersion"], offer["MaxVersion"]) for offer in told["ApiKeys"]}


def _answer(bootstrap: str, api: Api, version: int) -> Any:
    """What is told, without what the clock decides and without addresses; None if the connection is closed instead."""
    schema = parse(broker_schemas.text("request", api.key))
    body = encode_struct(
        schema.fields, version, NEEDED.get(api.name, {}), flexible=api.has_flexible_request_header(version)
    )
    frame = plain_frame(api.key, version, body, flexible=api.has_flexible_request_header(version))

    def told() -> list[Any]:
        with RawClient(bootstrap) as client:
            client.send(frame)
            answer = client.read()
        found = None if answer is None else broker_schemas.decode("response", api.key, version, answer)
        return [] if PATIENCE.intersection(broker_schemas.error_codes(found)) else [_lasting(found)]

    (answer,) = eventually(told, what=f"an answer to {api.name} {version}")
    return answer


def _lasting(body: Any) -> Any:
    if isinstance(body, dict):
        return {
            name: _lasting(value)
            for name, value in body.items()
            if name not in {"Host", "Port"} and not OF_THE_CLOCK.search(name)
        }
    return [_lasting(item) for item in body] if isinstance(body, list) else body
