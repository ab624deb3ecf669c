"""Proxies and brokers that end and come back: nothing is lost, nothing is doubled, and clients need no help."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Callable

import pytest

from support.batches import read_batches, write_batch
from support.capture import RawClient
from support.clients import Client, Message
from support.customers import KEY_ENV, MASKING_RULES, is_masked, messages
from support.kafka import KafkaBroker, KafkaCluster
from support.proxy import ProxyProcess
from support.requests import ask_produce, produce_frame, read_produced
from support.wait import eventually

pytestmark = pytest.mark.broker

MakeTopic = Callable[..., str]
StartProxy = Callable[..., ProxyProcess]

BATCHES, BATCH = 24, 25


async def produce_across(
    client: Client, proxy: ProxyProcess, topic: str, interruption: Callable[[], object]
) -> list[Message]:
    """Sends numbered messages with an idempotent producer, interrupted after a third of them; reads them meanwhile.

    The interruption runs beside the producer, so that requests are under way when it strikes.
    """
    reader = asyncio.ensure_future(client.consume(proxy.bootstrap, topic, BATCHES * BATCH, timeout_s=80))
    striking: asyncio.Task[object] | None = None
    async with client.producer(proxy.bootstrap, idempotent=True) as producer:
        for number in range(BATCHES):
            if number == BATCHES // 3:
                striking = asyncio.ensure_future(asyncio.to_thread(interruption))
            await producer.send(topic, messages(BATCH, first=number * BATCH))
            if number == BATCHES * 2 // 3 and striking is not None:
                await striking
    return await reader


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kill", [False, True], ids=["terminated", "killed"])
async def test_proxy_restart_loses_and_doubles_nothing(
    client: Client, kill: bool, start_proxy: StartProxy, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    proxy = start_proxy(rules=MASKING_RULES, env=KEY_ENV)
    topic = make_topic("stored")

    received = await produce_across(client, proxy, topic, lambda: proxy.restart(kill=kill))

    _assert_exact(received, topic, kafka)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
async def test_broker_restart_loses_and_doubles_nothing(
    client: Client, kill: bool, start_proxy: StartProxy, broker: KafkaBroker, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    proxy = start_proxy(rules=MASKING_RULES, env=KEY_ENV)
    topic = make_topic("stored")

    received = await produce_across(client, proxy, topic, lambda: broker.restart(kill=kill))

    _assert_exact(received, topic, kafka)
    assert proxy.running


def test_broker_that_dies_closes_its_connections(
    start_proxy: StartProxy, broker: KafkaBroker, make_topic: MakeTopic
) -> None:
    proxy = start_proxy()
    topic = make_topic("dies")

    with RawClient(proxy.bootstrap) as client:
        ask_produce(client, topic, write_batch([b"1"]))
        broker.kill()
        closed = client.is_closed()
    broker.start()

    eventually(lambda: _is_produced(proxy, topic), what="the topic led again")
    assert closed


async def test_proxy_that_starts_before_its_broker_waits_for_it(
    client: Client, start_proxy: StartProxy, broker: KafkaBroker, make_topic: MakeTopic
) -> None:
    topic = make_topic("waits")
    broker.stop()
    proxy = start_proxy(start=False)

    proxy.start(wait=False)
    proxy.wait_listening()
    ready, detail = proxy.ready()
    broker.start()
    proxy.wait_ready()
    async with client.producer(proxy.bootstrap) as producer:
        await producer.send(topic, messages(5))

    assert not ready
    assert detail["upstreamAnswered"] is False
    assert proxy.ready()[1]["upstreamAnswered"] is True


def test_client_that_knows_a_broker_port_reaches_it_after_a_proxy_restart(
    start_proxy: StartProxy, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    node = kafka.broker.node_id
    nodes = {str(node): f"127.0.0.1:{kafka.broker.port}"}
    proxy = start_proxy(settings={"upstream": {"nodes": nodes}})
    topic = make_topic("straight")

    proxy.restart()
    with RawClient(f"127.0.0.1:{proxy.port_of(node)}") as client:
        answer = ask_produce(client, topic, write_batch([b"1"]))

    assert answer[0].error_code == 0


def test_sigterm_lets_a_request_in_flight_complete(
    start_proxy: StartProxy, broker: KafkaBroker, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    proxy = start_proxy(rules=MASKING_RULES, env=KEY_ENV)
    topic = make_topic("stored")

    with RawClient(proxy.bootstrap) as client, RawClient(proxy.bootstrap) as idle:
        ask_produce(client, topic, write_batch([messages(1)[0].value]))
        broker.pause()
        client.send(produce_frame(topic, write_batch([messages(2)[1].value])))
        # The request has left for the broker once the proxy has counted it.
        eventually(lambda: proxy.metric("wiremask_requests_total", api="Produce") >= 2, what="the second request read")
        proxy.ask_to_stop()
        eventually(lambda: idle.is_closed(timeout_s=1), what="the idle connection closed")
        running = proxy.running
        resume = threading.Thread(target=broker.resume)
        resume.start()
        answer = client.read()
        code = proxy.wait()
        closed = client.is_closed()
        resume.join()

    assert running
    assert answer is not None
    assert read_produced(answer, 9)[0].error_code == 0
    assert (code, closed) == (0, True)
    values = [record.value for batch in read_batches(kafka.segments(topic)[0]) for record in batch.records]
    assert [is_masked(value or b"", number) for number, value in enumerate(values)] == [True, True]


def test_drain_ends_at_its_deadline(start_proxy: StartProxy, broker: KafkaBroker, make_topic: MakeTopic) -> None:
    proxy = start_proxy(settings={"limits": {"drainSeconds": 1}})
    topic = make_topic("stuck")

    with RawClient(proxy.bootstrap) as client:
        ask_produce(client, topic, write_batch([b"1"]))
        broker.pause()
        client.send(produce_frame(topic, write_batch([b"2"])))
        eventually(lambda: proxy.metric("wiremask_requests_total", api="Produce") >= 2, what="the second request read")
        code = proxy.terminate()
        closed = client.is_closed()

    assert (code, closed) == (0, True)


def test_half_a_request_at_sigterm_does_not_hold_the_proxy(start_proxy: StartProxy, make_topic: MakeTopic) -> None:
    proxy = start_proxy(settings={"limits": {"drainSeconds": 120}})

    with RawClient(proxy.bootstrap) as client:
        client.send(struct.pack(">i", 100_000) + b"\x00\x00\x00\x09")
        code = proxy.terminate()
        closed = client.is_closed()

    assert (code, closed) == (0, True)


def _is_produced(proxy: ProxyProcess, topic: str) -> bool:
    with RawClient(proxy.bootstrap) as client:
        return ask_produce(client, topic, write_batch([b"2"]))[0].error_code == 0


def _assert_exact(received: list[Message], topic: str, kafka: KafkaCluster) -> None:
    count = BATCHES * BATCH
    stored = [record.value for batch in read_batches(kafka.segments(topic)[0]) for record in batch.records]
    assert len(stored) == count
    assert [is_masked(value or b"", number) for number, value in enumerate(stored)] == [True] * count
    assert [message.value for message in received] == stored
