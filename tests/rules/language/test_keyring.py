"""Keys while a ruleset is read, and that none is left when it has been."""

from __future__ import annotations

import hashlib

import pytest

from wiremask.rules import compile_ruleset
from wiremask.rules.errors import Faults, Mark
from wiremask.rules.language import keyring
from wiremask.rules.language.keyring import KeyRing

TEXTS = {name: "hex:" + hashlib.sha256(name.encode()).hexdigest() for name in ("ONE", "OLD", "NEW")}
RULES = """
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: test}
keys:
  one: {env: ONE}
  many: {active: new, versions: {old: {env: OLD}, new: {env: NEW}}}
rules:
  - name: r
    topics: [t]
    at: [produce]
    value:
      fields:
        - {path: $.a, mask: {hash: {key: one, domain: a}}}
        - {path: $.b, mask: {hash: {key: many, domain: b}}}
"""


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytearray]:
    """Every key that is decoded, as it is in memory."""
    found: list[bytearray] = []
    real = keyring.decode_key

    def decode(text: str) -> bytearray:
        found.append(real(text))
        return found[-1]

    monkeypatch.setattr(keyring, "decode_key", decode)
    return found


def test_keys_are_overwritten_once_the_masks_have_their_subkeys(decoded: list[bytearray]) -> None:
    plan = compile_ruleset({"rules.yaml": RULES}, lambda reference: TEXTS[reference.env or ""])

    assert plan.rules
    assert decoded == [bytearray(32)] * 3


def test_a_ring_that_has_forgotten_gives_no_subkey() -> None:
    ring = KeyRing(None)
    faults = Faults(file="rules.yaml")
    ring.forget()

    found = ring.subkey("one", Mark(line=1, column=1), "hash", "a", faults)

    assert found is None
    assert len(faults.found) == 1
