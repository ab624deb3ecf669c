"""The records of the demo: what is sent, what is stored, what is read, and what may differ between these.

All are invented: card schemes' test numbers, and social security numbers of the block reserved for advertisements.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from wiremask.proxy.demo.cluster import WAIT_S, DemoFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FIELDS = {
    "name": ("customer", "name"),
    "e-mail": ("customer", "email"),
    "ssn": ("customer", "ssn"),
    "card": ("card", "number"),
    "amount": ("amount",),
}
"""What is shown of a value: a short name, and where it stands. In the order of the document."""

MASKED_WHEN_STORED = ("ssn", "card")
MASKED_WHEN_READ = ("name", "e-mail", "ssn", "card")

REDACTED = "[redacted]"

RULES = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: demo}
rules:
  - name: never-stored        # on the way in: the broker never has them in clear
    topics: [TOPIC]
    at: [produce]
    value:
      format: json
      fields:
        - {path: $.card.number, mask: {partial: {keepLast: 4}}}
        - {path: $.customer.ssn, mask: {partial: {keepLast: 4}}}
  - name: not-for-readers     # on the way out: stored in clear, masked for who reads through the proxy
    topics: [TOPIC]
    at: [fetch]
    value:
      format: json
      fields:
        - {path: $.customer.name, mask: {partial: {keepFirst: 1}}}
        - {path: $.customer.email, mask: redact}
"""
CHANGE = ("{path: $.customer.ssn, mask: {partial: {keepLast: 4}}}", "{path: $.customer.ssn, mask: redact}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """One value at three places."""

    sent: bytes
    stored: bytes
    read: bytes


def rules(topic: str, *, changed: bool = False) -> str:
    """The text of the rule file, before or after the one change."""
    text = RULES.replace("TOPIC", topic)
    return text.replace(*CHANGE) if changed else text


def first_records() -> list[bytes]:
    """What is sent before the rules change."""
    return [
        _value("Ada Example", "ada@example.com", "987-65-4320", "4111 1111 1111 1111", "1250.00"),
        _value("Bo Sample", "bo@example.org", "987-65-4321", "5555 5555 5555 4444", "19.90"),
        _value("Zoë Muster", "zoe@example.net", "987-65-4322", "3782 822463 10005", "1e3"),
    ]


def later_records() -> list[bytes]:
    """What is sent after the rules have changed."""
    return [_value("Noa Placeholder", "noa@example.com", "987-65-4323", "6011 1111 1111 1117", "0.10")]


def _value(name: str, email: str, ssn: str, card: str, amount: str) -> bytes:
    """A value with the white space of its producer and an amount whose zeros no JSON library would keep."""
    customer = json.dumps({"name": name, "email": email, "ssn": ssn}, ensure_ascii=False)
    return f'{{"customer": {customer}, "card": {{"number": "{card}"}}, "amount": {amount}}}'.encode()


async def travel(sent: Sequence[bytes], *, proxy: str, broker: str, topic: str, earlier: int = 0) -> list[Journey]:
    """Sends through the proxy, then reads at the broker and through the proxy.

    Args:
        proxy, broker: their addresses, `host:port`.
        earlier: how many records were in the topic before.

    Raises:
        DemoFailed: a record did not come.
        KafkaError: a client gave up.
    """
    producer = AIOKafkaProducer(bootstrap_servers=proxy)
    await producer.start()
    try:
        for value in sent:
            await asyncio.wait_for(producer.send_and_wait(topic, value, partition=0), WAIT_S)
    except TimeoutError:
        raise DemoFailed(f"a record was not delivered within {WAIT_S:g} s") from None
    finally:
        await producer.stop()
    stored = await _read(broker, topic, earlier + len(sent))
    read = await _read(proxy, topic, earlier + len(sent))
    return [
        Journey(sent=clear, stored=kept, read=seen)
        for clear, kept, seen in zip(sent, stored[earlier:], read[earlier:], strict=True)
    ]


async def _read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=100)
    await consumer.start()
    try:
        records = [await asyncio.wait_for(consumer.getone(), WAIT_S) for _ in range(count)]
    except TimeoutError:
        raise DemoFailed(f"{bootstrap} did not serve {count} records within {WAIT_S:g} s") from None
    finally:
        await consumer.stop()
    return [record.value or b"" for record in records]


def leaves(value: bytes) -> dict[str, str]:
    """`FIELDS` of a value, by name; numbers as they are written."""
    document = json.loads(value, parse_float=str, parse_int=str)
    found = {}
    for name, path in FIELDS.items():
        leaf = document
        for step in path:
            leaf = leaf[step]
        found[name] = str(leaf)
    return found


def find_faults(journey: Journey) -> list[str]:
    """What is not as the rules want it, in words that hold no value; empty when all is well."""
    return [
        *(f"stored on the broker, {fault}" for fault in _faults(journey, "stored")),
        *(f"read by the consumer, {fault}" for fault in _faults(journey, "read")),
    ]


def _faults(journey: Journey, place: Literal["stored", "read"]) -> Iterator[str]:
    value, masked = (journey.stored, MASKED_WHEN_STORED) if place == "stored" else (journey.read, MASKED_WHEN_READ)
    try:
        before, after = leaves(journey.sent), leaves(value)
    except (ValueError, LookupError, TypeError):
        yield "the value is not what it was"
        return
    restored = value
    for name in masked:
        clear = before[name].encode()
        if clear in value:
            yield f"{name} is in clear"
        # Fields are masked in the document's order, so the first text that is equal is the field's own.
        restored = restored.replace(after[name].encode(), clear, 1)
    if restored != journey.sent:
        yield "a byte changed that no rule names"
