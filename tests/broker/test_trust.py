"""TLS and logins against an Apache Kafka with a SASL_SSL listener: who asks decides what one stored record says."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from support.authority import Authority, Issued
from support.capture import RawClient
from support.clients import CLIENTS, AioKafka, Confluent, Login, Message
from support.forwarder import Forwarder
from support.issuer import AUDIENCE, ISSUER, Issuer
from support.kafka import LOGIN_S, KafkaCluster
from support.ports import PortBlock
from support.proxy import ProxyProcess, assert_absent
from support.readers import READERS, Access
from support.rulefolder import rule, ruleset
from support.secure import PASSWORD, PROXY, USERS
from support.wait import eventually_async
from wiremask.proxy.sasl.credentials import Verifier

pytestmark = [pytest.mark.broker, pytest.mark.xdist_group("trust")]

CARD = "4111111111111111"
KEY = {"WIREMASK_KEY_CARD": "hex:" + hashlib.sha256(b"a key for cards").hexdigest()}

TELLS_READERS_APART = ruleset(
    rule(
        "others-read-nothing",
        "cards-*",
        {"$.card": "redact"},
        at=["fetch"],
        when={"client": '!(principal in ["User:fraud", "User:analytics"])'},
    ),
    rule(
        "analytics-reads-a-token",
        "cards-*",
        {"$.card": {"token": {"key": "card", "format": "pan"}}},
        at=["fetch"],
        when={"client": 'principal == "User:analytics"'},
    ),
    rule("fraud-reads-the-last-four", "cards-*", {"$.card": {"partial": {"keepLast": 4}}}, at=["fetch"]),
    keys={"card": {"env": "WIREMASK_KEY_CARD"}},
)


@pytest.fixture(scope="module")
def listener(authority: Authority) -> dict[str, Any]:
    return {"tls": authority.issue("listener").settings}


@pytest.fixture(scope="module")
def cards(secure: KafkaCluster) -> str:
    """A topic with one record."""
    import asyncio

    topic = secure.create_topic("cards-stored")

    async def store() -> None:
        async with AioKafka().producer(secure.bootstrap) as producer:
            await producer.send(topic, [Message(value=json.dumps({"card": CARD}).encode())])

    asyncio.run(store())
    return topic


def serve(folders: pytest.TempPathFactory, **options: Any) -> Iterator[ProxyProcess]:
    proxy = ProxyProcess(home=folders.mktemp("proxy"), rules=TELLS_READERS_APART, env=KEY, **options)
    try:
        proxy.start()
        yield proxy
        assert proxy.terminate() == 0
        assert_absent(proxy.output(), [PASSWORD, CARD])
    finally:
        proxy.dispose()


@pytest.fixture(scope="module")
def passing(
    secure: KafkaCluster, authority: Authority, listener: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProxyProcess]:
    """Logins pass to the broker."""
    yield from serve(
        tmp_path_factory,
        upstream=secure.sasl_bootstrap,
        listener=listener,
        settings={"upstream": {"tls": {"ca": str(authority.ca)}}},
    )


def own_login(authority: Authority, folder: Path) -> dict[str, Any]:
    """The proxy's login at the broker, which lasts LOGIN_S."""
    (folder / "password").write_text(PASSWORD)
    return {
        "tls": {"ca": str(authority.ca)},
        "sasl": {"mechanism": "SCRAM-SHA-512", "username": PROXY, "password": {"file": str(folder / "password")}},
    }


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def taking(
    secure: KafkaCluster,
    authority: Authority,
    listener: dict[str, Any],
    issuer: Issuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ProxyProcess]:
    """Clients log in at the proxy, and the proxy at the broker."""
    folder = tmp_path_factory.mktemp("credentials")
    lines = [f"{user}:{Verifier.make(PASSWORD, 'SCRAM-SHA-256', iterations=4096)}\n" for user in USERS]
    (folder / "credentials").write_text("".join(lines))
    sasl = {
        "mechanisms": ["PLAIN", "SCRAM-SHA-256", "OAUTHBEARER"],
        "credentials": str(folder / "credentials"),
        "bearer": {"issuer": ISSUER, "audience": AUDIENCE, "jwksFile": str(issuer.write(folder / "keys.json"))},
    }
    yield from serve(
        tmp_path_factory,
        upstream=secure.sasl_bootstrap,
        listener={**listener, "sasl": sasl},
        settings={"upstream": own_login(authority, folder)},
    )


def assert_told_apart(seen: dict[str, bytes | None]) -> None:
    """The fraud team reads the last four, analytics a token, all others a redaction."""
    read = {user: json.loads(value or b"{}")["card"] for user, value in seen.items()}
    assert read["fraud"] == "*" * 12 + CARD[-4:]
    assert re.fullmatch(r"\d{16}", read["analytics"])
    assert read["analytics"] != CARD
    assert read["others"] == "[redacted]"


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "OAUTHBEARER"])
@pytest.mark.parametrize("library", READERS)
async def test_readers_whose_logins_pass_are_told_apart(
    library: str, mechanism: str, passing: ProxyProcess, authority: Authority, cards: str
) -> None:
    seen = {}
    for user in USERS:
        access = Access(bootstrap=passing.bootstrap, ca=authority.ca, mechanism=mechanism, user=user, password=PASSWORD)
        seen[user] = await READERS[library](access, cards)

    assert_told_apart(seen)


@pytest.mark.parametrize("library", READERS)
async def test_readers_who_log_in_at_the_proxy_are_told_apart(
    library: str, taking: ProxyProcess, authority: Authority, cards: str
) -> None:
    seen = {}
    for user in USERS:
        access = Access(
            bootstrap=taking.bootstrap, ca=authority.ca, mechanism="SCRAM-SHA-256", user=user, password=PASSWORD
        )
        seen[user] = await READERS[library](access, cards)

    assert_told_apart(seen)


@pytest.mark.parametrize("library", READERS)
async def test_readers_with_access_tokens_of_an_issuer_are_told_apart(
    library: str, taking: ProxyProcess, authority: Authority, issuer: Issuer, cards: str
) -> None:
    seen = {}
    for user in USERS:
        access = Access(
            bootstrap=taking.bootstrap,
            ca=authority.ca,
            mechanism="OAUTHBEARER",
            user=user,
            password="",
            token=issuer.token(user),
        )
        seen[user] = await READERS[library](access, cards)

    assert_told_apart(seen)


@pytest.fixture
def node_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Has `broker-N.kafka.example` be this machine: for clients in this process, and by a file for Java."""
    real = socket.getaddrinfo

    def resolve(host: Any, *arguments: Any, **options: Any) -> Any:
        is_node = isinstance(host, str) and host.endswith(".kafka.example")
        return real("127.0.0.1" if is_node else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    file = tmp_path / "hosts"
    file.write_text("127.0.0.1 localhost broker-3.kafka.example\n")
    return file


NAMES = "broker-{node}.kafka.example"
HEXADECIMAL = "0x7f.0x0.0x0.{node}"
"""librdkafka asks the system alone for names. This is one to TLS, and to the system an address of this machine."""


@pytest.mark.parametrize(
    ("library", "pattern", "host"),
    [
        ("aiokafka", NAMES, "127.0.0.1"),
        ("kafka-python", NAMES, "127.0.0.1"),
        ("java", NAMES, "127.0.0.1"),
        ("confluent", HEXADECIMAL, "127.0.0.3"),
    ],
    ids=["aiokafka", "kafka-python", "java", "confluent"],
)
async def test_all_nodes_are_served_on_one_port_by_their_names(
    library: str,
    pattern: str,
    host: str,
    secure: KafkaCluster,
    authority: Authority,
    cards: str,
    start_proxy_of: Any,
    node_hosts: Path,
    forwarder: Forwarder,
    block: PortBlock,
) -> None:
    node_3 = f"127.0.0.1:{block.take()}"
    forwarder.forward(node_3, secure.broker.sasl_port)
    names = ["localhost", host, "*.kafka.example", HEXADECIMAL.replace("{node}", "3")]
    tls = {**authority.issue("by-names", hosts=names).settings, "nodeNames": pattern}
    proxy = start_proxy_of(
        upstream=secure.sasl_bootstrap,
        rules=TELLS_READERS_APART,
        env=KEY,
        host=host,
        listener={"tls": tls},
        settings={"upstream": {"tls": {"ca": str(authority.ca)}, "nodes": {"3": node_3}}},
    )

    value = await READERS[library](
        Access(
            bootstrap=proxy.bootstrap,
            ca=authority.ca,
            mechanism="SCRAM-SHA-256",
            user="fraud",
            password=PASSWORD,
            hosts=node_hosts,
        ),
        cards,
    )

    assert json.loads(value)["card"] == "*" * 12 + CARD[-4:]
    assert forwarder.connections[node_3] > 0


# A load balancer that says who the clients are, and the only one that the listener takes clients from.
BALANCER = {"proxyProtocol": {"trusted": ["127.0.0.1"]}, "clients": {"allow": ["10.1.2.3"]}}


@pytest.fixture
def balanced(
    secure: KafkaCluster,
    listener: dict[str, Any],
    authority: Authority,
    start_proxy_of: Any,
    forwarder: Forwarder,
    block: PortBlock,
) -> tuple[ProxyProcess, str]:
    """A proxy behind a load balancer that sends PROXY headers, and where clients reach that."""
    seen = block.take(2)
    proxy = start_proxy_of(
        upstream=secure.sasl_bootstrap,
        rules=TELLS_READERS_APART,
        env=KEY,
        first_node=3,
        node_ports=1,
        listener={**listener, **BALANCER, "advertisedPort": seen},
        settings={"upstream": {"tls": {"ca": str(authority.ca)}}},
    )
    header = b"PROXY TCP4 10.1.2.3 10.9.9.9 40000 9092\r\n"
    forwarder.forward(f"127.0.0.1:{seen}", proxy.port, header=header)
    forwarder.forward(f"127.0.0.1:{seen + 1}", proxy.port_of(3), header=header)
    return proxy, f"127.0.0.1:{seen}"


@pytest.mark.parametrize("library", READERS)
async def test_clients_behind_a_load_balancer_are_known_by_the_address_that_it_tells(
    library: str, balanced: tuple[ProxyProcess, str], authority: Authority, cards: str
) -> None:
    proxy, bootstrap = balanced
    access = Access(
        bootstrap=bootstrap, ca=authority.ca, mechanism="SCRAM-SHA-256", user="analytics", password=PASSWORD
    )

    value = await READERS[library](access, cards)

    assert re.fullmatch(r"\d{16}", json.loads(value)["card"])
    assert proxy.metric("wiremask_connections_closed_total", reason="address refused") == 0


def test_clients_that_a_load_balancer_tells_to_be_elsewhere_are_turned_away(
    balanced: tuple[ProxyProcess, str],
) -> None:
    proxy, _ = balanced

    with RawClient(proxy.bootstrap) as client:
        client.send(b"PROXY TCP4 10.1.2.4 10.9.9.9 40000 9092\r\n")
        closed = client.is_closed()

    assert closed
    assert proxy.metric("wiremask_connections_closed_total", reason="address refused") == 1


async def test_files_of_tls_change_under_open_connections(
    secure: KafkaCluster, authority: Authority, cards: str, start_proxy_of: Any, tmp_path: Path
) -> None:
    topic, other = secure.create_topic("cards-written"), Authority(tmp_path, "another-authority")
    shown, trusted = authority.issue("changing"), tmp_path / "trusted.pem"
    trusted.write_bytes(authority.ca.read_bytes())
    proxy = start_proxy_of(
        upstream=secure.sasl_bootstrap,
        rules=TELLS_READERS_APART,
        env=KEY,
        listener={"tls": shown.settings},
        settings={"upstream": {"tls": {"ca": str(trusted)}}},
    )
    login = Login(user="fraud", password=PASSWORD, mechanism="SCRAM-SHA-256", ca=authority.ca)
    access = Access(bootstrap=proxy.bootstrap, ca=other.ca, mechanism="OAUTHBEARER", user="fraud", password=PASSWORD)

    def reloads(use: str, outcome: str) -> float:
        return proxy.metric("wiremask_file_reloads_total", use=use, outcome=outcome)

    async with AsyncExitStack() as stack:
        producers = [
            await stack.enter_async_context(client.producer(proxy.bootstrap, login=login)) for client in CLIENTS
        ]
        offsets = [await producer.send(topic, [Message(value=b"{}")]) for producer in producers]
        connections = proxy.metric("wiremask_connections_total")

        replace(shown, other.issue("changing"))
        trusted.write_bytes(other.ca.read_bytes() + authority.ca.read_bytes())
        await eventually_async(lambda: done(reloads("default", "applied") and reloads("upstream", "applied")))
        offsets += [await producer.send(topic, [Message(value=b"{}")]) for producer in producers]
        kept = proxy.metric("wiremask_connections_total") == connections
        seen = {library: await read(access, cards) for library, read in READERS.items()}

        refused = reloads("default", "refused")
        shown.certificate.write_text("no certificate")
        await eventually_async(lambda: done(reloads("default", "refused") > refused))
        seen["after a bad file"] = await READERS["confluent"](access, cards)
        offsets += [await producer.send(topic, [Message(value=b"{}")]) for producer in producers]

    assert offsets == [[number] for number in range(6)]
    assert kept, "a producer had to connect again"
    assert {json.loads(value or b"{}")["card"] for value in seen.values()} == {"*" * 12 + CARD[-4:]}


def replace(shown: Issued, now: Issued) -> None:
    """Puts another key and another certificate in the place of those that are shown."""
    for old, new in ((shown.key, now.key), (shown.certificate, now.certificate)):
        beside = old.with_suffix(".new")
        beside.write_bytes(new.read_bytes())
        beside.replace(old)


async def done(what: Any) -> Any:
    return what


@pytest.mark.parametrize("library", READERS)
async def test_readers_are_told_apart_by_their_certificates(
    library: str, secure: KafkaCluster, authority: Authority, cards: str, start_proxy_of: Any
) -> None:
    tls = {
        **authority.issue("listener").settings,
        "clientAuth": "require",
        "ca": str(authority.ca),
        "principalMappingRules": "RULE:^CN=([^,]+),.*$/$1/",
    }
    proxy = start_proxy_of(upstream=secure.bootstrap, rules=TELLS_READERS_APART, env=KEY, listener={"tls": tls})

    seen = {}
    for user in USERS:
        access = Access(bootstrap=proxy.bootstrap, ca=authority.ca, certificate=authority.issue(user, unit="team"))
        seen[user] = await READERS[library](access, cards)

    assert_told_apart(seen)


@pytest.mark.parametrize("library", [AioKafka(), Confluent()], ids=lambda library: library.name)
async def test_clients_without_a_login_outlive_the_proxy_s_own(
    library: Any, secure: KafkaCluster, authority: Authority, start_proxy_of: Any, tmp_path: Path
) -> None:
    proxy = start_proxy_of(upstream=secure.sasl_bootstrap, settings={"upstream": own_login(authority, tmp_path)})
    topic = secure.create_topic(f"outlived-{library.name}")
    sent = 0

    async with library.producer(proxy.bootstrap, idempotent=True) as producer:

        async def renewed_twice() -> bool:
            nonlocal sent
            await producer.send(topic, [Message(value=b'{"n":%d}' % sent)])
            sent += 1
            sessions = [line["session"] for line in proxy.logs() if line["event"] == "login renewed"]
            return max(map(sessions.count, sessions), default=0) >= 2

        await eventually_async(renewed_twice, timeout_s=20 * LOGIN_S, step_s=0.1)
    received = await library.consume(proxy.bootstrap, topic, sent)

    assert [message.value for message in received] == [b'{"n":%d}' % number for number in range(sent)]
    assert not proxy.says("login not renewed")
