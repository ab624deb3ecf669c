"""Consumer groups through the proxy: members share the partitions, and nothing is read twice or lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from support.clients import Client, Member, Message
from support.customers import messages
from support.proxy import ProxyProcess
from support.wait import eventually_async

pytestmark = pytest.mark.broker

PARTITIONS = 4


async def test_two_members_share_a_topic_and_one_takes_over(
    client: Client, plain_proxy: ProxyProcess, make_topic: Callable[..., str]
) -> None:
    topic = make_topic("group", partitions=PARTITIONS)

    async with (
        client.producer(plain_proxy.bootstrap) as producer,
        client.member(plain_proxy.bootstrap, topic, topic) as first,
    ):
        await producer.send(topic, _spread(0))
        await _all_read(first, count=1)
        async with client.member(plain_proxy.bootstrap, topic, topic) as second:
            await _shared(first, second)
            await producer.send(topic, _spread(1))
            await _all_read(first, second, count=2)
            of_second = list(second.received)
        await eventually_async(lambda: _owns(first, PARTITIONS), what="the first member owns all again")
        await producer.send(topic, _spread(2))
        await _all_read(first, second, count=3)
        seen = Counter(message.value for message in first.received + second.received)

    assert of_second
    assert seen == Counter(message.value for number in range(3) for message in _spread(number))


async def test_a_group_goes_on_where_it_committed(
    client: Client, plain_proxy: ProxyProcess, make_topic: Callable[..., str]
) -> None:
    topic = make_topic("committed")
    async with client.producer(plain_proxy.bootstrap) as producer:
        await producer.send(topic, messages(30))

    first = await client.consume(plain_proxy.bootstrap, topic, 10, group=topic)
    rest = await client.consume(plain_proxy.bootstrap, topic, 20, group=topic)

    assert first + rest == messages(30)


def _spread(number: int) -> list[Message]:
    return [
        message
        for partition in range(PARTITIONS)
        for message in messages(10, first=number * 100 + partition * 10, partition=partition)
    ]


async def _owns(member: Member, count: int) -> bool:
    return len(member.assigned) == count


async def _shared(*members: Member) -> None:
    async def shared() -> bool:
        sizes = [len(member.assigned) for member in members]
        return sum(sizes) == PARTITIONS and all(sizes)

    await eventually_async(shared, what="every member owns partitions")


async def _all_read(*members: Member, count: int) -> None:
    async def read() -> bool:
        return sum(len(member.received) for member in members) >= count * PARTITIONS * 10

    await eventually_async(read, what="all records read")
