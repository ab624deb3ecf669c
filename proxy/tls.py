"""TLS as the configuration has it: PEM files to contexts, for listeners and for the way to the brokers.

A context is built anew whenever one of its files changes, and swapped whole (`filewatch`): connections that are open
keep the one that they began with. Private keys stay inside OpenSSL.

What is always so: TLS 1.2 at least, suites with forward secrecy and authenticated encryption only, no compression, no
renegotiation, no session tickets (a client certificate is looked at in every handshake).

Source: RFC 9325 (recommendations for TLS); Kafka's `ssl.*` settings, whose names are kept where they fit.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import field_validator, model_validator

from wiremask.proxy.model import Section
from wiremask.proxy.principal import PrincipalRules
from wiremask.proxy.rulefiles import signature
from wiremask.proxy.secret import SecretConfig, SecretUnavailable
from wiremask.proxy.tlslayer import MEMORY_BYTES, TlsLayer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CLIENT_AUTH = {"none": ssl.CERT_NONE, "request": ssl.CERT_OPTIONAL, "require": ssl.CERT_REQUIRED}


class TlsUnusable(Exception):
    """Certificates, keys or trust stores that cannot be used; the text says which file and why."""


class _TlsConfig(Section):
    certificate: Path | None = None
    """PEM file with the certificate and those that lead to the root, as cert-manager writes `tls.crt`."""

    key: Path | None = None
    """PEM file with the private key of the certificate."""

    key_password: SecretConfig | None = None
    """For a key that is encrypted."""

    ca: Path | None = None
    """PEM file with the authorities that are trusted."""

    minimum_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest TLS that is spoken."""

    @model_validator(mode="after")
    def _key_has_certificate(self) -> _TlsConfig:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: write both")
        return self

    @property
    def files(self) -> list[Path]:
        """All files that a context is made of."""
        password = self.key_password.file if self.key_password is not None else None
        return [file for file in (self.certificate, self.key, self.ca, password) if file is not None]


class ServerTlsConfig(_TlsConfig):
    """Section `listeners[].tls`: clients speak TLS to this listener, and nothing else."""

    client_auth: Literal["none", "request", "require"] = "none"
    """Whether clients show a certificate of an authority in `ca`, as Kafka's `ssl.client.auth`."""

    principal_mapping_rules: str = "DEFAULT"
    """How the subject of a client's certificate becomes its name, as Kafka's `ssl.principal.mapping.rules`."""

    node_names: str | None = None
    """Serves every broker node on the one port of `address`: the host name that clients are told for a node, and by
    which (SNI) their connections are told apart, for example `"broker-{node}.kafka.example"`."""

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> ServerTlsConfig:
        if self.certificate is None:
            raise ValueError("a listener with TLS needs certificate and key")
        if self.client_auth != "none" and self.ca is None:
            raise ValueError("write in ca which authorities may sign the certificates of clients")
        return self

    @field_validator("principal_mapping_rules")
    @classmethod
    def _is_kafka_s_grammar(cls, rules: str) -> str:
        PrincipalRules.read(rules)
        return rules

    @field_validator("node_names")
    @classmethod
    def _names_the_node(cls, pattern: str | None) -> str | None:
        if pattern is not None and (pattern.count("{node}") != 1 or not pattern.isascii()):
            raise ValueError('write {node} where the node id stands, for example "broker-{node}.kafka.example"')
        return pattern


class ClientTlsConfig(_TlsConfig):
    """Section `upstream.tls`: the brokers are spoken to with TLS. `{}` is TLS with the system's authorities."""

    verify: bool = True
    """Whether the broker's certificate must be good, and be for the host that was connected to."""


def server_context(config: ServerTlsConfig) -> ssl.SSLContext:
    """The context of a listener.

    Raises:
        TlsUnusable: a file cannot be used.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, config)
    context.sslobject_class = ServerSide
    context.sni_callback = _keep_name
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.verify_mode = _CLIENT_AUTH[config.client_auth]
    return context


def client_context(config: ClientTlsConfig) -> ssl.SSLContext:
    """The context for connections to brokers.

    Raises:
        TlsUnusable: a file cannot be used.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, config)
    if config.ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if not config.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _context(protocol: int, config: _TlsConfig) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = _VERSIONS[config.minimum_version]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_ciphers(_SUITES)
    if config.certificate is not None and config.key is not None:
        try:
            # Without a password, an encrypted key would be asked for on the terminal.
            password = config.key_password.read() if config.key_password is not None else ""
            context.load_cert_chain(config.certificate, config.key, password=password)
        except SecretUnavailable as error:
            raise TlsUnusable(str(error)) from None
        except (OSError, ValueError) as error:  # SSLError is an OSError
            raise TlsUnusable(f"{config.certificate} with {config.key}: {_reason(error)}") from None
    if config.ca is not None:
        try:
            context.load_verify_locations(config.ca)
        except (OSError, ValueError) as error:
            raise TlsUnusable(f"{config.ca}: {_reason(error)}") from None
    return context


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return _SAID.get(error.reason or "", error.reason or "it is no PEM file of this kind")
    return (error.strerror if isinstance(error, OSError) else None) or "it is no PEM file of this kind"


_SAID = {
    "KEY_VALUES_MISMATCH": "the key is not that of the certificate",
    "BAD_DECRYPT": "the key is encrypted with another password",
    "BAD_PASSWORD_READ": "the key is encrypted; set keyPassword",
    "NO_CERTIFICATE_OR_CRL_FOUND": "there is no certificate in it",
}


def expires_at(file: Path) -> datetime:
    """When the first certificate of a PEM file ends.

    Raises:
        TlsUnusable: there is none.
    """
    from cryptography import x509  # noqa: PLC0415 - only where there is TLS

    try:
        return x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
    except OSError as error:
        raise TlsUnusable(f"{file}: {error.strerror}") from None
    except ValueError:
        raise TlsUnusable(f"{file}: there is no certificate in it") from None


class ServerSide(ssl.SSLObject):
    """A listener's side of a connection, which knows what host the client asked for (SNI)."""

    server_name: str | None = None


def _keep_name(connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
    if isinstance(connection, ServerSide):
        connection.server_name = name


class Tls:
    """TLS of one listener, or of the way to the brokers, by the newest files that could be used.

    Attributes:
        use: the listener's name, or `upstream`; in logs and metrics.
        files: what it is made of.
        seen: the state of the files before they were read last.
        expires: when its certificate ends, if it has one.
    """

    def __init__(self, config: ServerTlsConfig | ClientTlsConfig, *, use: str) -> None:
        """Reads the files.

        Raises:
            TlsUnusable: they cannot be used.
        """
        self.use = use
        self.files = config.files
        self.expires: datetime | None = None
        self._config = config
        self._memory = bytearray(MEMORY_BYTES)
        self._context = self._read()

    def _read(self) -> ssl.SSLContext:
        config = self._config
        self.seen = signature(self.files)
        made = server_context(config) if isinstance(config, ServerTlsConfig) else client_context(config)
        if config.certificate is not None:
            self.expires = expires_at(config.certificate)
        return made

    def reload(self) -> None:
        """Reads the files again, for the connections to come.

        Raises:
            TlsUnusable: they cannot be used; the context stays as it was.
        """
        self._context = self._read()

    @property
    def expires_in_s(self) -> float | None:
        """How long the certificate is still good."""
        return None if self.expires is None else (self.expires - datetime.now(UTC)).total_seconds()

    def layer(
        self,
        above: asyncio.BufferedProtocol,
        *,
        server_hostname: str | None = None,
        on_secured: Callable[[TlsLayer], None],
        on_failed: Callable[[str], None],
    ) -> TlsLayer:
        """TLS for one connection that is about to be made."""
        return TlsLayer(
            above,
            self._context,
            self._memory,
            server_hostname=server_hostname,
            on_secured=on_secured,
            on_failed=on_failed,
        )
