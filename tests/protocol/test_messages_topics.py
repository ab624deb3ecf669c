"""Answers that teach topic ids, and the few fields of a SASL login."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.kafka_oracle import oracle
from wiremask.protocol.messages.metadata import MetadataResponse
from wiremask.protocol.messages.sasl import SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse
from wiremask.protocol.messages.topic import CreateTopicsResponse, DescribeTopicPartitionsResponse, topic_names

TEACHERS: dict[str, type[CreateTopicsResponse | DescribeTopicPartitionsResponse | MetadataResponse]] = {
    "CreateTopicsResponse": CreateTopicsResponse,
    "DescribeTopicPartitionsResponse": DescribeTopicPartitionsResponse,
    "MetadataResponse": MetadataResponse,
}


@pytest.mark.parametrize("name", TEACHERS)
@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_learns_the_ids_and_names_of_topics_without_error(name: str, data: st.DataObject) -> None:
    known = oracle(name, unknown_tags=True)
    version = data.draw(st.sampled_from(known.versions))
    values = data.draw(known.values(version))
    for topic in values["topics"]:
        topic["error_code"] = data.draw(st.sampled_from([0, 0, 3]))
        if "topic_id" in topic:
            topic["topic_id"] = data.draw(st.sampled_from([uuid.UUID(int=0), uuid.UUID(int=7)]))

    learned = list(topic_names(TEACHERS[name].read(known.encode(values, version), version).topics))

    assert learned == [
        (topic["topic_id"].bytes, topic["name"])
        for topic in values["topics"]
        if topic["error_code"] == 0 and topic["name"] and topic.get("topic_id")
        if topic["topic_id"].int
    ]


@pytest.mark.parametrize("version", [0, 1])
def test_reads_the_choice_of_a_mechanism(version: int) -> None:
    request = oracle("SaslHandshakeRequest").encode({"mechanism": "SCRAM-SHA-512"}, version)
    response = oracle("SaslHandshakeResponse").encode({"error_code": 33, "mechanisms": ["PLAIN"]}, version)

    assert SaslHandshakeRequest.read(request, version).mechanism == "SCRAM-SHA-512"
    assert SaslHandshakeResponse.read(response, version).error_code == 33


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("error_code", [0, 58])
def test_reads_whether_a_login_step_worked(version: int, error_code: int) -> None:
    values = {"error_code": error_code, "error_message": None, "auth_bytes": b"token", "session_lifetime_ms": 0}

    response = SaslAuthenticateResponse.read(oracle("SaslAuthenticateResponse").encode(values, version), version)

    assert response.error_code == error_code
