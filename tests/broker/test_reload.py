"""Rules that change while records flow: every record is masked by one ruleset or the other, and no connection drops."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from support.batches import read_batches, write_batch
from support.capture import RawClient
from support.clients import CLIENTS, Client, Message
from support.customers import customer, messages, pan, ssn
from support.kafka import KafkaCluster
from support.proxy import ProxyProcess, assert_absent
from support.requests import ask_fetch, ask_produce
from support.rulefolder import rule, ruleset
from support.wait import eventually, eventually_async

pytestmark = pytest.mark.broker

MakeTopic = Callable[..., str]
StartProxy = Callable[..., ProxyProcess]
SWAPS = 6
AT_ONCE = 400
"""Records of one send: 100 KB, of which a worker thread makes a batch at a time."""


def marked(word: str) -> str:
    """Rules that leave `word` in two fields of every record that they masked."""
    fields = {"$.ssn": {"redact": {"text": word}}, "$.card.pan": {"redact": {"text": word}}}
    return ruleset(rule("stored", "stored-*", fields), rule("viewed", "viewed-*", fields, at=["fetch"]))


OLD, NEW = "[old]", "[new]"
BROKEN = '{"apiVersion": "wiremask.dev/v1", "kind": "RuleSet", "rules": [{"name": "half'


@asynccontextmanager
async def running(work: Callable[[], object]) -> AsyncIterator[list[object]]:
    """Runs a coroutine function again and again beside the block; gives the list of its results."""
    results: list[object] = []
    stop = asyncio.Event()

    async def repeat() -> None:
        while not stop.is_set():
            results.append(await work())  # type: ignore[misc]

    task = asyncio.ensure_future(repeat())
    try:
        yield results
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


async def swap(proxy: ProxyProcess, results: list[object]) -> None:
    """Changes the rules back and forth, with some work done under each."""
    for number in range(SWAPS):
        await asyncio.to_thread(proxy.change_rules, marked(NEW if number % 2 == 0 else OLD))
        done = len(results)
        await eventually_async(partial(_more, results, done + 3), what="work under the new rules")


@pytest.mark.parametrize("configmap", [False, True], ids=["file", "configmap"])
async def test_every_record_is_masked_by_the_old_or_the_new_rules(
    client: Client, configmap: bool, start_proxy: StartProxy, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    proxy = start_proxy(rules=marked(OLD), configmap=configmap)
    topic = make_topic("stored")
    count = 0

    async with client.producer(proxy.bootstrap, idempotent=True, linger_ms=1) as producer:

        async def send() -> None:
            nonlocal count
            await producer.send(topic, messages(25, first=count))
            count += 25

        await send()
        async with running(send) as results:
            await swap(proxy, results)
        dropped = _dropped(proxy)

    batches = read_batches(kafka.segments(topic)[0])
    words = [{_words(record.value) for record in batch.records} for batch in batches]
    assert [word for batch in words for word in batch if word not in ((OLD, OLD), (NEW, NEW))] == []
    assert {len(batch) for batch in words} == {1}
    assert {word for batch in words for word in batch} == {(OLD, OLD), (NEW, NEW)}
    assert [json.loads(r.value or b"")["id"] for batch in batches for r in batch.records] == list(range(count))
    assert dropped == 0
    assert proxy.metric("wiremask_ruleset_reloads_total", outcome="applied") == SWAPS


@pytest.mark.parametrize("codec", ["none", "gzip"])
async def test_readers_lose_nothing_and_see_nothing_in_clear_while_rules_change(
    client: Client, codec: str, start_proxy: StartProxy, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    proxy = start_proxy(rules=marked(OLD), settings={"limits": {"workerBytes": 4_096}})
    stored, viewed = make_topic("stored"), make_topic("viewed")
    total = 0

    async with AsyncExitStack() as stack:
        through, direct = [
            await stack.enter_async_context(client.producer(address, codec=codec, batch_bytes=1 << 20))
            for address in (proxy.bootstrap, kafka.bootstrap)
        ]
        readers = {
            (reader.name, topic): await stack.enter_async_context(
                reader.member(proxy.bootstrap, topic, f"{topic}-{reader.name}")
            )
            for reader in CLIENTS
            for topic in (stored, viewed)
        }

        async def send() -> None:
            nonlocal total
            sent = messages(AT_ONCE, first=total)
            total += AT_ONCE
            await asyncio.gather(through.send(stored, sent), direct.send(viewed, sent))

        async def all_is_read() -> bool:
            return all(len(reader.received) >= total for reader in readers.values())

        await send()
        await eventually_async(all_is_read, what="the first records at every reader")
        async with running(send) as results:
            await swap(proxy, results)
        await eventually_async(all_is_read, what="all records at every reader")
        dropped = _dropped(proxy)

    for reader in readers.values():
        words = [_word_of(message.value or b"", number) for number, message in enumerate(reader.received)]
        assert len(words) == total
        assert [number for number, word in enumerate(words) if word is None] == []
        assert set(words) == {OLD, NEW}
    assert dropped == 0
    largest = max(len(batch.records) for batch in read_batches(kafka.segments(stored)[0]))
    assert largest >= AT_ONCE // 2


async def test_every_fetch_is_masked_by_the_old_or_the_new_rules(
    start_proxy: StartProxy, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    proxy = start_proxy(rules=marked(OLD))
    topic = make_topic("viewed")
    with RawClient(kafka.bootstrap) as direct:
        ask_produce(direct, topic, write_batch([customer(number) for number in range(50)]))

    with RawClient(proxy.bootstrap) as client:

        async def fetch() -> set[tuple[str, str]]:
            fetched = await asyncio.to_thread(ask_fetch, client, topic)
            return {_words(record.value) for batch in read_batches(fetched.records) for record in batch.records}

        async with running(fetch) as results:
            await swap(proxy, results)

    assert all(words in ({(OLD, OLD)}, {(NEW, NEW)}) for words in results)
    assert {(OLD, OLD)} in results
    assert {(NEW, NEW)} in results


async def test_invalid_file_keeps_the_old_rules_and_says_so(
    start_proxy: StartProxy, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    proxy = start_proxy(rules=marked(OLD))
    topic = make_topic("stored")
    secret = "7f3a-rule-file-secret"

    proxy.change_rules(BROKEN + secret, outcome="refused")
    ready, detail = proxy.ready()
    with RawClient(proxy.bootstrap) as client:
        ask_produce(client, topic, write_batch([customer(1)]))
    shown = proxy.everything()
    proxy.change_rules(marked(NEW))
    with RawClient(proxy.bootstrap) as client:
        ask_produce(client, topic, write_batch([customer(2)]))

    assert ready
    assert any("rules.yaml:" in line for line in detail["refusedChange"])
    assert proxy.says("rules refused", "rules.yaml:")
    assert proxy.metric("wiremask_ruleset_reloads_total", outcome="refused") == 1
    assert_absent(shown, [secret])
    values = [record.value for batch in read_batches(kafka.segments(topic)[0]) for record in batch.records]
    assert [_words(value) for value in values] == [(OLD, OLD), (NEW, NEW)]
    assert proxy.ready()[1]["refusedChange"] == []


def test_folder_that_loses_its_rules_keeps_masking(
    start_proxy: StartProxy, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    proxy = start_proxy(rules=marked(OLD))
    topic = make_topic("stored")

    (proxy.rules.path / "rules.yaml").unlink()
    eventually(lambda: proxy.metric("wiremask_ruleset_reloads_total", outcome="refused") > 0, what="a refused reload")
    with RawClient(proxy.bootstrap) as client:
        ask_produce(client, topic, write_batch([customer(1)]))

    (batch,) = read_batches(kafka.segments(topic)[0])
    assert _words(batch.records[0].value) == (OLD, OLD)


def test_invalid_rules_at_the_start_refuse_to_start(start_proxy: StartProxy, tmp_path: Path) -> None:
    proxy = start_proxy(rules=BROKEN, start=False)

    proxy.start(wait=False)
    code = proxy.wait(timeout_s=20)

    assert code != 0
    assert "rules.yaml:" in proxy.output()


async def test_key_of_a_rule_is_never_shown(start_proxy: StartProxy, client: Client, make_topic: MakeTopic) -> None:
    key = "hex:" + hashlib.sha256(b"a key that is looked for").hexdigest()
    text = ruleset(
        rule("stored", "stored-*", {"$.ssn": {"hash": {"key": "pii"}}}), keys={"pii": {"env": "WIREMASK_KEY_PII"}}
    )
    proxy = start_proxy(rules=text, env={"WIREMASK_KEY_PII": key})

    async with client.producer(proxy.bootstrap) as producer:
        await producer.send(make_topic("stored"), [Message(value=customer(1))])

    assert_absent(proxy.everything(), [key, key[4:]])


def _dropped(proxy: ProxyProcess) -> float:
    """Connections that ended otherwise than by their client, which may close one that it needs no more."""
    name = "wiremask_connections_closed_total"
    return proxy.metric(name) - proxy.metric(name, reason="client closed")


async def _more(results: list[object], count: int) -> bool:
    return len(results) >= count


def _word_of(value: bytes, number: int) -> str | None:
    """The word that stands in the place of both secrets of that customer; None if the rest is not exactly as it was."""
    clear = ssn(number).encode(), pan(number).encode()
    for word in (OLD, NEW):
        if value == customer(number).replace(clear[0], word.encode()).replace(clear[1], word.encode()):
            return word
    return None


def _words(value: bytes | None) -> tuple[str, str]:
    document = json.loads(value or b"")
    return document["ssn"], document["card"]["pan"]
