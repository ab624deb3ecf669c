"""An Apache Kafka whose SASL listener speaks TLS, and who may log in there."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from support.kafka import KafkaCluster, running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.authority import Authority

USERS = ("fraud", "analytics", "others")
PROXY = "proxy"
"""The user that the proxy itself logs in as."""
PASSWORD = "a-password-of-theirs"


@contextlib.contextmanager
def secure_cluster(home: Path, authority: Authority) -> Iterator[KafkaCluster]:
    """One node that serves SASL_SSL, by a certificate of the authority, for the length of a `with` block.

    Raises:
        KafkaUnavailable: there is no Java, Maven or Kafka here.
    """
    issued = authority.issue("broker")
    store = home / "broker.pem"
    store.write_bytes(issued.key.read_bytes() + issued.certificate.read_bytes())
    settings = {
        "listener_security_protocol_map": "CLIENT:PLAINTEXT,SASL:SASL_SSL,RECORDED:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "listener_name_sasl_ssl_keystore_type": "PEM",
        "listener_name_sasl_ssl_keystore_location": str(store),
    }
    with running_cluster(home, **settings) as cluster:
        for user in (*USERS, PROXY):
            cluster.add_scram_user(user, PASSWORD)
        yield cluster
