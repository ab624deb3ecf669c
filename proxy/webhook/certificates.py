"""The webhook's certificate: from files that cert-manager renews, or issued by itself from a CA that is mounted.

With a CA each process makes its own key and certificate, which live as long as the process and are made anew at two
thirds of their life: nothing is rolled out and nothing expires unseen. Keys do not touch a disk.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wiremask.proxy.rulefiles import Signature, signature

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LIFE: Final = timedelta(days=30)
_CLOCKS_DIFFER: Final = timedelta(minutes=5)


class CertificateUnusable(Exception):
    """A certificate or key that cannot be used; names the file, quotes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate with its key, as PEM, and when it should be replaced."""

    pem: bytes
    renew_at: datetime

    def __repr__(self) -> str:
        """Leaves out the key."""
        return f"Issued(renew_at={self.renew_at.isoformat()})"


def issue(ca: bytes, ca_key: bytes, names: Sequence[str], *, now: datetime) -> Issued:
    """Issues a certificate for a server of these DNS names.

    Raises:
        ValueError: the CA's certificate or key is no PEM, or the two do not belong together.
    """
    issuer = x509.load_pem_x509_certificate(ca)
    issuer_key = load_pem_private_key(ca_key, password=None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey) or issuer_key.public_key() != issuer.public_key():
        raise ValueError("the CA's key is no elliptic-curve key, or not that of its certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    ends = min(now + LIFE, issuer.not_valid_after_utc)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(authority, critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Issued(pem=private + certificate.public_bytes(Encoding.PEM), renew_at=now + (ends - now) * 2 / 3)


class ServerCertificate:
    """Keeps an SSL context's certificate current; `refresh` is called now and then.

    Exactly one of the pairs (certificate, key) and (ca, ca_key) is given.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        certificate: tuple[Path, Path] | None = None,
        ca: tuple[Path, Path] | None = None,
    ) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._names = tuple(names)
        self._files = certificate or ca or ()
        self._is_issuer = certificate is None
        self._seen: Signature | None = None
        self._renew_at: datetime | None = None

    def refresh(self, now: datetime | None = None) -> bool:
        """Loads, or issues, the certificate if it is not there yet, its files have changed, or its time has come.

        Raises:
            CertificateUnusable: the files do not serve; the certificate before stays in use.
        """
        now = now or datetime.now(UTC)
        seen = signature(list(self._files))
        if seen == self._seen and (self._renew_at is None or now < self._renew_at):
            return False
        try:
            if self._is_issuer:
                ca, ca_key = (file.read_bytes() for file in self._files)
                issued = issue(ca, ca_key, self._names, now=now)
                self._load(issued.pem)
                self._renew_at = issued.renew_at
            else:
                self.context.load_cert_chain(*self._files)
        except (OSError, ValueError) as error:
            # ssl.SSLError is an OSError; its text names a reason of OpenSSL's, never a key.
            files = " and ".join(map(str, self._files))
            raise CertificateUnusable(f"{files} do not serve: {error}") from None
        self._seen = seen
        return True

    def _load(self, pem: bytes) -> None:
        """Hands OpenSSL a certificate with its key; it reads files only, so this one is in memory."""
        handle = os.memfd_create("certificate", os.MFD_CLOEXEC)
        try:
            with open(handle, "wb", closefd=False) as file:
                file.write(pem)
            self.context.load_cert_chain(f"/proc/self/fd/{handle}")
        finally:
            os.close(handle)
