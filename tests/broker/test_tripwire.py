"""The trap of the cluster's tests springs when a client learns where a broker is."""

from __future__ import annotations

import os

import confluent_kafka
import pytest

from support.capture import RawClient
from support.kafka import KafkaCluster
from support.requests import brokers_told
from support.tripwire import Tripwires, strangers
from support.wait import eventually

pytestmark = pytest.mark.broker


def test_client_that_is_told_where_a_broker_is_is_caught(kafka: KafkaCluster) -> None:
    wires = Tripwires()
    wires.guard(kafka.broker)
    direct = confluent_kafka.Producer({"bootstrap.servers": kafka.recorded_bootstrap, "log_level": 0})

    direct.produce("any", b"value")

    eventually(lambda: wires.touched > 0, what="a client at the advertised port")
    direct.purge()
    wires.close()


def test_process_with_a_connection_to_a_broker_is_a_stranger_unless_allowed(kafka: KafkaCluster) -> None:
    with RawClient(kafka.recorded_bootstrap) as client:
        brokers_told(client)
        found, beside = strangers(kafka), strangers(kafka, os.getpid())

    assert os.getpid() in found
    assert os.getpid() not in beside
