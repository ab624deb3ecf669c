"""The look-up that a client may wait for: one question at a time, however many ask."""

from __future__ import annotations

import asyncio

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
