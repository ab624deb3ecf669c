"""The webhook's certificate: issued from a CA or read from files, and always current."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from wiremask.proxy.webhook.certificates import LIFE, CertificateUnusable, ServerCertificate, issue

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NAME = "hook.system.svc"


def make_ca(now: datetime = NOW, life: timedelta = timedelta(days=3650)) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), private


def write_ca(folder: Path, ca: tuple[bytes, bytes]) -> tuple[Path, Path]:
    files = folder / "ca.crt", folder / "ca.key"
    for file, content in zip(files, ca, strict=True):
        file.write_bytes(content)
    return files


def shake_hands(context: ssl.SSLContext, ca: bytes) -> bytes:
    """The certificate (DER) that a client which trusts the CA is given."""
    ours, theirs = socket.socketpair()

    def answer() -> None:
        with context.wrap_socket(ours, server_side=True) as wrapped:
            wrapped.recv(1)

    thread = threading.Thread(target=answer)
    thread.start()
    client = ssl.create_default_context(cadata=ca.decode())
    with client.wrap_socket(theirs, server_hostname=NAME) as wrapped:
        shown = wrapped.getpeercert(binary_form=True)
        wrapped.send(b".")
    thread.join()
    assert shown is not None
    return shown


def test_issued_certificate_is_accepted_by_an_independent_verifier() -> None:
    ca, ca_key = make_ca()

    issued = issue(ca, ca_key, [NAME, "hook"], now=NOW)

    leaf = x509.load_pem_x509_certificate(issued.pem)
    store = Store([x509.load_pem_x509_certificate(ca)])
    verifier = PolicyBuilder().store(store).time(NOW).build_server_verifier(x509.DNSName(NAME))
    assert verifier.verify(leaf, []) == [leaf, x509.load_pem_x509_certificate(ca)]
    assert leaf.not_valid_after_utc == NOW + LIFE
    assert issued.renew_at == NOW + LIFE * 2 / 3
    assert "PRIVATE" not in repr(issued)


def test_certificate_does_not_outlive_its_ca() -> None:
    ca, ca_key = make_ca(life=timedelta(days=3))

    issued = issue(ca, ca_key, [NAME], now=NOW)

    assert x509.load_pem_x509_certificate(issued.pem).not_valid_after_utc == NOW + timedelta(days=3)


def test_key_of_another_ca_is_refused() -> None:
    with pytest.raises(ValueError, match="not that of its certificate"):
        issue(make_ca()[0], make_ca()[1], [NAME], now=NOW)


def test_certificate_is_made_anew_when_its_time_has_come_and_when_the_ca_changes(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    began = now - LIFE * 0.7
    ca = make_ca(began)
    files = write_ca(tmp_path, ca)
    server = ServerCertificate([NAME], ca=files)

    is_new = [server.refresh(began), server.refresh(began + LIFE / 2)]
    first = shake_hands(server.context, ca[0])
    is_new.append(server.refresh(now))
    second = shake_hands(server.context, ca[0])
    other = make_ca(now)
    write_ca(tmp_path, other)
    is_new.append(server.refresh(now))
    third = shake_hands(server.context, other[0])

    assert is_new == [True, False, True, True]
    assert len({first, second, third}) == 3


def test_bad_new_file_keeps_the_certificate_before(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    ca = make_ca(now)
    issued = issue(*ca, [NAME], now=now)
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.write_bytes(issued.pem)
    key.write_bytes(issued.pem)
    server = ServerCertificate([NAME], certificate=(certificate, key))
    server.refresh()
    before = shake_hands(server.context, ca[0])

    key.write_bytes(b"rubbish")

    with pytest.raises(CertificateUnusable, match=r"tls\.key do not serve"):
        server.refresh()
    assert shake_hands(server.context, ca[0]) == before
