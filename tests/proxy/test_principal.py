"""Names from certificates: equal to what Kafka's SslPrincipalMapper and Java's X500Principal give.

The expected values were read from Kafka 4.3.1 on OpenJDK 17.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from support.authority import Authority
from wiremask.proxy.principal import NoPrincipal, PrincipalRules, subject_of


@pytest.mark.parametrize(
    ("rules", "subject", "name"),
    [
        ("DEFAULT", "CN=a", "CN=a"),
        ("RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/", "CN=svc,OU=ServiceUsers,O=x", "svc"),
        ("RULE:^CN=(.*?),O=(.*?),C=(.*?)$/$1@$2/L, DEFAULT", "CN=Ab,O=D,C=G", "ab@d"),
        ("RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/L", "CN=Ab.c,OU=x", "ab.c"),
        ("RULE:CN=(.*)/a\\/$1$2/U", "CN=q", "A/Q$2"),
        ("RULE:CN=(\\w+)\\/b/$1/U,RULE:^CN=(.*)$/second-$1/", "CN=z/b", "Z"),
        ("RULE:^CN=(.*),O=x/$1/,DEFAULT", "CN=a,b,O=x", "a,b"),
        ("RULE:^CN=(.*),O=x/$1/,DEFAULT", "CN=a,O=y", "CN=a,O=y"),
        ("RULE:^(.*)$/\\$1\\\\x/", "CN=a", "$1\\x"),
        ("RULE:(.*)/$0-$1/", "CN=a", "CN=a-CN=a-"),
    ],
)
def test_a_subject_becomes_the_name_that_kafka_gives(rules: str, subject: str, name: str) -> None:
    assert PrincipalRules.read(rules).name(subject) == name


def test_a_subject_that_no_rule_takes_has_no_name() -> None:
    rules = PrincipalRules.read("RULE:CN=x/y/")

    with pytest.raises(NoPrincipal):
        rules.name("CN=a")


@pytest.mark.parametrize(
    "rules", ["", "FOO", "RULE:^CN=(.*)/$1", "RULE:a/b/XL", "RULE:a/b/L DEFAULT", "RULE:(/x/", "RULE:(?=a)/x/"]
)
def test_rules_that_are_none_are_refused(rules: str) -> None:
    with pytest.raises(ValueError, match=r"RULE|regular expression"):
        PrincipalRules.read(rules)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="RULE:DFAT/\\$1(.*)[]+?{},L ", max_size=40), st.text(max_size=30))
def test_any_text_is_rules_or_a_value_error(text: str, subject: str) -> None:
    try:
        rules = PrincipalRules.read(text)
    except ValueError:
        return
    try:
        name = rules.name(subject)
    except NoPrincipal:
        return
    assert isinstance(name, str)


def certificate(*parts: tuple[x509.ObjectIdentifier, str]) -> bytes:
    """A certificate whose subject has these parts, first one first."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(kind, value) for kind, value in parts])
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_a_subject_is_written_as_java_writes_it() -> None:
    der = certificate(
        (NameOID.TITLE, "t"),
        (NameOID.STREET_ADDRESS, " s "),
        (NameOID.USER_ID, "lead"),
        (NameOID.SERIAL_NUMBER, "5"),
        (NameOID.DOMAIN_COMPONENT, "x"),
        (NameOID.EMAIL_ADDRESS, "a@b.c"),
        (NameOID.ORGANIZATION_NAME, "Ex=, Inc"),
        (NameOID.COMMON_NAME, "b#x"),
    )

    written = subject_of(der)

    assert written.startswith("CN=b\\#x,O=Ex\\=\\, Inc,1.2.840.113549.1.9.1=#16056140622e63,DC=x,2.5.4.5=#")
    assert written.endswith("UID=lead,STREET=\\ s\\ ,2.5.4.12=#0c0174")


def test_what_is_no_certificate_gives_no_name(tmp_path: Path) -> None:
    issued = Authority(tmp_path).issue("client", unit="Data")
    der = x509.load_pem_x509_certificate(issued.certificate.read_bytes()).public_bytes(Encoding.DER)

    written = subject_of(der)

    assert written == "CN=client,OU=Data,O=Example"
    with pytest.raises(NoPrincipal):
        subject_of(der[:40])
