"""An Apache Kafka whose SASL listener speaks TLS, and who may log in there."""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING

from support import broker_schemas
from support.capture import RawClient
from support.kafka import KafkaCluster, running_cluster
from support.login import AUTHENTICATE, handshake_frame, scram_last, token_frame

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


@contextlib.contextmanager
def raw_client(address: str, ca: Path, user: str) -> Iterator[RawClient]:
    """A client that speaks TLS, has logged in by SCRAM, and sends any bytes from there on."""
    with RawClient(address, tls=ssl.create_default_context(cafile=str(ca))) as client:
        first = f"n={user},r=of-the-client"
        challenge = log_in(client, "SCRAM-SHA-256", b"n,," + first.encode()).decode()
        verified = tell(client, scram_last(first, challenge, PASSWORD))
        assert verified.startswith(b"v=")
        yield client


def log_in(client: RawClient, mechanism: str, token: bytes) -> bytes:
    """Begins a login with its first token, and gives what the broker says to it."""
    client.ask(handshake_frame(mechanism))
    return tell(client, token)


def tell(client: RawClient, token: bytes) -> bytes:
    """One more token of a login, and what the broker says to it."""
    told = broker_schemas.decode("response", AUTHENTICATE, 1, client.ask(token_frame(token)))
    assert told["ErrorCode"] == 0
    answer: bytes = told["AuthBytes"]
    return answer
