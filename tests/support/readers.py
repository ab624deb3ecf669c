"""Readers that log in over TLS: one value of a topic, by four client libraries, each with a name of its own."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import confluent_kafka
from aiokafka import AIOKafkaConsumer
from aiokafka.helpers import create_ssl_context
from kafka import KafkaConsumer
from kafka.net.sasl.oauth import AbstractTokenProvider

from support.javatools import java_tool
from support.login import AioTokens, access_token

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.authority import Issued

READ_S = 60.0
_PLAIN_JAAS = 'org.apache.kafka.common.security.{module} required username="{user}" password="{password}";'
_OAUTH = "org.apache.kafka.common.security.oauthbearer"
_OAUTH_MODULE = f"{_OAUTH}.OAuthBearerLoginModule"
_OAUTH_JAAS = _OAUTH_MODULE + ' required unsecuredLoginStringClaim_sub="{user}";'


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a reader gets in: by a login (OAUTHBEARER with an unsigned token unless `token` is given), or by a certificate."""

    bootstrap: str
    ca: Path
    mechanism: str = ""
    user: str = ""
    password: str = ""
    certificate: Issued | None = None
    token: str | None = None
    hosts: Path | None = None
    """A file in the form of /etc/hosts, which Java can be told to look names up in."""

    @property
    def protocol(self) -> str:
        """Kafka's name for it."""
        return "SASL_SSL" if self.certificate is None else "SSL"

    @property
    def access_token(self) -> str:
        """What OAUTHBEARER carries."""
        return self.token or access_token(self.user)


async def read_with_aiokafka(access: Access, topic: str) -> bytes | None:
    """One value, by aiokafka."""

    shown = access.certificate
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=access.bootstrap,
        auto_offset_reset="earliest",
        security_protocol=access.protocol,
        ssl_context=create_ssl_context(
            cafile=str(access.ca),
            certfile=None if shown is None else str(shown.certificate),
            keyfile=None if shown is None else str(shown.key),
        ),
        sasl_mechanism=access.mechanism,
        sasl_plain_username=access.user,
        sasl_plain_password=access.password,
        sasl_oauth_token_provider=AioTokens(access.access_token) if access.mechanism == "OAUTHBEARER" else None,
    )
    try:
        async with asyncio.timeout(READ_S):
            await consumer.start()
            value: bytes | None = (await consumer.getone()).value
            return value
    finally:
        await consumer.stop()


def _with_confluent(access: Access, topic: str) -> bytes | None:
    options: dict[str, Any] = {"sasl.mechanism": access.mechanism}
    if access.certificate is not None:
        options = {"ssl.certificate.location": str(access.certificate.certificate)}
        options["ssl.key.location"] = str(access.certificate.key)
    elif access.mechanism == "OAUTHBEARER":
        options["oauth_cb"] = lambda _: (access.access_token, time.time() + 600)
    else:
        options |= {"sasl.username": access.user, "sasl.password": access.password}
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": access.bootstrap,
            "group.id": "none",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "security.protocol": access.protocol,
            "ssl.ca.location": str(access.ca),
            "log_level": 0,
            **options,
        }
    )
    try:
        consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
        message = consumer.poll(READ_S)
        assert message is not None
        assert message.error() is None, message.error()
        return message.value()
    finally:
        consumer.close()


def kafka_python_settings(access: Access) -> dict[str, Any]:
    """In kafka-python's words; a token provider is not among them."""
    settings = {"security_protocol": access.protocol, "ssl_cafile": str(access.ca)}
    if access.certificate is not None:
        shown = access.certificate
        return settings | {"ssl_certfile": str(shown.certificate), "ssl_keyfile": str(shown.key)}
    settings["sasl_mechanism"] = access.mechanism
    if access.mechanism != "OAUTHBEARER":
        settings |= {"sasl_plain_username": access.user, "sasl_plain_password": access.password}
    return settings


def _with_kafka_python(access: Access, topic: str) -> bytes | None:
    class Token(AbstractTokenProvider):  # type: ignore[misc]
        def token(self) -> str:
            return access.access_token

    options = kafka_python_settings(access)
    if access.mechanism == "OAUTHBEARER":
        options["sasl_oauth_token_provider"] = Token()
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=access.bootstrap,
        auto_offset_reset="earliest",
        consumer_timeout_ms=int(READ_S * 1000),
        **options,
    )
    try:
        value: bytes | None = next(consumer).value
        return value
    finally:
        consumer.close()


def java_settings(access: Access) -> dict[str, str]:
    """In Java's words; with OAUTHBEARER it makes an unsigned token itself. Certificates are not among them."""
    modules = {"PLAIN": "plain.PlainLoginModule"}
    module = modules.get(access.mechanism, "scram.ScramLoginModule")
    login = _OAUTH_JAAS if access.mechanism == "OAUTHBEARER" else _PLAIN_JAAS
    return {
        "security.protocol": access.protocol,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(access.ca),
        "sasl.mechanism": access.mechanism,
        "sasl.jaas.config": login.format(module=module, user=access.user, password=access.password),
    }


def _with_java(access: Access, topic: str) -> bytes | None:
    settings, system = java_settings(access), {}
    if access.certificate is not None:
        shown = access.certificate
        store = shown.key.with_suffix(".both.pem")  # Java takes both from one file
        store.write_bytes(shown.key.read_bytes() + shown.certificate.read_bytes())
        settings = {name: value for name, value in settings.items() if not name.startswith("sasl.")}
        settings |= {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(store)}
    if access.token is not None:
        # Java takes a token that is not of its own making from a file alone, and only from one that the process allows.
        file = access.ca.with_name(f"{access.user}.token")
        file.write_text(access.token)
        settings["sasl.jaas.config"] = f"{_OAUTH_MODULE} required;"
        settings["sasl.oauthbearer.token.endpoint.url"] = file.as_uri()
        settings["sasl.login.callback.handler.class"] = f"{_OAUTH}.OAuthBearerLoginCallbackHandler"
        system = {
            "org.apache.kafka.sasl.oauthbearer.allowed.urls": file.as_uri(),
            "org.apache.kafka.sasl.oauthbearer.allowed.files": str(file),
        }
    if access.hosts is not None:
        system["jdk.net.hosts.file"] = str(access.hosts)
    properties = [part for name, value in settings.items() for part in ("--command-property", f"{name}={value}")]
    read = java_tool(
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        *("--bootstrap-server", access.bootstrap, "--topic", topic, "--partition", "0", "--offset", "earliest"),
        *("--max-messages", "1", "--timeout-ms", str(int(READ_S * 1000)), *properties),
        system=system,
    )
    return read.strip().encode()


def _on_a_thread(read: Callable[[Access, str], bytes | None]) -> Any:
    async def run(access: Access, topic: str) -> bytes | None:
        return await asyncio.to_thread(read, access, topic)

    return run


READERS: dict[str, Any] = {
    "aiokafka": read_with_aiokafka,
    "confluent": _on_a_thread(_with_confluent),
    "kafka-python": _on_a_thread(_with_kafka_python),
    "java": _on_a_thread(_with_java),
}
