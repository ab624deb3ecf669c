"""Connections that break at every byte: both sides close, nothing leaks, and what came before the fault is masked."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.authority import Authority
from support.batches import write_batch
from support.faults import LOOPBACK, Act, Fault, FaultProxy, Way
from support.kafka_oracle import oracle
from support.requests import fetch_frame, plain_frame, produce_frame
from support.scripted import Stage, fetched, metadata, produced, proxied, rules_text
from support.wait import until
from wiremask.proxy.tls import ClientTlsConfig, client_context

SSN = b"123-45-6789"
RECORDS = write_batch([b'{"ssn":"123-45-6789"}'])
LARGE_RECORDS = write_batch([b'{"ssn":"123-45-6789","note":"%s"}' % (b"x" * 400_000)])
API_VERSIONS, METADATA = 18, 3
NEAR, FAR = "between client and proxy", "between proxy and broker"

SHORT = [
    plain_frame(API_VERSIONS, 2),
    plain_frame(METADATA, 1, b"\x00\x00\x00\x00"),
    produce_frame("payments", RECORDS),
    fetch_frame("payments", version=11),
]
ANSWERS: Mapping[str, bytes] = {
    "ApiVersions": oracle("ApiVersionsResponse").encode(
        {
            "error_code": 0,
            "api_keys": [{"api_key": key, "min_version": 0, "max_version": 9} for key in (0, 1, 3, 18)],
            "throttle_time_ms": 0,
        },
        2,
    ),
    "Metadata": metadata(1, brokers={0: ("broker", 9092)}, topics={}),
    "Produce": produced(9, {"payments": {0: 0}}),
    "Fetch": fetched(11, {"payments": {0: RECORDS}}),
}
LARGE = b"a-large-answer"
"""A Fetch of this topic is answered with large records (of the topic with the rule)."""
LARGE_ANSWER = fetched(11, {"payments": {0: LARGE_RECORDS}})


@dataclass(slots=True)
class Heard:
    """What the two ends of one connection were sent."""

    by_client: bytes = b""
    by_broker: list[bytes] = field(default_factory=list)

    def is_beginning_of(self, whole: Heard) -> bool:
        """Whether neither end heard anything that it does not hear when nothing breaks."""
        frames = whole.by_broker[: len(self.by_broker)]
        return whole.by_client.startswith(self.by_client) and frames == self.by_broker


class Line:
    """A client, a proxy between two fault proxies, and a broker that answers."""

    def __init__(self, stage: Stage, faults: Mapping[str, FaultProxy], tls: ssl.SSLContext | None) -> None:
        self.stage = stage
        self.faults = faults
        self._tls = tls
        self._heard: list[bytes] = []

    async def answer(self) -> None:
        """Answers what comes, for ever."""
        broker = self.stage.broker
        while True:
            asked = await broker.asked()
            self._heard.append(asked.frame)
            with contextlib.suppress(ConnectionError):
                await broker.answer(asked, LARGE_ANSWER if LARGE in asked.frame else ANSWERS[asked.header.api.name])

    async def converse(self, *requests: bytes) -> Heard:
        """One client that asks one after the other, until it has all answers or the connection ends; then all is over."""
        self._heard = []
        heard = Heard(by_broker=self._heard)
        writer = None
        try:
            async with asyncio.timeout(30):
                reader, writer = await asyncio.open_connection(LOOPBACK, self.faults[NEAR].port, ssl=self._tls)
                for request in requests:
                    writer.write(request)
                    await writer.drain()
                    prefix = await reader.readexactly(4)
                    heard.by_client += prefix
                    heard.by_client += await reader.readexactly(int.from_bytes(prefix, "big"))
        except asyncio.IncompleteReadError as error:
            heard.by_client += error.partial
        except OSError:  # a failed handshake is one too
            pass
        finally:
            if writer is not None:
                writer.close()
        await until(self._is_over, what="both sides closed and everything given back")
        return heard

    def _is_over(self) -> bool:
        shared = self.stage.shared
        nobody = not shared.open and not any(faults.open for faults in self.faults.values())
        return nobody and not shared.budget.taken_bytes and not self.stage.broker.connected


@contextlib.asynccontextmanager
async def broken_line(rules: str, authority: Authority | None = None) -> AsyncIterator[Line]:
    """The proxy with a fault proxy on either side; with an authority both sides speak TLS."""
    tls = None if authority is None else client_context(ClientTlsConfig(ca=authority.ca))
    async with FaultProxy(0) as near, FaultProxy(0) as far:
        upstream: dict[str, Any] = {"bootstrapServers": [f"{LOOPBACK}:{far.port}"]}
        listener: dict[str, Any] = {}
        broker_tls = None
        if authority is not None:
            issued = authority.issue("both")
            upstream["tls"], listener["tls"] = {"ca": str(authority.ca)}, issued.settings
            broker_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            broker_tls.load_cert_chain(issued.certificate, issued.key)
        async with proxied(
            rules, upstream_settings=upstream, listener_settings=listener, broker_tls=broker_tls
        ) as stage:
            near.target, far.target = stage.listener.config.ports[0], stage.broker.port
            made = Line(stage, {NEAR: near, FAR: far}, tls)
            answering = asyncio.ensure_future(made.answer())
            yield made
            answering.cancel()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


STEPS = {Act.CUT: 1, Act.RESET: 7, Act.HALF_CLOSE: 7}
"""At every byte, or at every seventh."""


@pytest.mark.parametrize("act", STEPS, ids=lambda act: act.value)
@pytest.mark.parametrize("way", Way, ids=lambda way: way.value)
@pytest.mark.parametrize("place", [NEAR, FAR])
async def test_an_exchange_that_breaks_at_any_byte(place: str, way: Way, act: Act) -> None:
    async with broken_line(rules_text("produce, fetch")) as line:
        whole = await line.converse(*SHORT)
        faults = line.faults[place]
        places, descriptors = range(0, faults.passed[way], STEPS[act]), open_descriptors()

        for at in places:
            faults.plan(Fault(act=act, way=way, at=at))
            heard = await line.converse(*SHORT)

            assert heard.is_beginning_of(whole), at
        assert faults.struck == {act: len(places)}
        assert open_descriptors() == descriptors
        assert not [text for text in (whole.by_client, *whole.by_broker) if SSN in text]


LARGE_PRODUCE, LARGE_FETCH = produce_frame("payments", LARGE_RECORDS), fetch_frame(LARGE.decode(), version=11)
LONG = {
    "a produce that is assembled": ("payments", LARGE_PRODUCE),
    "a produce that goes on while it arrives": ("nobody-else", LARGE_PRODUCE),
    "a fetch that is masked": ("payments", LARGE_FETCH),
    "a fetch that nobody masks": ("nobody-else", LARGE_FETCH),
}


@pytest.mark.parametrize("place", [NEAR, FAR])
@pytest.mark.parametrize(("topic", "frame"), LONG.values(), ids=LONG)
async def test_a_large_frame_that_breaks(topic: str, frame: bytes, place: str) -> None:
    chosen = random.Random(7)
    async with broken_line(rules_text("produce, fetch", topic=topic)) as line:
        whole = await line.converse(frame)
        faults, descriptors = line.faults[place], open_descriptors()
        way = max(Way, key=faults.passed.__getitem__)

        for at in sorted(chosen.sample(range(faults.passed[way]), 24)):
            faults.plan(Fault(act=chosen.choice(list(STEPS)), way=way, at=at))
            heard = await line.converse(frame)

            assert heard.is_beginning_of(whole), at
            assert heard.by_broker == [] or way is Way.ANSWERS, at
        assert faults.struck.total() == 24
        assert open_descriptors() == descriptors


async def test_a_handshake_or_an_exchange_under_tls_that_breaks(tmp_path: Path) -> None:
    chosen = random.Random(11)
    async with broken_line(rules_text("produce, fetch"), Authority(tmp_path)) as line:
        whole = await line.converse(*SHORT)
        counts = [(faults, way, faults.passed[way]) for faults in line.faults.values() for way in Way]
        descriptors = open_descriptors()

        for faults, way, count in counts:
            for at in sorted(chosen.sample(range(count), 24)):
                faults.plan(Fault(act=chosen.choice(list(STEPS)), way=way, at=at))
                heard = await line.converse(*SHORT)

                assert heard.is_beginning_of(whole), (way, at)
        assert [faults.struck.total() for faults in line.faults.values()] == [48, 48]
        assert open_descriptors() == descriptors


@pytest.mark.parametrize("act", [Act.DELAY, Act.THROTTLE], ids=lambda act: act.value)
@pytest.mark.parametrize("place", [NEAR, FAR])
async def test_what_comes_late_or_bit_by_bit_comes_as_it_was(place: str, act: Act) -> None:
    requests = [*SHORT, LARGE_PRODUCE, LARGE_FETCH]
    async with broken_line(rules_text("produce, fetch")) as line:
        whole = await line.converse(*requests)
        faults = line.faults[place]

        for way in Way:
            for at in (3, 200):
                faults.plan(Fault(act=act, way=way, at=at))
                assert await line.converse(*requests) == whole
        assert faults.struck == {act: 4}


@pytest.mark.parametrize("place", [NEAR, FAR])
async def test_a_connection_that_is_doubled_is_masked_twice(place: str) -> None:
    async with broken_line(rules_text("produce, fetch")) as line:
        whole = await line.converse(*SHORT)

        line.faults[place].plan(Fault(act=Act.DOUBLE))
        heard = await line.converse(*SHORT)

        assert heard.by_client == whole.by_client
        assert {frame: heard.by_broker.count(frame) for frame in whole.by_broker} == dict.fromkeys(whole.by_broker, 2)
        assert len(heard.by_broker) == 8
