"""The trap of the cluster's tests springs when a client learns where a broker is."""

from __future__ import annotations

import confluent_kafka
import pytest

from support.kafka import KafkaCluster
from support.tripwire import Tripwires, strangers
from support.wait import eventually

pytestmark = pytest.mark.broker


def test_client_that_is_told_where_a_broker_is_is_caught(kafka: KafkaCluster) -> None:
    wires = Tripwires()
    wires.guard(kafka.broker)
    direct = confluent_kafka.Producer({"bootstrap.servers": kafka.recorded_bootstrap, "log_level": 0})

    direct.produce("any", b"value")

    eventually(lambda: wires.touched > 0, what="a client at the advertised port")
    assert strangers(kafka)
    direct.purge()
    wires.close()
