"""What a client meets before its first frame: addresses, PROXY headers, TLS, names of nodes, who it is."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from support.authority import Authority, Issued
from support.batches import write_batch
from support.requests import fetch_frame, plain_frame
from support.scripted import HEAD, Peer, Stage, fetched, proxied
from support.wait import until
from wiremask.proxy import metrics
from wiremask.proxy.tls import ClientTlsConfig, client_context

LIST_GROUPS = 16
CLEAR = b'{"ssn":"123-45-6789"}'
FRAUD_READS_CLEAR = HEAD + (
    "rules:\n"
    "  - {name: exempt, topics: [payments], at: [fetch], when: {client: 'principal == \"User:fraud\"'},"
    " value: {format: json, fields: [{path: $.ssn, mask: keep}]}}\n"
    "  - {name: ssn, topics: [payments], at: [fetch], value: {format: json, fields: [{path: $.ssn, mask: redact}]}}\n"
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Issued:
    return authority.issue("server", hosts=["localhost", "127.0.0.1", "*.kafka.example"])


def listener_tls(server: Issued, **more: Any) -> dict[str, Any]:
    return {"tls": {**server.settings, **more}}


def trusting(authority: Authority, shown: Issued | None = None) -> ssl.SSLContext:
    """A client's context, with a certificate to show."""
    return client_context(
        ClientTlsConfig.model_validate({"ca": str(authority.ca), **(shown.settings if shown else {})})
    )


async def is_served(stage: Stage, client: Peer) -> bool:
    """Whether a request of the client reaches the broker."""
    try:
        await client.send(plain_frame(LIST_GROUPS, 2))
    except ConnectionError:
        return False
    read, asked = asyncio.ensure_future(client.read()), asyncio.ensure_future(stage.broker.asked())
    done, waiting = await asyncio.wait((read, asked), return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return asked in done


async def read_ssn(stage: Stage, client: Peer) -> bytes:
    """What the client reads of one stored record."""
    await client.send(fetch_frame("payments", version=11))
    await stage.broker.answer(await stage.broker.asked(), fetched(11, {"payments": {0: write_batch([CLEAR])}}))
    told = await client.read()
    assert told is not None
    return CLEAR if CLEAR in told else b"masked"


async def test_clients_speak_tls_and_are_masked(authority: Authority, server: Issued) -> None:
    async with proxied(FRAUD_READS_CLEAR, listener_settings=listener_tls(server)) as stage:
        client = await stage.connect(ssl=trusting(authority), server_hostname="localhost")

        read = await read_ssn(stage, client)

        assert read == b"masked"


@pytest.mark.parametrize(
    ("name", "rules", "reads"),
    [
        ("fraud", "RULE:^CN=(.*?),.*$/$1/", CLEAR),
        ("others", "RULE:^CN=(.*?),.*$/$1/", b"masked"),
        ("fraud", "DEFAULT", b"masked"),
    ],
)
async def test_the_certificate_of_a_client_decides_what_it_reads(
    authority: Authority, server: Issued, name: str, rules: str, reads: bytes
) -> None:
    tls = listener_tls(server, ca=str(authority.ca), clientAuth="require", principalMappingRules=rules)
    shown = authority.issue(name, unit="Team")
    async with proxied(FRAUD_READS_CLEAR, listener_settings=tls) as stage:
        client = await stage.connect(ssl=trusting(authority, shown), server_hostname="localhost")

        read = await read_ssn(stage, client)

        assert read == reads


@pytest.mark.parametrize("shows", ["nothing", "a stranger's"])
async def test_a_required_certificate_must_be_one_of_the_authority(
    authority: Authority, server: Issued, shows: str, tmp_path: Path
) -> None:
    tls = listener_tls(server, ca=str(authority.ca), clientAuth="require")
    shown = Authority(tmp_path, "stranger").issue("fraud") if shows != "nothing" else None
    with capture_logs() as logs:
        async with proxied(FRAUD_READS_CLEAR, listener_settings=tls) as stage:
            client = await stage.connect(ssl=trusting(authority, shown), server_hostname="localhost")

            assert not await is_served(stage, client)
            assert len(stage.shared.open) == 0
    assert [line["reason"] for line in logs if line["event"] == "client turned away"] == ["TLS failed"]


async def test_without_a_requested_certificate_a_client_is_anonymous(authority: Authority, server: Issued) -> None:
    tls = listener_tls(
        server, ca=str(authority.ca), clientAuth="request", principalMappingRules="RULE:^CN=(.*?),.*$/$1/"
    )
    async with proxied(FRAUD_READS_CLEAR, listener_settings=tls) as stage:
        nobody = await stage.connect(ssl=trusting(authority), server_hostname="localhost")
        fraud = await stage.connect(ssl=trusting(authority, authority.issue("fraud")), server_hostname="localhost")

        assert [await read_ssn(stage, nobody), await read_ssn(stage, fraud)] == [b"masked", CLEAR]


async def test_a_certificate_that_gives_no_name_is_turned_away(authority: Authority, server: Issued) -> None:
    tls = listener_tls(server, ca=str(authority.ca), clientAuth="require", principalMappingRules="RULE:CN=a/b/")
    with capture_logs() as logs:
        async with proxied(listener_settings=tls) as stage:
            client = await stage.connect(ssl=trusting(authority, authority.issue("fraud")), server_hostname="localhost")

            assert not await is_served(stage, client)
    assert "principalMappingRules" in next(line["error"] for line in logs if line.get("reason") == "no principal")


async def test_a_plaintext_frame_on_a_tls_port_is_explained(server: Issued) -> None:
    with capture_logs() as logs:
        async with proxied(listener_settings=listener_tls(server)) as stage:
            client = await stage.connect()

            await client.send(plain_frame(LIST_GROUPS, 2))
            with contextlib.suppress(ConnectionError):
                await client.reader.read(-1)

    (turned_away,) = [line for line in logs if line["event"] == "client turned away"]
    assert "does not speak TLS" in turned_away["error"]
    assert turned_away["address"] == "127.0.0.1"


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["silent", "half a hello"])
async def test_a_client_that_does_not_finish_its_handshake_is_closed(server: Issued, first: bytes) -> None:
    async with proxied(listener_settings=listener_tls(server), handshake_seconds=0.2) as stage:
        client = await stage.connect()

        await client.send(first or b"\x16")
        ended = await client.reader.read(-1)

        assert ended == b""
        assert not stage.shared.open


async def test_a_client_in_its_handshake_counts_as_a_connection(authority: Authority, server: Issued) -> None:
    async with proxied(listener_settings=listener_tls(server), connections=1) as stage:
        silent = await stage.connect()
        await until(lambda: stage.shared.open)

        with pytest.raises((ssl.SSLError, ConnectionError)):
            await stage.connect(ssl=trusting(authority), server_hostname="localhost")

        silent.close()


async def test_a_drain_ends_a_handshake(server: Issued) -> None:
    async with proxied(listener_settings=listener_tls(server)) as stage:
        client = await stage.connect()
        await until(lambda: stage.shared.open)

        for connection in list(stage.shared.open):
            connection.drain()

        assert await client.reader.read(-1) == b""
        assert not stage.shared.open


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("broker-7.kafka.example", 7),
        ("BROKER-1007.kafka.example", 1007),
        ("bootstrap.kafka.example", None),
        ("broker-07.kafka.example", None),
        ("broker-x.kafka.example", None),
        ("localhost", None),
    ],
)
async def test_nodes_share_a_port_and_are_told_apart_by_name(
    authority: Authority, server: Issued, name: str, node: int | None
) -> None:
    tls = {"advertisedHost": "kafka.example", **listener_tls(server, nodeNames="broker-{node}.kafka.example")}
    async with proxied(listener_settings=tls) as stage:
        stage.shared.upstream.learn(7, "127.0.0.1", stage.broker.port)
        stage.shared.upstream.learn(1007, "127.0.0.1", stage.broker.port)

        client = await stage.connect(ssl=trusting(authority), server_hostname=name)
        served = await is_served(stage, client)
        (connection,) = stage.shared.open

        assert served
        assert connection._node == node
        assert len(stage.listener.config.ports) == 1
        assert stage.listener.advertise(5, "b5", 9092) == (
            "broker-5.kafka.example",
            stage.listener.config.address.port,
        )


@pytest.mark.parametrize(
    ("clients", "served"),
    [
        ({}, True),
        ({"allow": ["127.0.0.0/8"]}, True),
        ({"allow": ["10.0.0.0/8", "::1"]}, False),
        ({"deny": ["127.0.0.1"]}, False),
        ({"allow": ["127.0.0.0/8"], "deny": ["127.0.0.0/30"]}, False),
    ],
    ids=["all", "allowed", "not allowed", "denied", "deny wins"],
)
async def test_addresses_decide_who_may_connect(clients: dict[str, list[str]], served: bool) -> None:
    async with proxied(listener_settings={"clients": clients}) as stage:
        client = await stage.connect()

        assert await is_served(stage, client) is served


def header(address: str) -> bytes:
    return f"PROXY TCP4 {address} 127.0.0.1 50000 9092\r\n".encode()


async def test_a_load_balancer_says_who_the_client_is() -> None:
    settings = {"proxyProtocol": {"trusted": ["127.0.0.0/8"]}, "clients": {"deny": ["192.0.2.0/24"]}}
    with capture_logs() as logs:
        async with proxied(listener_settings=settings) as stage:
            told, denied, none = [await stage.connect() for _ in range(3)]

            await told.send(header("198.51.100.7"))
            await denied.send(header("192.0.2.7"))
            served = [await is_served(stage, client) for client in (told, denied, none)]

            assert served == [True, False, False]
    refused = {line["reason"]: line["error"] for line in logs if line["event"] == "client turned away"}
    assert refused["address refused"].startswith("192.0.2.7 may not connect")
    assert "no PROXY header" in refused


async def test_a_header_and_tls_follow_each_other_in_one_segment(authority: Authority, server: Issued) -> None:
    settings = {"proxyProtocol": {"trusted": ["127.0.0.1"]}, **listener_tls(server)}
    async with proxied(listener_settings=settings) as stage:
        client = await stage.connect()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trusting(authority).wrap_bio(incoming, outgoing, server_hostname="localhost")
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()

        await client.send(header("198.51.100.7") + outgoing.read())
        while True:
            incoming.write(await client.reader.read(65_536))
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                break
        tls.write(plain_frame(LIST_GROUPS, 2))
        await client.send(outgoing.read())

        assert (await stage.broker.asked()).header.api.key == LIST_GROUPS


async def test_a_header_from_a_stranger_is_not_believed() -> None:
    async with proxied(listener_settings={"proxyProtocol": {"trusted": ["10.0.0.0/8"]}}) as stage:
        client = await stage.connect()

        await client.send(header("198.51.100.7"))

        assert await client.read() is None


async def test_brokers_are_spoken_to_with_tls_and_a_certificate(authority: Authority, server: Issued) -> None:
    broker_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    broker_tls.load_cert_chain(server.certificate, server.key)
    broker_tls.load_verify_locations(authority.ca)
    broker_tls.verify_mode = ssl.CERT_REQUIRED
    shown = authority.issue("proxy")
    upstream = {"tls": {"ca": str(authority.ca), **shown.settings}}
    async with proxied(FRAUD_READS_CLEAR, upstream_settings=upstream, broker_tls=broker_tls) as stage:
        client = await stage.connect()

        read = await read_ssn(stage, client)
        subject = dict(part[0] for part in stage.broker.peers[0].writer.get_extra_info("peercert")["subject"])

        assert read == b"masked"
        assert subject["commonName"] == "proxy"


@pytest.mark.parametrize("wrong", ["host", "authority"])
async def test_a_broker_that_cannot_be_trusted_gets_nothing(authority: Authority, wrong: str, tmp_path: Path) -> None:
    signer = authority if wrong == "host" else Authority(tmp_path, "stranger")
    issued = signer.issue("elsewhere", hosts=["elsewhere"] if wrong == "host" else ["127.0.0.1"])
    broker_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    broker_tls.load_cert_chain(issued.certificate, issued.key)
    upstream = {"tls": {"ca": str(authority.ca)}}
    with capture_logs() as logs:
        async with proxied(upstream_settings=upstream, broker_tls=broker_tls) as stage:
            client = await stage.connect()

            assert not await is_served(stage, client)
    assert "certificate does not stand" in next(
        line["error"] for line in logs if line["event"] == "upstream unavailable"
    )


async def test_memory_of_a_reader_that_stops_is_counted_under_tls(authority: Authority, server: Issued) -> None:
    async with proxied(listener_settings=listener_tls(server)) as stage:
        client = await stage.connect(ssl=trusting(authority), server_hostname="localhost")
        before = metrics.buffered_bytes.value
        await client.send(plain_frame(LIST_GROUPS, 2))
        asked = await stage.broker.asked()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]

        content = bytes(30 * 1024 * 1024)
        await stage.broker.answer(asked, content)
        await until(lambda: stage.shared.budget.taken_bytes >= len(content))
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        (size,) = struct.unpack(">i", await client.reader.readexactly(4))
        await client.reader.readexactly(size)
        await until(lambda: not stage.shared.budget.taken_bytes)

        assert size == len(content) + 4
        assert metrics.buffered_bytes.value == before
