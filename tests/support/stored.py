"""Records as a client has them, produced and read by one principal or another."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from support.kafka import PASSWORD


class Stored(NamedTuple):
    """One record as a client has it."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


async def send(bootstrap: str, topic: str, user: str | None, *records: Stored) -> None:
    """Produces records as `user`; None for nobody."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, **_login(user))
    await producer.start()
    try:
        for record in records:
            await producer.send_and_wait(topic, value=record.value, key=record.key, headers=record.headers)
    finally:
        await producer.stop()


async def read(bootstrap: str, topic: str, user: str | None, count: int) -> list[Stored]:
    """The first records of a topic as `user` has them."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", **_login(user))
    try:
        async with asyncio.timeout(60):
            await consumer.start()
            found = [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()
    return [Stored(one.key, one.value, list(one.headers)) for one in found]


def _login(user: str | None) -> dict[str, str]:
    if user is None:
        return {}
    return {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": user,
        "sasl_plain_password": PASSWORD,
    }
