"""What is made to get round the rules, on an Apache Kafka with TLS and logins: masked, or refused."""

from __future__ import annotations

import ssl
import struct
import threading
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from support.authority import Authority
from support.batches import read_batches, write_batch
from support.capture import RawClient
from support.hostile import (
    BEYOND,
    CLEAR,
    LYING_BATCHES,
    MARKER,
    NOT_JSON,
    OTHERWISE_NAMED,
    SSN,
    TWICE,
    produce_of,
)
from support.kafka import KafkaCluster
from support.proxy import ProxyProcess, assert_absent
from support.requests import ask_fetch, ask_produce, fetch_frame, read_fetched, read_produced, session_id, topic_id
from support.rulefolder import rule, ruleset
from support.secure import PASSWORD, raw_client
from support.wait import eventually
from wiremask.protocol.errors import ErrorCode

pytestmark = [pytest.mark.broker, pytest.mark.xdist_group("trust")]

MASKED = b'{"ssn":"[redacted]"}'
OTHERS = {"client": 'principal != "User:fraud"'}
RULES = ruleset(
    rule("written", "written-*", {"$.ssn": "redact"}, at=["produce"], when=OTHERS),
    rule("viewed", "viewed-*", {"$.ssn": "redact"}, at=["fetch"], when=OTHERS),
)
BY_NAME, BY_ID = 12, 13
"""The last version of Produce and Fetch that names topics, and the first with ids."""


@pytest.fixture(scope="module")
def proxy(
    secure: KafkaCluster, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProxyProcess]:
    proxy = ProxyProcess(
        home=tmp_path_factory.mktemp("proxy"),
        upstream=secure.sasl_bootstrap,
        rules=RULES,
        listener={"tls": authority.issue("listener").settings},
        settings={"upstream": {"tls": {"ca": str(authority.ca)}}},
    )
    try:
        proxy.start()
        yield proxy
        assert proxy.terminate() == 0
        assert "internal fault" not in proxy.output()
        assert_absent(proxy.output(), [SSN, PASSWORD])
    finally:
        proxy.dispose()


def client_of(proxy: ProxyProcess, authority: Authority, user: str = "others") -> AbstractContextManager[RawClient]:
    return raw_client(proxy.bootstrap, authority.ca, user)


@pytest.fixture(scope="module")
def client(proxy: ProxyProcess, authority: Authority) -> Iterator[RawClient]:
    """One that no refusal of a partition disconnects."""
    with client_of(proxy, authority) as client:
        yield client


@pytest.fixture
def written(secure: KafkaCluster, topic_name: Any) -> str:
    return secure.create_topic(topic_name("written"))


@pytest.fixture
def viewed(secure: KafkaCluster, topic_name: Any) -> str:
    return secure.create_topic(topic_name("viewed"))


def stored(kafka: KafkaCluster, topic: str, partition: int = 0) -> list[bytes | None]:
    return values(kafka.segments(topic)[partition])


def values(records: bytes) -> list[bytes | None]:
    return [record.value for batch in read_batches(records) for record in batch.records]


def put(kafka: KafkaCluster, topic: str, *contents: bytes) -> None:
    """Stores values as they are."""
    with RawClient(kafka.bootstrap) as direct:
        assert ask_produce(direct, topic, write_batch(list(contents)))[0].error_code == 0


def test_batches_that_lie_are_refused_one_by_one(client: RawClient, secure: KafkaCluster, written: str) -> None:
    told = {name: ask_produce(client, written, records)[0] for name, (records, _) in LYING_BATCHES.items()}

    assert {name: answer.error_code for name, answer in told.items()} == {
        name: code for name, (_, code) in LYING_BATCHES.items()
    }
    assert secure.segments(written)[0] == b""


def test_values_that_are_not_strictly_json_are_refused(client: RawClient, secure: KafkaCluster, written: str) -> None:
    told = {name: ask_produce(client, written, write_batch([value]))[0] for name, value in NOT_JSON.items()}

    assert {answer.error_code for answer in told.values()} == {ErrorCode.INVALID_RECORD}
    assert secure.segments(written)[0] == b""


def test_values_that_are_not_strictly_json_are_markers_to_a_reader(
    client: RawClient, secure: KafkaCluster, viewed: str
) -> None:
    put(secure, viewed, *NOT_JSON.values())

    seen = values(ask_fetch(client, viewed).records)

    assert seen == [MARKER] * len(NOT_JSON)


def test_fields_that_are_named_in_another_way_are_masked(
    client: RawClient, secure: KafkaCluster, written: str, viewed: str
) -> None:
    clear, expected = zip(*OTHERWISE_NAMED.values(), strict=True)
    put(secure, viewed, *clear)

    told = ask_produce(client, written, write_batch(list(clear)))[0]
    seen = values(ask_fetch(client, viewed).records)

    assert told.error_code == 0
    assert stored(secure, written) == seen == list(expected)


@pytest.mark.parametrize("version", [BY_NAME, BY_ID])
def test_what_is_named_twice_is_masked_or_refused(
    version: int, client: RawClient, secure: KafkaCluster, topic_name: Any
) -> None:
    for topics in TWICE.values():
        names = {name: secure.create_topic(topic_name(f"written-{name}"), partitions=2) for name, _ in topics}
        named: list[tuple[str | uuid.UUID, list[int]]] = [
            (topic_id(client, names[name]) if version >= BY_ID else names[name], partitions)
            for name, partitions in topics
        ]

        told = read_produced(client.ask(produce_of(version, named)), version)

        assert told
        kept = [value for name in names.values() for part in (0, 1) for value in stored(secure, name, part)]
        assert set(kept) <= {MASKED}


def test_a_topic_that_is_named_by_id_before_any_metadata_is_masked(
    proxy: ProxyProcess, authority: Authority, secure: KafkaCluster, written: str, viewed: str
) -> None:
    put(secure, viewed, CLEAR)
    with RawClient(secure.bootstrap) as direct:
        written_id, viewed_id = topic_id(direct, written), topic_id(direct, viewed)

    with client_of(proxy, authority) as client:
        told = ask_produce(client, written_id, write_batch([CLEAR]), version=BY_ID)[0]
        seen = values(ask_fetch(client, viewed_id, version=BY_ID).records)

    assert told.error_code == 0
    assert stored(secure, written) == seen == [MASKED]


def test_a_topic_that_somebody_made_anew_a_second_ago_is_masked(
    client: RawClient, secure: KafkaCluster, written: str
) -> None:
    before = topic_id(client, written)
    secure.delete_topic(written)
    secure.create_topic(written)
    with RawClient(secure.bootstrap) as direct:
        now = topic_id(direct, written)

    told = {one: ask_produce(client, one, write_batch([CLEAR]), version=BY_ID)[0] for one in (before, now)}

    assert {one: answer.error_code for one, answer in told.items()} == {before: ErrorCode.UNKNOWN_TOPIC_ID, now: 0}
    assert stored(secure, written) == [MASKED]


def test_a_fetch_from_inside_a_session_that_names_no_topic_is_masked(
    client: RawClient, secure: KafkaCluster, viewed: str
) -> None:
    opened = client.ask(fetch_frame(viewed, session=(0, 0), wait_ms=0))
    put(secure, viewed, CLEAR)

    told = client.ask(fetch_frame(None, session=(session_id(opened, 11), 1), wait_ms=10_000))

    assert SSN not in told
    assert values(read_fetched(told, 11)[0].records) == [MASKED]


@pytest.mark.parametrize("replica", [1, -2], ids=["of a replica", "of a debugging consumer"])
def test_a_fetch_in_another_name_is_masked_or_refused(
    replica: int, client: RawClient, secure: KafkaCluster, viewed: str
) -> None:
    put(secure, viewed, CLEAR)
    frame = bytearray(fetch_frame(viewed))
    at = frame.index(b"raw") + 3
    frame[at : at + 4] = struct.pack(">i", replica)

    told = client.ask(bytes(frame))

    answer = read_fetched(told, 11)[0]
    assert SSN not in told
    assert values(answer.records) == [MASKED] or answer.error_code != 0


def test_a_fetch_that_waits_while_rules_change_is_masked_by_the_new_ones(
    authority: Authority, secure: KafkaCluster, viewed: str, start_proxy_of: Any
) -> None:
    proxy = start_proxy_of(
        upstream=secure.sasl_bootstrap,
        listener={"tls": authority.issue("listener").settings},
        settings={"upstream": {"tls": {"ca": str(authority.ca)}}},
    )
    read: list[bytes] = []

    with client_of(proxy, authority) as client:
        frame = fetch_frame(viewed, wait_ms=60_000)
        waiting = threading.Thread(target=lambda: read.append(client.ask(frame)))
        waiting.start()
        eventually(lambda: proxy.metric("wiremask_requests_total", api="Fetch") > 0, what="the fetch on its way")
        proxy.change_rules(RULES, name="more.yaml")
        put(secure, viewed, CLEAR)
        waiting.join(60)

    assert values(read_fetched(read[0], 11)[0].records) == [MASKED]


CLOSING = {
    **BEYOND,
    "a produce with a byte behind it": produce_of(BY_NAME, [("written-none", [0])]),
    "a fetch with a byte behind it": fetch_frame("viewed-none"),
}
for _name in ("a produce with a byte behind it", "a fetch with a byte behind it"):
    CLOSING[_name] = struct.pack(">i", len(CLOSING[_name]) - 3) + CLOSING[_name][4:] + b"\0"


@pytest.mark.parametrize("frame", CLOSING.values(), ids=CLOSING)
def test_what_closes_a_connection_closes_it_after_a_login_too(
    frame: bytes, proxy: ProxyProcess, authority: Authority
) -> None:
    with client_of(proxy, authority) as client:
        client.send(frame)

        assert client.is_closed()


def test_requests_before_a_login_close_the_connection(
    proxy: ProxyProcess, authority: Authority, secure: KafkaCluster, written: str, viewed: str
) -> None:
    put(secure, viewed, CLEAR)
    tls = ssl.create_default_context(cafile=str(authority.ca))

    for frame in (fetch_frame(viewed), produce_of(BY_NAME, [(written, [0])])):
        with RawClient(proxy.bootstrap, tls=tls) as client:
            client.send(frame)
            assert client.is_closed()

    assert secure.segments(written)[0] == b""


def test_only_whom_the_rules_exempt_reads_what_is_stored(
    proxy: ProxyProcess, authority: Authority, secure: KafkaCluster, viewed: str
) -> None:
    put(secure, viewed, CLEAR)

    seen = {}
    for user in ("fraud", "others"):
        with client_of(proxy, authority, user) as client:
            seen[user] = values(ask_fetch(client, viewed).records)

    assert seen == {"fraud": [CLEAR], "others": [MASKED]}
