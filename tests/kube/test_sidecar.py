"""The sidecar of an admitted pod, run from its very specification: clients, rules and an end as in a cluster."""

from __future__ import annotations

import base64
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest

from support.installation import Installation, namespace
from support.kafka import KafkaCluster
from support.kubelet import Container, contents, lay_out
from support.rulefolder import rule, ruleset
from support.wait import eventually

pytestmark = [pytest.mark.kube, pytest.mark.broker, pytest.mark.timeout(300)]

Json = dict[str, Any]

PLACE = "orders"
GRACE_S = 30
RECORDS = 2_000
SSN = "123-45-6789"


def rules(mask: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "wiremask-rules", "namespace": PLACE, "labels": {"wiremask.dev/rules": "true"}},
        "data": {"rules.yaml": ruleset(rule("pii", "orders-*", {"$.ssn": mask}))},
    }


def secret(name: str) -> Json:
    data = {"value": base64.b64encode(b"s").decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": PLACE}, "data": data}


@pytest.fixture(scope="module")
def admitted(installed: Installation) -> Json:
    """A pod as the API server stored it."""
    namespace(installed.api, PLACE, **{"wiremask.dev/inject": "true"})
    installed.api.create(rules({"partial": {"keepLast": 4}}))
    for name in ("wiremask-keys", "wiremask-broker"):
        installed.api.create(secret(name))
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "orders", "namespace": PLACE},
        "spec": {"containers": [{"name": "orders", "image": "orders:1"}]},
    }
    return installed.api.create(pod)


@pytest.fixture
def sidecar(admitted: Json, installed: Installation, tmp_path: Path) -> Iterator[Container]:
    """The sidecar, started and ready."""
    get = installed.api.ask
    paths = {
        ("ConfigMap", "wiremask-rules"): "configmaps/wiremask-rules",
        ("Secret", "wiremask-keys"): "secrets/wiremask-keys",
        ("Secret", "wiremask-broker"): "secrets/wiremask-broker",
    }
    objects = {
        name: {**get("GET", f"/api/v1/namespaces/{PLACE}/{path}"), "kind": name[0]} for name, path in paths.items()
    }
    container = Container(
        admitted["spec"]["initContainers"][0],
        admitted["spec"]["volumes"],
        objects,
        tmp_path,
        {"WIREMASK_RULES__PATH": str(tmp_path / "etc/wiremask/rules")},
    )
    container.process.start()
    eventually(lambda: probe(installed, "/startupz") == 200, timeout_s=60, what=container.process.tail())
    eventually(lambda: probe(installed, "/readyz") == 200, timeout_s=60, what=container.process.tail())
    yield container
    container.process.stop()


def probe(installed: Installation, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", installed.admin_port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def of_application(admitted: Json) -> dict[str, str]:
    """The environment of the application's container."""
    return {entry["name"]: entry["value"] for entry in admitted["spec"]["containers"][0]["env"]}


def send(bootstrap: str, topic: str) -> None:
    producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap})
    producer.produce(topic, json.dumps({"ssn": SSN}).encode())
    assert producer.flush(30) == 0


def stored(kafka: KafkaCluster, topic: str, count: int) -> list[Any]:
    """The first values of a topic's only partition, read from the broker."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": kafka.bootstrap, "group.id": "none", "enable.auto.commit": False}
    )
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    try:
        values: list[bytes | None] = []
        while len(values) < count:
            messages = consumer.consume(count, timeout=10)
            assert messages, f"{len(values)} of {count} records are there"
            values += [message.value() for message in messages]
        assert not consumer.consume(1, timeout=0.5), "more was stored than was sent"
    finally:
        consumer.close()
    return [json.loads(value or b"null") for value in values]


def test_environment_of_the_application_alone_leads_its_client_through_the_mask(
    sidecar: Container, admitted: Json, kafka: KafkaCluster, make_topic: Callable[..., str]
) -> None:
    topic = make_topic("orders")

    send(of_application(admitted)["KAFKA_BOOTSTRAP_SERVERS"], topic)

    assert sidecar.process.running
    assert stored(kafka, topic, 1) == [{"ssn": "***-**-6789"}]


def test_changed_config_map_changes_the_mask_without_a_restart(
    sidecar: Container,
    admitted: Json,
    installed: Installation,
    kafka: KafkaCluster,
    make_topic: Callable[..., str],
) -> None:
    topic, pid = make_topic("orders"), sidecar.process.pid
    bootstrap = of_application(admitted)["KAFKA_BOOTSTRAP_SERVERS"]
    send(bootstrap, topic)

    changed = installed.api.replace(rules("redact"))
    lay_out(sidecar.mounts["wiremask-rules"], contents(changed))
    eventually(lambda: "rules applied" in sidecar.process.output(), timeout_s=30, what="the new rules")
    send(bootstrap, topic)

    assert stored(kafka, topic, 2) == [{"ssn": "***-**-6789"}, {"ssn": "[redacted]"}]
    assert sidecar.process.pid == pid
    # Back again is less: not as a change, but as other rules.
    installed.api.delete(changed)
    installed.api.create(rules({"partial": {"keepLast": 4}}))


def test_end_of_the_pod_drains_and_loses_nothing(
    sidecar: Container, admitted: Json, installed: Installation, kafka: KafkaCluster, make_topic: Callable[..., str]
) -> None:
    topic = make_topic("orders")
    failures: list[str] = []
    half = threading.Event()

    def produce() -> None:
        producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": of_application(admitted)["KAFKA_BOOTSTRAP_SERVERS"],
                "enable.idempotence": True,
                "linger.ms": 1,
                "reconnect.backoff.max.ms": 200,
                "log_level": 0,
            }
        )

        def delivered(error: confluent_kafka.KafkaError | None, _message: confluent_kafka.Message) -> None:
            if error is not None:
                failures.append(error.name())

        for number in range(RECORDS):
            value = json.dumps({"ssn": SSN, "number": number}).encode()
            producer.produce(topic, value, on_delivery=delivered)
            producer.poll(0.001)
            if number == RECORDS // 2:
                half.set()
        if producer.flush(120):
            failures.append("not all was delivered")

    thread = threading.Thread(target=produce)
    thread.start()
    assert half.wait(60)
    code = sidecar.process.stop(timeout_s=GRACE_S)
    sidecar.process.start()
    thread.join(180)

    assert not thread.is_alive()
    assert code == 0
    assert failures == []
    assert stored(kafka, topic, RECORDS) == [{"ssn": "***-**-6789", "number": n} for n in range(RECORDS)]
    assert probe(installed, "/livez") == 200
