"""Every message that is decoded, at every version: read and written again without an edit, it is equal to the last byte."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.decoded import CASES, MESSAGES
from support.kafka_oracle import join, oracle
from wiremask.protocol.api import APIS, Mode
from wiremask.protocol.errors import MalformedMessage
from wiremask.protocol.schema import load

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


@every_message
@given(data=st.data())
@few
def test_all_its_bytes_are_read_and_without_an_edit_they_are_written_again(
    name: str, version: int, data: st.DataObject
) -> None:
    known = oracle(name, unknown_tags=True)
    values = data.draw(known.values(version))
    if name == "ApiVersionsResponse":
        values["error_code"] = 0  # an error may be in another layout
    body = known.encode(values, version)
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
