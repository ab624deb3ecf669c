"""Who a client is, read from the login that passes, and what rules with a condition make of it."""

from __future__ import annotations

import io
import json
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from support.batches import read_batches, write_batch
from support.login import (
    FAILED,
    ILLEGAL_STATE,
    SCRAM_CHALLENGE,
    SCRAM_FINAL,
    SCRAM_VERIFIED,
    UNSUPPORTED_MECHANISM,
    bare,
    handshake_answer,
    handshake_frame,
    log_in,
    oauth,
    plain,
    scram_first,
    token_answer,
    token_frame,
)
from support.requests import fetch_frame, plain_frame, produce_frame, read_fetched
from support.scripted import HEAD, Asked, Peer, Stage, fetched, proxied, rules_text
from wiremask.protocol.errors import MalformedFrame, ProtocolError, RefusedLogin
from wiremask.proxy.config import load
from wiremask.proxy.identity import ANONYMOUS, Identity
from wiremask.proxy.log import LogConfig, configure
from wiremask.proxy.session import Session
from wiremask.rules import compile_ruleset

CLEAR, MASKED = b'{"ssn":"123-45-6789"}', b'{"ssn":"[redacted]"}'
ALICE = 'principal == "User:alice"'
PLAIN = [(plain("alice"), b"")]
SCRAM = [(scram_first("alice"), SCRAM_CHALLENGE), (SCRAM_FINAL, SCRAM_VERIFIED)]
LIST_GROUPS, API_VERSIONS = 16, 18
GROUPS = plain_frame(LIST_GROUPS, 2)


def exempting(condition: str = ALICE, at: str = "fetch") -> str:
    """Rules that mask for all but those whom the condition names."""
    field = "value: {fields: [{path: $.ssn, mask: %s}]}"
    return (
        f"{HEAD}rules:\n"
        f"  - {{name: exempt, topics: [payments], at: [{at}], when: {{client: '{condition}'}}, {field % 'keep'}}}\n"
        f"  - {{name: ssn, topics: [payments], at: [{at}], {field % 'redact'}}}\n"
    )


def named(frame: bytes, client_id: bytes | None) -> bytes:
    """A request frame with another client id."""
    tail = frame[4 + 8 + 2 + 3 :]  # size, key and version and correlation id, then the client id "raw"
    name = struct.pack(">h", -1) if client_id is None else struct.pack(">h", len(client_id)) + client_id
    content = frame[4:12] + name + tail
    return struct.pack(">i", len(content)) + content


async def answer_fetch(stage: Stage, asked: Asked) -> None:
    await stage.broker.answer(asked, fetched(11, {"payments": {0: write_batch([CLEAR])}}))


async def read_value(client: Peer) -> bytes | None:
    told = await client.read()
    assert told is not None
    (batch,) = read_batches(read_fetched(told, 11)[0].records)
    return batch.records[0].value


async def fetch(stage: Stage, client: Peer, frame: bytes | None = None) -> bytes | None:
    await client.send(frame or fetch_frame("payments"))
    await answer_fetch(stage, await stage.broker.asked())
    return await read_value(client)


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize(
    ("mechanism", "steps"),
    [
        ("PLAIN", PLAIN),
        ("PLAIN", [(b"alice" + plain("alice"), b"")]),
        ("SCRAM-SHA-256", SCRAM),
        ("SCRAM-SHA-512", SCRAM),
        ("OAUTHBEARER", [(oauth(sub="alice", exp=1), b"")]),
    ],
    ids=["PLAIN", "PLAIN with authzid", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"],
)
async def test_knows_the_principal_that_the_broker_accepted(
    version: int, mechanism: str, steps: list[tuple[bytes, bytes]]
) -> None:
    async with proxied(exempting()) as stage:
        client = await stage.connect()

        await log_in(stage, client, mechanism, steps, version=version)

        assert await fetch(stage, client) == CLEAR


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize(
    ("mechanism", "steps"),
    [
        ("PLAIN", [(plain("bob"), b"")]),
        ("PLAIN", [(plain("al\xe9ce"), b"")]),
        ("SCRAM-SHA-256", [(scram_first("bob"), SCRAM_CHALLENGE), (SCRAM_FINAL, SCRAM_VERIFIED)]),
        ("SCRAM-SHA-256", [(scram_first("alice", ",tokenauth=true"), SCRAM_CHALLENGE), (SCRAM_FINAL, SCRAM_VERIFIED)]),
        ("OAUTHBEARER", [(oauth(sub="bob", name="alice"), b"")]),
        ("OAUTHBEARER", [(b"n,,\1auth=Bearer opaque\1\1", b"")]),
    ],
    ids=["PLAIN", "another name", "SCRAM", "delegation token", "OAUTHBEARER", "opaque access token"],
)
async def test_exempts_nobody_else(version: int, mechanism: str, steps: list[tuple[bytes, bytes]]) -> None:
    async with proxied(exempting()) as stage:
        client = await stage.connect()

        await log_in(stage, client, mechanism, steps, version=version)

        assert await fetch(stage, client) == MASKED


async def test_a_mechanism_that_tells_no_name_is_masked_and_may_take_any_number_of_tokens() -> None:
    async with proxied(exempting('principal.startsWith("User:")')) as stage:
        client = await stage.connect()

        await log_in(stage, client, "GSSAPI", [(b"\x60\x82alice", b"\1"), (b"", b"\2"), (b"alice", b"")])

        assert await fetch(stage, client) == MASKED


async def test_after_handshake_0_a_mechanism_whose_end_cannot_be_seen_is_refused() -> None:
    async with proxied() as stage:
        client = await stage.connect()

        await client.send(handshake_frame("GSSAPI", 0))

        assert await client.read() is None
        assert await stage.broker.hears_nothing()


async def test_two_principals_read_the_same_topic_differently() -> None:
    async with proxied(exempting()) as stage:
        alice, bob = await stage.connect(), await stage.connect()
        await log_in(stage, alice, "PLAIN", PLAIN)
        await log_in(stage, bob, "PLAIN", [(plain("bob"), b"")])

        seen = [await fetch(stage, client) for client in (alice, bob, alice, bob)]

        assert seen == [CLEAR, MASKED, CLEAR, MASKED]


async def test_two_principals_write_the_same_topic_differently() -> None:
    async with proxied(exempting(at="produce")) as stage:
        alice, bob = await stage.connect(), await stage.connect()
        await log_in(stage, alice, "PLAIN", PLAIN)
        await log_in(stage, bob, "PLAIN", [(plain("bob"), b"")])

        sent = []
        for client in (alice, bob):
            await client.send(produce_frame("payments", write_batch([CLEAR])))
            sent.append((await stage.broker.asked()).body)

        assert [CLEAR in body for body in sent] == [True, False]
        assert [MASKED in body for body in sent] == [False, True]


async def test_without_a_login_the_client_is_anonymous() -> None:
    async with proxied(exempting(f'principal == "{ANONYMOUS}"')) as stage:
        client = await stage.connect()

        assert await fetch(stage, client) == CLEAR


async def test_the_name_is_that_of_the_configured_claim(tmp_path: Path) -> None:
    written = tmp_path / "wiremask.yaml"
    written.write_text(
        "upstream: {bootstrapServers: ['kafka.example:9092']}\nlisteners: [{sasl: {principalClaim: name}}]\n"
    )
    (configured,) = load(written, env={}).listeners
    async with proxied(exempting(), listener_settings={"sasl": configured.sasl}) as stage:
        client = await stage.connect()

        await log_in(stage, client, "OAUTHBEARER", [(oauth(sub="bob", name="alice"), b"")])

        assert await fetch(stage, client) == CLEAR


@pytest.mark.parametrize("frame", [fetch_frame("payments"), produce_frame("payments", write_batch([CLEAR]))])
@pytest.mark.parametrize("rules", [exempting(), rules_text("fetch")], ids=["with a condition", "without"])
async def test_closes_on_a_request_before_the_login_is_complete(rules: str, frame: bytes) -> None:
    async with proxied(rules) as stage:
        client = await stage.connect()
        await client.send(handshake_frame("SCRAM-SHA-256"))
        await stage.broker.answer(await stage.broker.asked(), handshake_answer())
        await client.read()
        await client.send(token_frame(scram_first("alice")))
        await stage.broker.answer(await stage.broker.asked(), token_answer(SCRAM_CHALLENGE))
        await client.read()

        await client.send(frame)

        assert await client.read() is None
        assert await stage.broker.hears_nothing()


REQUIRED = {"sasl": {"required": True}}


@pytest.mark.parametrize("frame", [GROUPS, fetch_frame("payments")], ids=["passed", "decoded"])
async def test_closes_on_a_request_before_a_login_that_must_come_first(frame: bytes) -> None:
    async with proxied(listener_settings=REQUIRED) as stage:
        client = await stage.connect()

        await client.send(frame)

        assert await client.read() is None
        assert await stage.broker.hears_nothing()


@pytest.mark.parametrize("version", [0, 1])
async def test_a_login_that_must_come_first_opens_the_connection(version: int) -> None:
    async with proxied(exempting(), listener_settings=REQUIRED) as stage:
        client = await stage.connect()
        await log_in(stage, client, "PLAIN", PLAIN, version=version)

        await client.send(GROUPS)

        assert (await stage.broker.asked()).frame == GROUPS[4:]


async def test_closes_on_a_request_after_a_login_that_failed() -> None:
    async with proxied(exempting(f'principal == "{ANONYMOUS}" || {ALICE}')) as stage:
        client = await stage.connect()
        await client.send(handshake_frame("PLAIN"))
        await stage.broker.answer(await stage.broker.asked(), handshake_answer())
        await client.read()
        await client.send(token_frame(plain("alice", "wrong")))
        await stage.broker.answer(await stage.broker.asked(), token_answer(error_code=FAILED))
        answer = await client.read()

        await client.send(fetch_frame("payments"))

        assert answer is not None
        assert struct.unpack_from(">h", answer, 4) == (FAILED,)
        assert await client.read() is None


@pytest.mark.parametrize("code", [UNSUPPORTED_MECHANISM, ILLEGAL_STATE])
async def test_a_handshake_that_the_broker_refuses_changes_nothing(code: int) -> None:
    async with proxied(exempting(f'principal == "{ANONYMOUS}"')) as stage:
        client = await stage.connect()
        await client.send(handshake_frame("PLAIN"))
        await stage.broker.answer(await stage.broker.asked(), handshake_answer(code))
        await client.read()
        await client.send(token_frame(plain("alice")))
        await stage.broker.answer(await stage.broker.asked(), token_answer(error_code=ILLEGAL_STATE))
        await client.read()

        assert await fetch(stage, client) == CLEAR


async def test_a_token_without_a_handshake_makes_nobody_of_the_client() -> None:
    async with proxied(exempting()) as stage:
        client = await stage.connect()
        await client.send(token_frame(plain("alice")))
        await stage.broker.answer(await stage.broker.asked(), token_answer())
        await client.read()

        assert await fetch(stage, client) == MASKED


async def test_a_second_token_after_the_login_makes_nobody_else_of_the_client() -> None:
    async with proxied(exempting()) as stage:
        client = await stage.connect()
        await log_in(stage, client, "PLAIN", [(plain("bob"), b"")])
        await client.send(token_frame(plain("alice")))
        await stage.broker.answer(await stage.broker.asked(), token_answer())
        await client.read()

        assert await fetch(stage, client) == MASKED


async def test_what_comes_on_the_heels_of_a_login_step_waits_for_its_answer() -> None:
    async with proxied(exempting()) as stage:
        client = await stage.connect()

        await client.send(handshake_frame("PLAIN") + token_frame(plain("alice")) + fetch_frame("payments"))
        handshake = await stage.broker.asked()
        waits = await stage.broker.hears_nothing()
        await stage.broker.answer(handshake, handshake_answer())
        token = await stage.broker.asked()
        waits_again = await stage.broker.hears_nothing()
        await stage.broker.answer(token, token_answer())
        await answer_fetch(stage, await stage.broker.asked())
        await client.read()
        await client.read()

        assert waits
        assert waits_again
        assert await read_value(client) == CLEAR


async def test_a_bare_token_is_no_request_whatever_it_looks_like() -> None:
    disguise = fetch_frame("payments")[4:]
    async with proxied(exempting()) as stage:
        client = await stage.connect()

        await log_in(stage, client, "PLAIN", [(disguise, b"")], version=0)

        assert await fetch(stage, client) == MASKED


async def test_a_request_after_the_last_bare_token_is_no_token() -> None:
    async with proxied(exempting()) as stage:
        client = await stage.connect()
        await client.send(handshake_frame("PLAIN", 0))
        await stage.broker.answer(await stage.broker.asked(), handshake_answer())
        await client.read()

        stage.broker.bare_tokens = 1
        await client.send(bare(plain("bob")) + fetch_frame("payments"))
        token = await stage.broker.asked()
        waits = await stage.broker.hears_nothing()
        await token.peer.send(bare(b""))
        asked = await stage.broker.asked()
        await answer_fetch(stage, asked)

        assert waits
        assert asked.frame == fetch_frame("payments")[4:]
        assert await client.read() == b""
        assert await read_value(client) == MASKED


async def test_keeps_the_principal_through_a_second_login() -> None:
    async with proxied(exempting()) as stage:
        client = await stage.connect()
        await log_in(stage, client, "PLAIN", PLAIN)

        # A long poll is answered while the second login is under way: the client was alice when it asked.
        await client.send(fetch_frame("payments") + handshake_frame("SCRAM-SHA-256"))
        poll, handshake = await stage.broker.asked(), await stage.broker.asked()
        await answer_fetch(stage, poll)
        during = await read_value(client)
        await stage.broker.answer(handshake, handshake_answer())
        await client.read()
        for token, answer in SCRAM:
            await client.send(token_frame(token, 2))
            await stage.broker.answer(await stage.broker.asked(), token_answer(answer, version=2))
            await client.read()

        assert during == CLEAR
        assert await fetch(stage, client) == CLEAR


async def test_follows_the_broker_to_another_principal() -> None:
    async with proxied(exempting()) as stage:
        client = await stage.connect()

        seen = []
        for steps in (PLAIN, [(plain("bob"), b"")], PLAIN):
            await log_in(stage, client, "PLAIN", steps)
            seen.append(await fetch(stage, client))

        assert seen == [CLEAR, MASKED, CLEAR]


async def test_asks_for_no_topic_name_while_a_login_is_under_way() -> None:
    topic, known = uuid.uuid4(), uuid.uuid4()
    async with proxied(exempting()) as stage:
        stage.learn(known, "other")
        client = await stage.connect()
        await log_in(stage, client, "PLAIN", PLAIN)
        await client.send(fetch_frame(known, version=13) + handshake_frame("PLAIN"))
        poll, _ = await stage.broker.asked(), await stage.broker.asked()

        await stage.broker.answer(poll, fetched(13, {topic: {0: write_batch([CLEAR])}}))
        told = await client.read()

        assert told is not None
        assert read_fetched(told, 13)[0].error_code == 100
        assert b"123-45" not in told
        assert await stage.broker.hears_nothing()


@pytest.mark.parametrize(
    ("client_id", "expected"), [(b"job", CLEAR), (b"other", MASKED), (None, MASKED), (b"", MASKED), (b"job\0", MASKED)]
)
async def test_a_client_id_counts_as_each_request_has_it(client_id: bytes | None, expected: bytes) -> None:
    async with proxied(exempting('clientId == "job"')) as stage:
        client = await stage.connect()

        await client.send(named(fetch_frame("payments"), client_id) + plain_frame(LIST_GROUPS, 2))
        poll, groups = await stage.broker.asked(), await stage.broker.asked()
        await answer_fetch(stage, poll)
        await stage.broker.answer(groups, b"groups")

        assert groups.header.client_id == "raw"
        assert await read_value(client) == expected


async def test_a_condition_sees_topic_and_listener() -> None:
    async with proxied(exempting('topic == "payments" && listener == "default"')) as stage:
        client = await stage.connect()

        assert await fetch(stage, client) == CLEAR


async def test_a_response_is_decided_by_the_rules_that_are_current_at_its_last_byte() -> None:
    async with proxied(exempting()) as stage:
        client = await stage.connect()
        await log_in(stage, client, "PLAIN", PLAIN)
        await client.send(fetch_frame("payments"))
        poll = await stage.broker.asked()

        stage.rules.apply(exempting('principal == "User:bob"'))
        await answer_fetch(stage, poll)

        assert await read_value(client) == MASKED


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged, at every level."""
    stream = io.StringIO()
    configure(LogConfig(level="debug"), stream)
    yield stream
    structlog.reset_defaults()
    configure(LogConfig())


def lines(log: io.StringIO, event: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, log.getvalue().splitlines()) if line["event"] == event]


@pytest.mark.parametrize("version", [0, 1])
async def test_logs_name_the_principal_and_no_token(version: int, log: io.StringIO) -> None:
    secret = "s3cr3t-of-alice"
    async with proxied(rules_text("produce")) as stage:
        client = await stage.connect()
        await log_in(stage, client, "PLAIN", [(plain("alice", secret), b"")], version=version)
        await client.send(produce_frame("payments", write_batch([b"{broken"])))
        await client.read()
        await client.send(plain_frame(500, 0))
        await client.read()

    assert [line["principal"] for line in lines(log, "logged in")] == ["User:alice"]
    assert [line["principal"] for line in lines(log, "produce refused")] == ["User:alice"]
    assert [line["principal"] for line in lines(log, "refused")] == ["User:alice"]
    assert secret not in log.getvalue()


async def test_logs_say_why_a_principal_is_not_known(log: io.StringIO) -> None:
    async with proxied() as stage:
        client = await stage.connect()
        await log_in(stage, client, "GSSAPI", [(b"token", b"")])

    (line,) = lines(log, "logged in")
    assert line["principal"] is None
    assert line["reason"].startswith("GSSAPI")


def test_a_session_keeps_the_plan_of_its_client_until_something_changes() -> None:
    plan, other = (compile_ruleset({"r": exempting(condition)}, lambda _: "") for condition in (ALICE, "true"))
    session = Session(listener="default")

    first = session.plan_for(plan, "a")
    same = session.plan_for(plan, "a")
    session.identity.principal = "User:alice"

    assert same is first
    assert session.plan_for(plan, "a") is not first
    assert session.plan_for(plan, "b") is not session.plan_for(plan, "a")
    assert session.plan_for(other, "a") is not session.plan_for(plan, "a")


def test_a_ruleset_without_a_condition_is_everybody_s_plan() -> None:
    plan = compile_ruleset({"r": rules_text("fetch")}, lambda _: "")

    assert Session(listener="default").plan_for(plan, "a") is plan


def test_an_identity_begins_anonymous_and_waits_for_nothing() -> None:
    identity = Identity()

    assert identity.principal == ANONYMOUS
    assert not identity.is_pending
    assert not identity.awaits_broker
    assert not identity.expects_bare_token
    assert repr(identity) == f"Identity(principal={ANONYMOUS!r}, is_pending=False)"


def test_a_principal_is_not_known_before_the_broker_has_accepted_it() -> None:
    identity = Identity()
    seen = []

    identity.offer("PLAIN", 1)
    seen.append((identity.principal, identity.is_pending, identity.awaits_broker))
    identity.offered(0)
    seen.append((identity.principal, identity.is_pending, identity.awaits_broker))
    identity.client_token(plain("alice"))
    seen.append((identity.principal, identity.is_pending, identity.awaits_broker))
    accepted = identity.server_token(0, b"")

    assert seen == [(ANONYMOUS, True, True), (ANONYMOUS, True, False), (ANONYMOUS, True, True)]
    assert accepted
    assert (identity.principal, identity.is_pending, identity.awaits_broker) == ("User:alice", False, False)


def test_an_error_never_accepts() -> None:
    identity = Identity()
    identity.offer("PLAIN", 1)
    identity.offered(0)
    identity.client_token(plain("alice"))

    assert not identity.server_token(FAILED, b"")
    assert not identity.server_token(0, b"")
    assert identity.principal == ANONYMOUS
    assert identity.is_pending


def test_a_new_handshake_begins_anew_after_a_failure() -> None:
    identity = Identity()
    identity.offer("PLAIN", 1)
    identity.offered(0)
    identity.client_token(plain("alice"))
    identity.server_token(FAILED, b"")

    identity.offer("PLAIN", 1)
    identity.offered(0)
    identity.client_token(plain("bob"))

    assert identity.server_token(0, b"")
    assert identity.principal == "User:bob"


def test_refuses_what_it_could_not_follow() -> None:
    with pytest.raises(RefusedLogin):
        Identity().offer("GSSAPI", 0)
    identity = Identity()
    identity.offer("PLAIN", 0)
    identity.offered(0)
    identity.client_token(plain("alice"))
    with pytest.raises(MalformedFrame):
        identity.client_token(plain("alice"))


EVENTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("offer"), st.sampled_from(["PLAIN", "SCRAM-SHA-256", "OAUTHBEARER", "GSSAPI"]), st.integers(0, 1)
        ),
        st.tuples(st.just("offered"), st.sampled_from([0, UNSUPPORTED_MECHANISM])),
        st.tuples(
            st.just("client"), st.sampled_from([plain("eve"), plain("bob"), scram_first("eve"), oauth(sub="eve"), b""])
        ),
        st.tuples(
            st.just("server"), st.sampled_from([0, FAILED]), st.sampled_from([b"", SCRAM_CHALLENGE, SCRAM_VERIFIED])
        ),
    ),
    max_size=14,
)


@given(EVENTS)
@settings(max_examples=300, deadline=None)
def test_whatever_the_order_nobody_is_known_who_was_not_accepted(events: list[tuple[Any, ...]]) -> None:
    identity = Identity()
    said: set[str] = set()
    for event, *details in events:
        before = identity.principal
        accepted = False
        try:
            match event:
                case "offer":
                    identity.offer(*details)
                case "offered":
                    identity.offered(*details)
                case "client":
                    identity.client_token(*details)
                    said |= {
                        f"User:{name}" for name in ("eve", "bob") if name.encode() in details[0] or b"ey" in details[0]
                    }
                case "server":
                    accepted = identity.server_token(*details)
        except ProtocolError:
            return  # the connection closes

        assert not accepted or details[0] == 0
        assert identity.principal == before or accepted
        assert identity.principal in {None, ANONYMOUS} | said
