"""Salted credentials of clients, one a line in a file, for PLAIN and SCRAM.

    alice:SCRAM-SHA-256$32768:c2FsdC4uLg==$StoredKey:ServerKey

Name, mechanism, iterations, salt and the two keys of RFC 5802, in base64. Whoever has the file cannot log in with it,
but can try passwords. `wiremask credential` makes a line; `#` begins a comment. A client of PLAIN is checked against
either mechanism's line.

Source: RFC 5802 section 3, RFC 7677; PostgreSQL's pg_authid.rolpassword for the form.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from wiremask.proxy.rulefiles import read_text, signature

if TYPE_CHECKING:
    from pathlib import Path

HASHES: Final = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
ITERATIONS: Final = 32_768
ITERATIONS_LEAST: Final = 4_096
ITERATIONS_MOST: Final = 1_000_000
_SALT_BYTES: Final = 16
_LIMIT_BYTES: Final = 16 << 20


class CredentialsUnusable(Exception):
    """A file of credentials that cannot be used; the text has file and line, and nothing of the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """What a password can be checked against."""

    mechanism: str
    iterations: int
    salt: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def make(
        cls, password: str, mechanism: str, *, iterations: int = ITERATIONS, salt: bytes | None = None
    ) -> Verifier:
        """The verifier of a password; takes some ten milliseconds."""
        name = HASHES[mechanism]
        salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
        salted = hashlib.pbkdf2_hmac(name, password.encode(), salt, iterations)
        stored_key = hashlib.new(name, hmac.digest(salted, b"Client Key", name)).digest()
        return cls(
            mechanism=mechanism,
            iterations=iterations,
            salt=salt,
            stored_key=stored_key,
            server_key=hmac.digest(salted, b"Server Key", name),
        )

    @classmethod
    def read(cls, text: str) -> Verifier:
        """What stands behind the name.

        Raises:
            ValueError: it is no verifier.
        """
        mechanism, cost, keys = text.split("$")
        iterations, salt = cost.split(":")
        stored_key, server_key = keys.split(":")
        made = cls(
            mechanism=mechanism,
            iterations=int(iterations),
            salt=b64decode(salt, validate=True),
            stored_key=b64decode(stored_key, validate=True),
            server_key=b64decode(server_key, validate=True),
        )
        size = hashlib.new(HASHES[mechanism]).digest_size if mechanism in HASHES else 0
        if (len(made.stored_key), len(made.server_key)) != (size, size) or not made.salt:
            raise ValueError("no such mechanism, or keys of another length")
        if not ITERATIONS_LEAST <= made.iterations <= ITERATIONS_MOST:
            raise ValueError("too few iterations, or too many")
        return made

    def __str__(self) -> str:
        salt, stored, server = (b64encode(one).decode() for one in (self.salt, self.stored_key, self.server_key))
        return f"{self.mechanism}${self.iterations}:{salt}${stored}:{server}"

    def is_of(self, password: str) -> bool:
        """Whether this is the password; takes some ten milliseconds."""
        other = Verifier.make(password, self.mechanism, iterations=self.iterations, salt=self.salt)
        return hmac.compare_digest(other.stored_key, self.stored_key)


class Credentials:
    """The credentials of one listener, by the newest file that could be used."""

    expires = None

    def __init__(self, file: Path, *, use: str) -> None:
        """Reads the file.

        Raises:
            CredentialsUnusable: it cannot be used.
        """
        self.use = use
        self.files = [file]
        self._decoy = os.urandom(32)
        self._verifiers: dict[tuple[str, str], Verifier]
        self.reload()

    def reload(self) -> None:
        """Reads the file again.

        Raises:
            CredentialsUnusable: it cannot be used; what was read before stays.
        """
        self.seen = signature(self.files)
        self._verifiers = _read(self.files[0])

    def find(self, name: str, mechanism: str) -> Verifier | None:
        """The verifier of a client, for a mechanism."""
        return self._verifiers.get((name, mechanism))

    def decoy(self, name: str, mechanism: str) -> Verifier:
        """A verifier that no password fits, for a name that there is not: so that nobody learns which there are."""
        salt = hmac.digest(self._decoy, name.encode("utf-8", "surrogatepass"), "sha256")[:_SALT_BYTES]
        size = hashlib.new(HASHES[mechanism]).digest_size
        key = os.urandom(size)
        return Verifier(mechanism=mechanism, iterations=ITERATIONS, salt=salt, stored_key=key, server_key=key)


def _read(file: Path) -> dict[tuple[str, str], Verifier]:
    try:
        text = read_text(file, _LIMIT_BYTES)
    except UnicodeDecodeError:
        raise CredentialsUnusable(f"{file}: it holds no text") from None
    except OSError as error:
        raise CredentialsUnusable(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise CredentialsUnusable(f"{file}: {error}") from None
    found: dict[tuple[str, str], Verifier] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        name, _, written = entry.partition(":")
        try:
            verifier = Verifier.read(written)
        except (ValueError, KeyError, NotBase64):
            raise CredentialsUnusable(
                f"{file}:{number}: write name:mechanism$iterations:salt$key:key, as `wiremask credential` prints it"
            ) from None
        if not name or (name, verifier.mechanism) in found:
            raise CredentialsUnusable(f"{file}:{number}: a name is missing, or stands twice for one mechanism")
        found[name, verifier.mechanism] = verifier
    return found
