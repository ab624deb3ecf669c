"""Who reads decides what is seen: principals that a real broker has accepted, by every mechanism that clients use."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import Callable
from typing import Any

import confluent_kafka
import pytest
from aiokafka import AIOKafkaConsumer

from support import broker_schemas
from support.batches import read_batches
from support.capture import RawClient
from support.clients import AioKafka, Message
from support.kafka import LOGIN_S, OTHER_USER, PASSWORD, USER, KafkaCluster
from support.login import AioTokens, access_token, bare, handshake_frame, plain, scram_last
from support.proxy import ProxyProcess, assert_absent
from support.requests import ask_fetch, plain_frame
from support.rulefolder import rule, ruleset
from support.secure import log_in, tell
from support.wait import eventually

pytestmark = pytest.mark.broker

MakeTopic = Callable[..., str]
StartProxy = Callable[..., ProxyProcess]
Read = Callable[[str, str, str, str], Any]

CLEAR, MASKED = b'{"ssn":"123-45-6789"}', b'{"ssn":"[redacted]"}'
RULES = ruleset(
    rule("exempt", "read-*", {"$.ssn": "keep"}, at=["fetch"], when={"client": f'principal == "User:{USER}"'}),
    rule("ssn", "read-*", {"$.ssn": "redact"}, at=["fetch"]),
)
AUTHENTICATE, CREATE_DELEGATION_TOKEN = 36, 38
MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]


async def read_with_aiokafka(bootstrap: str, topic: str, mechanism: str, user: str) -> bytes | None:
    options: dict[str, Any] = {"sasl_plain_username": user, "sasl_plain_password": PASSWORD}
    if mechanism == "OAUTHBEARER":
        options = {"sasl_oauth_token_provider": AioTokens(access_token(user))}
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism=mechanism,
        **options,
    )
    try:
        async with asyncio.timeout(30):
            await consumer.start()
            value: bytes | None = (await consumer.getone()).value
            return value
    finally:
        await consumer.stop()


def confluent_consumer(bootstrap: str, mechanism: str, user: str) -> confluent_kafka.Consumer:
    options: dict[str, Any] = {"sasl.username": user, "sasl.password": PASSWORD}
    if mechanism == "OAUTHBEARER":
        options = {"enable.sasl.oauthbearer.unsecure.jwt": True, "sasl.oauthbearer.config": f"principal={user}"}
    return confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "none",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": mechanism,
            "fetch.wait.max.ms": 100,
            "log_level": 0,
            **options,
        }
    )


def poll(consumer: confluent_kafka.Consumer, *, timeout_s: float = 30) -> Any:
    message = consumer.poll(timeout_s)
    assert message is not None
    assert message.error() is None, message.error()
    return message.value()


async def read_with_confluent(bootstrap: str, topic: str, mechanism: str, user: str) -> bytes | None:
    consumer = confluent_consumer(bootstrap, mechanism, user)
    try:
        consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
        value: bytes | None = await asyncio.to_thread(poll, consumer)
        return value
    finally:
        await asyncio.to_thread(consumer.close)


async def store(kafka: KafkaCluster, topic: str, count: int = 1) -> None:
    async with AioKafka().producer(kafka.bootstrap) as producer:
        await producer.send(topic, [Message(value=CLEAR)] * count)


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("read", [read_with_aiokafka, read_with_confluent], ids=["aiokafka", "confluent"])
async def test_two_principals_read_the_same_record_differently(
    read: Read, mechanism: str, start_proxy: StartProxy, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    for user in (USER, OTHER_USER):
        kafka.add_scram_user(user, PASSWORD)
    proxy = start_proxy(rules=RULES, upstream=kafka.sasl_bootstrap)
    topic = make_topic("read")
    await store(kafka, topic)

    seen = [await read(proxy.bootstrap, topic, mechanism, user) for user in (USER, OTHER_USER)]

    assert seen == [CLEAR, MASKED]
    logged_in = {line["principal"] for line in proxy.logs() if line["event"] == "logged in"}
    assert logged_in == {f"User:{USER}", f"User:{OTHER_USER}"}
    assert_absent(proxy.everything(), [PASSWORD])


@pytest.mark.parametrize(("user", "expected"), [(USER, CLEAR), (OTHER_USER, MASKED)])
async def test_reads_bare_tokens_after_handshake_0(
    user: str, expected: bytes, start_proxy: StartProxy, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    proxy = start_proxy(rules=RULES, upstream=kafka.sasl_bootstrap)
    topic = make_topic("read")
    await store(kafka, topic)

    with RawClient(proxy.bootstrap) as client, RawClient(proxy.bootstrap) as wrong:
        for one in (client, wrong):
            one.ask(handshake_frame("PLAIN", 0))
        accepted = client.ask(bare(plain(user, PASSWORD)))
        (batch,) = read_batches(ask_fetch(client, topic).records)
        wrong.send(bare(plain(user, "a-wrong-password")))
        refused = wrong.read()

    assert accepted == b""
    assert batch.records[0].value == expected
    assert refused is None


async def test_reads_a_scram_login_in_bare_tokens(
    start_proxy: StartProxy, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    for user in (USER, OTHER_USER):
        kafka.add_scram_user(user, PASSWORD)
    proxy = start_proxy(rules=RULES, upstream=kafka.sasl_bootstrap)
    topic = make_topic("read")
    await store(kafka, topic)

    seen = {}
    for user in (USER, OTHER_USER):
        with RawClient(proxy.bootstrap) as client:
            client.ask(handshake_frame("SCRAM-SHA-256", 0))
            first = f"n={user},r=of-the-client"
            challenge = client.ask(bare(b"n,," + first.encode())).decode()
            verified = client.ask(bare(scram_last(first, challenge, PASSWORD)))
            (batch,) = read_batches(ask_fetch(client, topic).records)
            seen[user] = verified[:2], batch.records[0].value

    assert seen == {USER: (b"v=", CLEAR), OTHER_USER: (b"v=", MASKED)}


async def test_without_a_login_a_reader_is_anonymous(
    start_proxy: StartProxy, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("read")
    await store(kafka, topic)
    proxies = [start_proxy(rules=text) for text in (RULES, RULES.replace(f"User:{USER}", "User:ANONYMOUS"))]

    read = [await AioKafka().consume(proxy.bootstrap, topic, 1) for proxy in proxies]

    assert [message.value for (message,) in read] == [MASKED, CLEAR]


async def test_a_reader_that_logs_in_again_stays_who_it_is(
    start_proxy: StartProxy, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    kafka.add_scram_user(USER, PASSWORD)
    proxy = start_proxy(rules=RULES, upstream=kafka.sasl_bootstrap)
    topic = make_topic("read")
    consumer = confluent_consumer(proxy.bootstrap, "SCRAM-SHA-512", USER)

    def logins_of_one_session() -> int:
        sessions = [line["session"] for line in proxy.logs() if line["event"] == "logged in"]
        return max(map(sessions.count, sessions), default=0)

    def seen_again(values: list[Any]) -> bool:
        asyncio.run(store(kafka, topic))
        values.append(poll(consumer))
        return logins_of_one_session() >= 3

    seen: list[Any] = []
    try:
        consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
        await asyncio.to_thread(eventually, lambda: seen_again(seen), timeout_s=8 * LOGIN_S, step_s=0.2)
    finally:
        await asyncio.to_thread(consumer.close)

    assert set(seen) == {CLEAR}
    assert {line["principal"] for line in proxy.logs() if line["event"] == "logged in"} == {f"User:{USER}"}


async def test_whoever_logs_in_by_a_delegation_token_of_an_exempt_user_is_masked(
    start_proxy: StartProxy, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    proxy = start_proxy(rules=RULES, upstream=kafka.sasl_bootstrap)
    topic = make_topic("read")
    await store(kafka, topic)

    def is_known(first: str) -> bool:
        with RawClient(kafka.sasl_bootstrap) as client:
            return bool(log_in(client, "SCRAM-SHA-256", b"n,," + first.encode()))

    with RawClient(proxy.bootstrap) as owner, RawClient(proxy.bootstrap) as holder:
        log_in(owner, "PLAIN", plain(USER, PASSWORD))
        token = delegation_token(owner)
        first = f"n={token['TokenId']},r=of-the-client,tokenauth=true"
        eventually(lambda: is_known(first), what="the token known to the broker")
        challenge = log_in(holder, "SCRAM-SHA-256", b"n,," + first.encode()).decode()
        verified = tell(holder, scram_last(first, challenge, base64.b64encode(token["Hmac"]).decode()))
        seen = [read_batches(ask_fetch(client, topic).records)[0].records[0].value for client in (owner, holder)]

    assert token["PrincipalName"] == USER
    assert verified.startswith(b"v=")
    assert seen == [CLEAR, MASKED]
    assert_absent(proxy.everything(), [PASSWORD, token["TokenId"], token["Hmac"]])


def delegation_token(client: RawClient) -> dict[str, Any]:
    """A token for whoever is logged in."""
    # No renewers, and the longest that it may live; Kafka's definition: CreateDelegationTokenRequest.json.
    frame = plain_frame(CREATE_DELEGATION_TOKEN, 1, struct.pack(">iq", 0, 600_000))
    told = broker_schemas.decode("response", CREATE_DELEGATION_TOKEN, 1, client.ask(frame))
    assert told["ErrorCode"] == 0
    return told
