"""The look-up that a client may wait for: one question at a time, however many ask."""

from __future__ import annotations

import asyncio

from wiremask.proxy.address import Address
from wiremask.proxy.health import Health
from wiremask.proxy.probe import Probe
from wiremask.proxy.upstream import Upstream, UpstreamConfig


async def test_look_ups_at_the_same_time_share_one_question() -> None:
    questions: list[bytes] = []

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        questions.append(await reader.read(4))
        writer.close()

    server = await asyncio.start_server(broker, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    upstream = Upstream(UpstreamConfig.model_validate({"bootstrapServers": [f"127.0.0.1:{port}"]}), connect_seconds=1)
    probe = Probe(upstream, Health())

    await asyncio.gather(*(probe.look_up() for _ in range(20)))
    shared = len(questions)
    await probe.look_up()

    assert (shared, len(questions)) == (1, 2)
    assert upstream.look_up == probe.look_up
    server.close()


async def test_what_was_looked_up_is_forgotten_when_brokers_answer_no_look_up() -> None:
    async def wants_a_login(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
        writer.write(b"\0\0\0\x0a" + request[4:8] + bytes(6))  # ApiVersions 0: no error, no apis
        await reader.readexactly(4)
        writer.close()

    server = await asyncio.start_server(wants_a_login, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    upstream = Upstream(UpstreamConfig.model_validate({"bootstrapServers": [f"127.0.0.1:{port}"]}), connect_seconds=1)
    probe = Probe(upstream, Health())
    upstream.learn_looked_up(7, "looked-up", 3)
    upstream.learn(7, "taught", 4)

    await probe.look_up()

    assert upstream.addresses(7) == (Address("taught", 4),)
    server.close()
