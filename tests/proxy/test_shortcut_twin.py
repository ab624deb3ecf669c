"""Two proxies with the same peers, one without the short and the quick way: whatever happens, the broker and the client hear the same."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from support.batches import write_batch
from support.kafka_oracle import oracle
from support.login import handshake_answer, handshake_frame, plain, token_answer, token_frame
from support.requests import fetch_frame, plain_frame, produce_frame
from support.scripted import HEAD, Rules
from support.sockets import Socket
from wiremask.protocol.api import FETCH, PRODUCE, SASL_AUTHENTICATE, SASL_HANDSHAKE
from wiremask.protocol.frame import ReadBuffers
from wiremask.protocol.header import make_response_header, read_request_header
from wiremask.proxy.budget import Budget
from wiremask.proxy.connection import Connection, Shared
from wiremask.proxy.limits import LimitsConfig
from wiremask.proxy.listener import Listener, ListenerConfig
from wiremask.proxy.pipeline import Pipeline
from wiremask.proxy.tasks import Tasks
from wiremask.proxy.topics import TopicNames

RECORDS = write_batch([b'{"ssn":"123-45-6789"}'])
LARGE = write_batch([b'{"ssn":"123-45-6789"}' + b" " * 1000] * 200)
UNREADABLE = write_batch([b"no json"])
TOPICS = ["clear", "masked", "for-cats", "for-alice"]


def ruleset(*topics: str) -> str:
    """Rules for these topics, of which some act for one client only."""
    conditions = {"for-cats": 'clientId == "cat"', "for-alice": 'principal == "User:alice"'}
    text = HEAD + "rules:\n"
    for topic in topics:
        text += f"  - name: {topic}\n    topics: [{topic}]\n    at: [produce, fetch]\n"
        if topic in conditions:
            text += f"    when: {{client: '{conditions[topic]}'}}\n"
        text += "    value: {format: json, fields: [{path: $.ssn, mask: redact}]}\n"
    return text


RULESETS = [ruleset("nothing-here"), ruleset("masked"), ruleset("masked", "for-cats", "for-alice"), ruleset("clear")]


class Straight:
    """Stands where brokers are found: the leg is connected at once."""

    login = None

    def __init__(self) -> None:
        self.socket: Socket | None = None

    async def connect(self, _: object, leg: Any) -> None:
        self.socket = Socket(leg)

    def learn(self, node: int, host: str, port: int) -> None:
        """Broker addresses do not matter here."""


class Twin:
    """One proxy with one connection, and what its peers have heard."""

    def __init__(self, rules: Rules, workers: ThreadPoolExecutor) -> None:
        config, self.upstream = LimitsConfig(worker_bytes=1 << 30), Straight()
        shared = Shared(
            limits=config,
            rules=cast("Any", rules),
            upstream=cast("Any", self.upstream),
            pipeline=Pipeline(TopicNames(), config),
            workers=workers,
            tasks=Tasks(),
            buffers=ReadBuffers(),
            budget=Budget(config.buffered_bytes),
            open=set(),
        )
        listener = Listener(
            ListenerConfig.model_validate({"address": "127.0.0.1:9092", "nodes": {"first": 0, "last": 9}})
        )
        self.connection = Connection(shared, listener, None)
        self.budget = shared.budget
        self.answered = 0

    async def start(self, *, is_short: bool) -> None:
        """Connects both sides."""
        if not is_short:
            self.connection._shortcut.is_over = True
            self.connection._quick_way._light_bytes = 0
        self.client = Socket(self.connection.client)
        while self.upstream.socket is None or self.connection.client.is_held:  # noqa: ASYNC110 - two turns of the loop
            await asyncio.sleep(0)
        self.broker = self.upstream.socket

    def asked(self) -> list[bytes]:
        """The whole requests that the broker has."""
        return frames(bytes(self.broker.taken))

    def told(self) -> list[bytes]:
        """The answers that the client has."""
        return frames(bytes(self.client.taken))

    def ask(self, stream: bytes) -> None:
        """The client sends, as long as it is read."""
        while stream and not self.client.is_closing:
            assert not self.connection.client.is_held
            stream = stream[self.client.receive(stream) :]

    def answer(self, topic: str, *, is_moved: bool) -> None:
        """The broker answers its oldest request."""
        awaited = [frame for frame in self.asked() if needs_answer(frame)]
        if self.answered == len(awaited) or self.broker.is_closing:
            return
        header = read_request_header(awaited[self.answered])
        self.answered += 1
        body = answer_to(header.api.key, header.version, topic, is_moved=is_moved)
        frame = make_response_header(header.api, header.version, correlation_id=header.correlation_id) + body
        self.broker.receive(len(frame).to_bytes(4) + frame)


def frames(stream: bytes) -> list[bytes]:
    """The whole frames in a stream, without their sizes."""
    found = []
    while len(stream) >= 4 and len(stream) - 4 >= (size := int.from_bytes(stream[:4])):
        found.append(stream[4 : 4 + size])
        stream = stream[4 + size :]
    return found


def needs_answer(frame: bytes) -> bool:
    """Whether a broker answers the request: it is no Produce with acks 0."""
    header = read_request_header(frame)
    if header.api.key != PRODUCE:
        return True
    at = header.body_start + (1 if header.version >= 9 else 2)  # behind a null transactional id
    return frame[at : at + 2] != b"\0\0"


def answer_to(key: int, version: int, topic: str, *, is_moved: bool) -> bytes:
    """A body with one topic in it, and with addresses where the version has them and a leader moved."""
    if key == SASL_HANDSHAKE:
        return handshake_answer()
    if key == SASL_AUTHENTICATE:
        return token_answer()
    if key not in {PRODUCE, FETCH}:
        return b"whatever"
    name = "ProduceResponse" if key == PRODUCE else "FetchResponse"
    values = oracle(name).sample(version)
    (answered, _) = values["responses"]
    if key == FETCH:
        (partition, _) = answered["partitions"]
        answered["partitions"] = [{**partition, "records": RECORDS}]
    values["responses"] = [{**answered, "name" if key == PRODUCE else "topic": topic}]
    if not is_moved:
        values.pop("node_endpoints", None)
    else:
        for node, value in enumerate(values.get("node_endpoints", ())):
            value["node_id"] = node
    return oracle(name).encode(values, version)


def called(frame: bytes, client_id: bytes) -> bytes:
    return frame.replace(b"\0\3raw", b"\0\3" + client_id, 1)


topics = st.sampled_from(TOPICS)
clients = st.sampled_from([b"raw", b"cat"])
produces = st.builds(
    lambda topic, version, acks, records, client: called(
        produce_frame(topic, records, version=version, acks=acks), client
    ),
    topics,
    st.sampled_from([9, 12]),
    st.sampled_from([-1, -1, 0]),
    st.sampled_from([RECORDS, RECORDS, LARGE, UNREADABLE, {0: RECORDS, 1: UNREADABLE}]),
    clients,
)
fetches = st.builds(
    lambda topic, size, client: called(fetch_frame(topic, version=11, max_bytes=size), client),
    topics | st.none(),
    st.sampled_from([1000, 1000, 2**31 - 1]),
    clients,
)
others = st.builds(called, st.just(plain_frame(16, 2)), clients)
requests = st.lists(st.one_of(produces, fetches, fetches, others), min_size=1, max_size=3).map(b"".join)
asks = st.tuples(st.just("ask"), requests, st.integers(0, 100))
answers = st.tuples(st.just("answer"), topics, st.booleans())
reloads = st.tuples(st.just("reload"), st.sampled_from(RULESETS), st.none())
logins = st.tuples(st.just("log in"), st.sampled_from(["alice", "bob"]), st.none())
scripts = st.lists(st.one_of(asks, asks, answers, answers, answers, reloads, logins), min_size=1, max_size=20)


async def log_in(twin: Twin, user: str) -> None:
    """A whole login, once all that was asked before is answered."""
    for frame in (handshake_frame("PLAIN"), token_frame(plain(user))):
        for _ in range(sum(map(needs_answer, twin.asked())) - twin.answered):
            twin.answer("clear", is_moved=False)
        twin.ask(frame)
        twin.answer("clear", is_moved=False)


async def play(script: list[Any]) -> None:
    with ThreadPoolExecutor(1) as workers:
        rules = Rules(RULESETS[2])
        short, long = Twin(rules, workers), Twin(rules, workers)
        await short.start(is_short=True)
        await long.start(is_short=False)
        for what, value, more in script:
            for twin in (short, long):
                if what == "ask":
                    twin.ask(value[: len(value) * more // 100])
            if what == "reload":
                rules.apply(value)
            for twin in (short, long):
                if what == "ask":
                    twin.ask(value[len(value) * more // 100 :])
                elif what == "answer":
                    twin.answer(value, is_moved=more)
                elif what == "log in":
                    await log_in(twin, value)
            assert short.asked() == long.asked()
            assert short.told() == long.told()
            assert short.connection.client.is_streaming is False
        assert short.budget.taken_bytes == long.budget.taken_bytes == 0
        for twin in (short, long):
            twin.connection.cut("the test ends")
            twin.connection.client.connection_lost(None)
            twin.connection.broker.connection_lost(None)


@example(script=[("ask", fetch_frame("clear") + produce_frame("masked", UNREADABLE), 0), ("answer", "clear", False)])
@given(script=scripts)
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_short_way_and_the_long_way_send_the_same(script: list[Any]) -> None:
    asyncio.run(play(script))
