"""The Java client's codecs as an oracle: what the proxy reads they read too, to the last byte, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.decoded import CASES, MESSAGES
from support.java_oracle import JavaOracle
from support.kafka_oracle import join, oracle
from support.required import needed
from wiremask.protocol.errors import MalformedMessage
from wiremask.protocol.schema import load

pytestmark = pytest.mark.broker

every_message = pytest.mark.parametrize(
    ("name", "version"), CASES, ids=[f"{name} {version}" for name, version in CASES]
)
few = settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
CRUMBS = st.sampled_from([b"\0", b"\1", b"\2", b"\x7f", b"\xff"])


@pytest.fixture(scope="module")
def java() -> Iterator[JavaOracle]:
    """Without Java or Maven the test is skipped, or fails where a broker is required."""
    with needed("Java client"), JavaOracle() as running:
        yield running


@every_message
@given(data=st.data())
@few
def test_java_reads_every_byte_of_what_we_read_and_writes_the_same(
    name: str, version: int, data: st.DataObject, java: JavaOracle
) -> None:
    known = oracle(name, unknown_tags=True)
    body = known.encode(data.draw(known.values(version)), version)

    ours = join(MESSAGES[name].read(body, version).edit().pieces())

    assert ours == body
    assert java.written(kind_of(name), load(name).api_key, version, body) == body


@every_message
@given(data=st.data())
@few
def test_java_refuses_nothing_that_we_take_and_reads_it_as_kafka_python_does(
    name: str, version: int, data: st.DataObject, java: JavaOracle
) -> None:
    known = oracle(name)
    mutated = bytearray(known.encode(data.draw(known.values(version)), version) or b"\0")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(len(mutated) - 1, 0)))
        mutated[at : at + data.draw(st.integers(0, 2))] = data.draw(CRUMBS)

    try:
        MESSAGES[name].read(bytes(mutated), version)
    except MalformedMessage:
        return

    written = java.written(kind_of(name), load(name).api_key, version, bytes(mutated))
    assert written is not None
    if not known.is_flexible(version):  # kafka-python drops tagged fields that it does not know
        assert written == known.encode(known.decode(mutated, version), version)


@pytest.mark.parametrize("damage", [lambda body: body + b"\0", lambda body: body[:-1]], ids=["late", "early"])
def test_java_refuses_a_message_that_ends(damage: Callable[[bytes], bytes], java: JavaOracle) -> None:
    known = oracle("MetadataResponse")
    body = known.encode(known.sample(12), 12)

    assert java.written("response", 3, 12, body) == body
    assert java.written("response", 3, 12, damage(body)) is None


def kind_of(name: str) -> Literal["request", "response"]:
    return "request" if name.endswith("Request") else "response"
