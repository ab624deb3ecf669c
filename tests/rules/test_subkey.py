"""Subkeys and what is made of them are overwritten once nobody uses them: looked for in the memory of another process."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from math import isqrt
from pathlib import Path

import pytest

from support.rulefolder import rule, ruleset
from wiremask.rules.keys import decode_key, derive_subkey
from wiremask.rules.subkey import Subkey, take

KEY = "hex:" + hashlib.sha256(b"a key that is found in no memory of this process").hexdigest()
FIELDS = {
    "$.a": {"hash": {"key": "k"}},
    "$.b": {"token": {"key": "k", "format": "pan"}},
    "$.c": {"pseudonym": {"key": "k", "words": ["a", "b", "c"]}},
    "$.d": {"noise": {"key": "k", "within": 5}},
    "$.e": {"ip": {"key": "k"}},
    "$.f": {"fpe": {"key": "k"}},
    "$.g": {"encrypt": {"key": "k"}},
    "$.h": {"encrypt": {"key": "k", "deterministic": True}},
}
VALUE = {
    "a": "x",
    "b": "4111111111111111",
    "c": "x",
    "d": 5,
    "e": "10.1.2.3",
    "f": "4111111111111111",
    "g": "x",
    "h": "x",
}
SUBKEYS = ["hash", "token", "pseudonym", "noise", "ip", "fpe", "encrypt", "encrypt-siv1", "encrypt-siv2"]

CHILD = """
import gc, sys, wiremask
masking = wiremask.load(sys.argv[1])
for _ in range(3):
    masking.mask("topic", "produce", None, sys.argv[2].encode(), [])
print("loaded", flush=True)
sys.stdin.readline()
del masking
gc.collect()
print("dropped", flush=True)
sys.stdin.readline()
"""

AFTER_PLAIN_BATCHES = """
import gc, sys
from support.batches import write_batch
from wiremask.proxy.plainmask import mask_plain
from wiremask.rules import compile_ruleset
plan = compile_ruleset({"rules.yaml": sys.argv[1]}, lambda _: sys.argv[2])
topic = plan.match("topic", "produce")
gc.freeze()  # as the proxy does once it has started: what is in a cycle then is never collected
assert mask_plain(write_batch([b'{"a":"x"}']), topic.kernel, is_produced=True, records_limit=9, limit_bytes=9999)[2] == 1
print("loaded", flush=True)
sys.stdin.readline()
del plan, topic
print("dropped", flush=True)
sys.stdin.readline()
"""


def test_is_its_bytes_and_does_not_show_them() -> None:
    subkey = take(bytes(range(32)))

    assert subkey == bytes(range(32))
    assert hash(subkey) == hash(bytes(range(32)))
    assert repr(subkey) == "Subkey()"
    assert isinstance(derive_subkey(bytes(32), "hash", ""), Subkey)


def test_overwrites_what_it_was_made_of() -> None:
    derived = os.urandom(32)
    copy = bytearray(derived)

    subkey = take(derived)

    assert subkey == copy
    assert derived == bytes(32)


def test_is_overwritten_when_nobody_holds_it() -> None:
    subkey = take(os.urandom(32))

    subkey.__del__()  # type: ignore[attr-defined]

    assert subkey == bytes(32)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="the system does not show the memory of a process")
def test_nothing_of_a_ruleset_s_keys_is_left_in_memory_when_it_was_replaced(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(KEY)
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "rules.yaml").write_text(
        ruleset(rule("all", "*", FIELDS, reversible=True), keys={"k": {"file": str(key)}})
    )
    subkeys = {name: derive_subkey(decode_key(KEY), name, "") for name in SUBKEYS}
    secrets = {**subkeys, "the states of hash": hmac_states(subkeys["hash"]), "the key": bytes(decode_key(KEY))}

    before, after = in_memory([CHILD, str(rules), json.dumps(VALUE)], secrets)

    assert before == {*SUBKEYS, "the states of hash"}
    assert after == set()


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="the system does not show the memory of a process")
def test_nothing_is_left_after_plain_batches_though_nothing_is_collected() -> None:
    subkey = derive_subkey(decode_key(KEY), "hash", "")
    secrets = {"hash": subkey, "the states of hash": hmac_states(subkey)}
    text = ruleset(rule("one", "*", {"$.a": FIELDS["$.a"]}), keys={"k": {"env": "K"}})

    before, after = in_memory([AFTER_PLAIN_BATCHES, text, KEY], secrets)

    assert before == set(secrets)
    assert after == set()


def in_memory(program: list[str], secrets: dict[str, bytes]) -> tuple[set[str], set[str]]:
    """Which of the secrets a program has in its memory while it has loaded rules, and once it has dropped them."""
    tests = str(Path(__file__).resolve().parent.parent)
    with subprocess.Popen(
        [sys.executable, "-c", *program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])},
    ) as child:
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            assert child.stdout.readline() == "loaded\n"
            before = found(child.pid, secrets)
            child.stdin.write("go on\n")
            child.stdin.flush()
            assert child.stdout.readline() == "dropped\n"
            return before, found(child.pid, secrets)
        finally:
            child.kill()


def found(pid: int, secrets: dict[str, bytes]) -> set[str]:
    """Which of the secrets stand somewhere in the memory that a process can write."""
    return {name for piece in memory(pid) for name, secret in secrets.items() if secret in piece}


def memory(pid: int) -> Iterator[bytes]:
    with Path(f"/proc/{pid}/mem").open("rb") as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, access, *_ = line.split()
            start, end = (int(part, 16) for part in place.split("-"))
            if access.startswith("rw"):
                file.seek(start)
                yield file.read(end - start)


def hmac_states(key: bytes) -> bytes:
    """The states of SHA-256 after HMAC's two blocks of a key, as the kernel has them in memory."""
    padded = key.ljust(64, b"\0")
    inner, outer = (compress(bytes(byte ^ pad for byte in padded)) for pad in (0x36, 0x5C))
    return struct.pack("=16I", *inner, *outer)


def primes(count: int) -> list[int]:
    sieve = [number for number in range(2, 400) if all(number % by for by in range(2, isqrt(number) + 1))]
    return sieve[:count]


def root(number: int, power: int) -> int:
    """The first 32 bits of the fraction of a root."""
    low, high = 0, number << 32
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**power <= number << (32 * power) else (low, middle - 1)
    return low & WORD


WORD = 0xFFFFFFFF
START = [root(prime, 2) for prime in primes(8)]
ROUND = [root(prime, 3) for prime in primes(64)]


def compress(block: bytes) -> list[int]:
    """The state of SHA-256 after its first block (FIPS 180-4 section 6.2.2)."""
    words = list(struct.unpack(">16I", block))
    for at in range(16, 64):
        one, two = words[at - 15], words[at - 2]
        first = turned(one, 7) ^ turned(one, 18) ^ one >> 3
        second = turned(two, 17) ^ turned(two, 19) ^ two >> 10
        words.append((words[at - 16] + first + words[at - 7] + second) & WORD)
    a, b, c, d, e, f, g, h = START
    for word, constant in zip(words, ROUND, strict=True):
        one = h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + (e & f ^ ~e & g) + constant + word
        two = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, h = (one + two) & WORD, a, b, c, (d + one) & WORD, e, f, g
    return [(one + two) & WORD for one, two in zip(START, (a, b, c, d, e, f, g, h), strict=True)]


def turned(word: int, by: int) -> int:
    return (word >> by | word << 32 - by) & WORD


def test_these_states_are_those_of_sha_256() -> None:
    padded = b"abc\x80".ljust(56, b"\0") + struct.pack(">Q", 24)  # one block is all of a short message

    assert struct.pack(">8I", *compress(padded)) == hashlib.sha256(b"abc").digest()
