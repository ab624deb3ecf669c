"""SASL passes through: the broker sees the client's own login, and the proxy keeps nothing of it."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from support.capture import RawClient
from support.clients import Client, Login
from support.customers import KEY_ENV, MASKING_RULES, is_masked, messages
from support.kafka import PASSWORD, USER, KafkaCluster
from support.proxy import ProxyProcess, assert_absent
from support.requests import plain_frame

pytestmark = pytest.mark.broker

MakeTopic = Callable[..., str]
StartProxy = Callable[..., ProxyProcess]

LOGIN = Login(user=USER, password=PASSWORD)


async def test_clients_log_in_at_the_broker_and_are_masked(
    client: Client, start_proxy: StartProxy, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    proxy = start_proxy(rules=MASKING_RULES, env=KEY_ENV, upstream=kafka.sasl_bootstrap)
    topic = make_topic("stored")

    async with client.producer(proxy.bootstrap, login=LOGIN) as producer:
        await producer.send(topic, messages(10))
    received = await client.consume(proxy.bootstrap, topic, 10, login=LOGIN)

    assert [is_masked(message.value or b"", number) for number, message in enumerate(received)] == [True] * 10
    assert_absent(proxy.everything(), [PASSWORD])


@pytest.mark.parametrize(("password", "expected"), [(PASSWORD, 0), ("a-wrong-password", 58)], ids=["right", "wrong"])
def test_the_broker_decides_who_may_log_in(
    password: str, expected: int, start_proxy: StartProxy, kafka: KafkaCluster
) -> None:
    proxy = start_proxy(upstream=kafka.sasl_bootstrap)
    token = f"\0{USER}\0{password}".encode()

    with RawClient(proxy.bootstrap) as client, RawClient(kafka.sasl_bootstrap) as direct:
        handshake = plain_frame(17, 1, struct.pack(">h", 5) + b"PLAIN")
        authenticate = plain_frame(36, 1, struct.pack(">i", len(token)) + token)
        through = [client.ask(handshake), client.ask(authenticate)]
        expected_answers = [direct.ask(handshake), direct.ask(authenticate)]

    assert through == expected_answers
    assert through[1][4:6] == struct.pack(">h", expected)
    assert_absent(proxy.everything(), [password])
