"""Every message that is decoded, at every version: read and written again, it is equal to the last byte.

Without an edit all of it is passed on as it came. So the test writes every field that is shown anew from its value, and once more
after all of them were longer; what no view shows is never written by anybody.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.decoded import CASES, MESSAGES
from support.kafka_oracle import Values, join, oracle
from support.rewritten import grown, put_all, read_all
from wiremask.protocol.api import APIS, Mode
from wiremask.protocol.errors import MalformedMessage
from wiremask.protocol.schema import load
from wiremask.protocol.view import Message

every_message = pytest.mark.parametrize(
    ("name", "version"), CASES, ids=[f"{name} {version}" for name, version in CASES]
)
few = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))


def test_the_messages_of_every_api_that_is_decoded_are_here() -> None:
    decoded = {api.name for api in APIS.values() if api.mode in {Mode.READ, Mode.REWRITE}}

    guarded = {api.name for api in APIS.values() if api.mode is Mode.GUARD}
    assert {name.removesuffix("Response") for name in MESSAGES if name.endswith("Response")} == decoded
    assert {name.removesuffix("Request") for name in MESSAGES if name.endswith("Request")} == decoded | guarded


def test_every_version_that_the_table_takes_can_be_read() -> None:
    taken = {
        (name, version)
        for name in MESSAGES
        for version in range(APIS[load(name).api_key].first, APIS[load(name).api_key].last + 1)
    }

    assert set(CASES) == taken


def body_of(name: str, version: int, data: st.DataObject) -> bytes:
    """A message with fields that nobody knows."""
    known = oracle(name, unknown_tags=True)
    values: Values = data.draw(known.values(version))
    if name == "ApiVersionsResponse":
        values["error_code"] = 0  # an error may be in another layout
    return known.encode(values, version)


def written(message: Message, values: list[object]) -> bytes:
    """The message with these values in all of its fields."""
    edits = message.edit()
    put_all(edits, message, values)
    return join(edits.pieces())


@every_message
@given(data=st.data())
@few
def test_every_field_written_from_its_value_gives_the_same_bytes(name: str, version: int, data: st.DataObject) -> None:
    body = body_of(name, version, data)
    message = MESSAGES[name].read(body, version)
    values = read_all(message)

    longer = MESSAGES[name].read(written(message, grown(values)), version)

    assert written(message, values) == body
    assert read_all(longer) == grown(values)
    assert written(longer, values) == body


@every_message
@given(data=st.data())
@few
def test_all_its_bytes_are_read_and_without_an_edit_they_are_written_again(
    name: str, version: int, data: st.DataObject
) -> None:
    body = body_of(name, version, data)
    cut = body[: data.draw(st.integers(0, max(len(body) - 1, 0)))]

    message = MESSAGES[name].read(body, version)

    edits = message.edit()
    assert not edits
    if hasattr(message, "put_addresses"):
        message.put_addresses(edits, lambda _node, host, port: (host, port))
    assert join(edits.pieces()) == body
    with pytest.raises(MalformedMessage):
        MESSAGES[name].read(body + b"\0", version)
    if cut != body:
        with pytest.raises(MalformedMessage):
            MESSAGES[name].read(cut, version)
