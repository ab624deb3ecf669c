"""What is fuzzed: each target takes any bytes, and lets only those errors happen that its code declares.

Whatever else comes out, an error of another kind, a wrong answer, a read outside a buffer (with `fuzz.sanitized`), an
input that takes long, is a finding.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from array import array
from functools import cache
from typing import TYPE_CHECKING, Any

from support import json_oracle
from support.plain import become
from support.scripted import HEAD
from support.skims import TAKEN, clear_where, skim_of, walked
from wiremask.protocol import messages
from wiremask.protocol.api import APIS
from wiremask.protocol.batch import Batch, crc32c, split_batches
from wiremask.protocol.compression import Codec, compress, decompress
from wiremask.protocol.errors import FrameTooLarge, MalformedFrame, MalformedMessage, ProtocolError, RecordsError
from wiremask.protocol.frame import FrameAssembler
from wiremask.protocol.header import read_request_header, read_response_header
from wiremask.protocol.legacy import MessageSet, split_sets
from wiremask.protocol.sasl import Login
from wiremask.protocol.view import Message
from wiremask.proxy.proxyheader import NoProxyHeader, ProxyHeader
from wiremask.rules import RuleSetInvalid, compile_ruleset
from wiremask.rules.detect.detectors import DETECTORS
from wiremask.rules.kernel.jsonmask import MaskedTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wiremask.rules import TopicPlan

EXPANDED = 1 << 20
BATCH_HEAD = 61
BATCH_LENGTH, BATCH_MAGIC, BATCH_CRC, BATCH_ATTRIBUTES = 8, 16, 17, 21


def frame(data: bytes) -> None:
    """Frames out of a stream: the first byte says how it is split into reads, and what is done with what is found."""
    assembler = FrameAssembler(limit_bytes=1 << 18)
    how, stream = data[0] if data else 0, data[1:]
    came_out = bytearray()

    def take(*, pass_on: bool) -> bool:
        if pass_on and assembler.find():
            assembler.pass_on()
            came_out.extend(assembler.take_passed() or b"")
            return True
        whole = assembler.next_frame()
        if whole is not None:
            came_out.extend(len(whole).to_bytes(4) + whole)
        return whole is not None

    with contextlib.suppress(FrameTooLarge, MalformedFrame):
        at = 0
        while at < len(stream):
            memory = assembler.get_buffer()
            count = min(len(memory), len(stream) - at, 1 + how % 64 * 7)
            memory[:count] = stream[at : at + count]
            at += count
            if assembler.received(count):
                while take(pass_on=bool(how & 64)):
                    pass
    assert stream.startswith(came_out)
    assembler.drop()


@cache
def _messages() -> list[tuple[type[Message], int]]:
    """Every message that is decoded, at every version that may arrive."""
    import pkgutil
    from importlib import import_module

    for module in pkgutil.iter_modules(messages.__path__):
        import_module(f"{messages.__name__}.{module.name}")
    found = []
    for kind in sorted(Message.__subclasses__(), key=lambda kind: kind.__name__):
        with contextlib.suppress(FileNotFoundError):
            for version in range(20):
                with contextlib.suppress(ProtocolError):
                    kind.program(version)
                    found.append((kind, version))
    return found


def message(data: bytes) -> None:
    """A decoded message: the first two bytes say which, the rest is its body."""
    kinds = _messages()
    kind, version = kinds[int.from_bytes(data[:2]) % len(kinds)]
    with contextlib.suppress(MalformedMessage):
        _see(kind.read(data[2:], version))


def _see(element: Any) -> None:
    """Asks for everything that a view shows."""
    for name, slot in vars(type(element)).items():
        if hasattr(slot, "slot"):
            value = getattr(element, name)
            if hasattr(value, "is_null"):
                for inner in value:
                    _see(inner)


def skim(data: bytes) -> None:
    """A frame as the short way looks at it, next to the walker: the first byte says which."""
    name, version = TAKEN[data[0] % len(TAKEN) if data else 0]
    skim, head = skim_of(name, version)
    body = data[1:]
    asked: list[str | bytes] = []

    yes = skim.passes(
        bytearray(head + body), 0, len(head) + len(body), clear_where(lambda topic: asked.append(topic) is None)
    )

    seen = walked(name, version, body)
    assert yes == (seen is not None)
    assert not yes or asked == list(dict.fromkeys(seen or ()))


def header(data: bytes) -> None:
    """A request header and a response header."""
    with contextlib.suppress(ProtocolError):
        assert read_request_header(data).body_start <= len(data)
    with contextlib.suppress(ProtocolError):
        assert read_response_header(data, flexible=True)[1] <= len(data)


def sealed(data: bytes) -> bytes:
    """Bytes with a length, a magic and a CRC that would let a batch of them be read."""
    if len(data) < BATCH_HEAD:
        return data
    batch = bytearray(data)
    struct.pack_into(">i", batch, BATCH_LENGTH, len(data) - 12)
    batch[BATCH_MAGIC] = 2
    struct.pack_into(">I", batch, BATCH_CRC, crc32c(bytes(batch[BATCH_ATTRIBUTES:])))
    return bytes(batch)


def batch(data: bytes) -> None:
    """A records field, once as it is and once sealed; what can be read is rebuilt and read again the same.

    What one call makes of it, the steps make of it too.
    """
    for field in (data, sealed(data)):
        assert become(field, "produce", in_steps=False) == become(field, "produce", in_steps=True)
        assert become(field, "fetch", in_steps=False) == become(field, "fetch", in_steps=True)
        with contextlib.suppress(RecordsError):
            for span in split_batches(field, partial_tail=True):
                with contextlib.suppress(RecordsError):
                    _rebuild(field, span.start, span.end, is_batch=span.magic == 2)


def _rebuild(field: bytes, start: int, end: int, *, is_batch: bool) -> None:
    if not is_batch:
        return
    read = Batch.read(field, start, end, limit_bytes=EXPANDED, dense_offsets=False)
    same = read.rebuild(values=(read.section, read.values))
    again = Batch.read(same, 0, len(same), limit_bytes=EXPANDED, dense_offsets=False)
    assert bytes(again.section) == bytes(read.section) or _values(again) == _values(read)


def _values(read: Batch) -> list[bytes | None]:
    section, values = bytes(read.section), read.values
    return [
        None if values[at + 1] < 0 else section[values[at] : values[at] + values[at + 1]]
        for at in range(0, len(values), 2)
    ]


def legacy(data: bytes) -> None:
    """Message sets of the formats before batches, with CRCs set right in the outermost messages."""
    for field in (data, _with_crcs(data)):
        with contextlib.suppress(RecordsError):
            spans = [span for span in split_batches(field, partial_tail=True) if span.magic < 2]
            for start, end in split_sets(memoryview(field), spans):
                read = MessageSet.read(field, start, end, limit_bytes=EXPANDED)
                read.rebuild(values=(read.section, read.values))


def _with_crcs(data: bytes) -> bytes:
    field = bytearray(data)
    at = 0
    while len(field) - at > 17:
        size = max(struct.unpack_from(">i", field, at + 8)[0], 6)
        end = min(at + 12 + size, len(field))
        struct.pack_into(">I", field, at + 12, zlib.crc32(field[at + 16 : end]))
        at = end
    return bytes(field)


def codec(data: bytes) -> None:
    """A compressed section: the first byte says by which codec. What expands is packed and expanded again the same."""
    which, packed = (data[0] % 6 if data else 0), data[1:]
    with contextlib.suppress(RecordsError):
        expanded = bytes(decompress(which, packed, EXPANDED))
        assert which == Codec.NONE or len(expanded) <= EXPANDED
        for xerial in (True, False):
            assert bytes(decompress(which, compress(which, expanded, xerial=xerial), EXPANDED)) == expanded


RULES = (
    HEAD
    + """rules:
  - name: leaves
    topics: [t]
    at: [produce]
    value:
      format: json
      fields:
        - {path: $.ssn, mask: redact}
        - {path: "$.cards[*].pan", mask: {partial: {keepLast: 4}}}
        - {path: $..email, mask: {truncate: 3}}
        - {path: $.gone, mask: drop}
        - {path: $.none, mask: nullify}
"""
)


@cache
def _plan() -> TopicPlan:
    plan = compile_ruleset({"rules.yaml": RULES}, lambda _: "").match("t", "produce")
    assert plan is not None
    return plan


def json(data: bytes) -> None:
    """A JSON value: read or refused as the strict reader does; what is masked is JSON again."""
    try:
        outcome = _plan().mask(data, array("i", [0, len(data)]))
    except MaskedTooLarge:
        return
    try:
        json_oracle.read(data)
    except json_oracle.Unreadable:
        assert outcome.failures or outcome.unreadable
        return
    assert not outcome.unreadable
    if outcome.changed and not outcome.failures:
        start, length = outcome.spans[0], outcome.spans[1]
        json_oracle.read(bytes(outcome.values)[start : start + length])


def rules(data: bytes) -> None:
    """A rule file."""
    with contextlib.suppress(UnicodeDecodeError, RuleSetInvalid):
        compile_ruleset({"rules.yaml": data.decode()}, lambda _: "hex:" + "00" * 32)


def login(data: bytes) -> None:
    """The tokens of a login, after handshakes of both versions: the first byte says of which mechanism."""
    mechanism = ("PLAIN", "SCRAM-SHA-256", "OAUTHBEARER", "GSSAPI")[data[0] % 4 if data else 0]
    for version in (0, 1):
        with contextlib.suppress(ProtocolError):
            login = Login(mechanism, version)
            for token in data[1:].split(b"\n"):
                login.client_token(token)
                login.server_token(token)


def proxyheader(data: bytes) -> None:
    """A PROXY header and what follows it: read to its last byte and no further."""
    read, at = ProxyHeader(), 0
    with contextlib.suppress(NoProxyHeader):
        while read.wanted and at < len(data):
            count = min(read.wanted, len(data) - at)
            read.feed(data[at : at + count])
            at += count
        assert read.wanted >= 0


def text(data: bytes) -> None:
    """A text: read exactly if it is UTF-8, and UTF-8 again when it is masked."""
    outcome = _text_plan().mask(data, array("i", [0, len(data)]))
    try:
        data.decode()
    except UnicodeDecodeError:
        assert outcome.failures or outcome.unreadable
        return
    assert not outcome.unreadable
    if outcome.changed and not outcome.failures:
        start, length = outcome.spans[0], outcome.spans[1]
        bytes(outcome.values)[start : start + length].decode()


def find(data: bytes) -> None:
    """A text in which all that the detectors know is looked for: it is UTF-8 again when that is masked."""
    outcome = _finding_plan().mask(data, array("i", [0, len(data)]))
    if outcome.changed and not outcome.failures:
        start, length = outcome.spans[0], outcome.spans[1]
        bytes(outcome.values)[start : start + length].decode()


@cache
def _finding_plan() -> TopicPlan:
    rule = f"{{format: text, fields: [{{detect: [{', '.join(DETECTORS)}], mask: redact}}]}}"
    return _compiled(rule)


@cache
def _text_plan() -> TopicPlan:
    rule = "{format: text, fields: [{path: $, mask: [{truncate: 40}, {partial: {keepLast: 4}}]}]}"
    return _compiled(rule)


def _compiled(rule: str) -> TopicPlan:
    ruleset = f"{HEAD}rules:\n  - {{name: t, topics: [t], at: [produce], value: {rule}}}\n"
    plan = compile_ruleset({"rules.yaml": ruleset}, lambda _: "").match("t", "produce")
    assert plan is not None
    return plan


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "frame": frame,
    "header": header,
    "message": message,
    "skim": skim,
    "batch": batch,
    "legacy": legacy,
    "codec": codec,
    "json": json,
    "rules": rules,
    "login": login,
    "proxyheader": proxyheader,
    "text": text,
    "find": find,
}

PYTHON = ("rules", "login", "header", "codec", "proxyheader")
"""What is Python, for the most part, so that its branches are seen from there."""

_YAML = "name topics at produce fetch value format json fields path mask redact partial keepLast hash key detect when client"
WORDS: Mapping[str, list[bytes]] = {
    "json": [
        b'"ssn"',
        b'"email":',
        b'{"cards":[',
        b'"pan"',
        b"\\u0073",
        b"\\ud83d\\ude00",
        b"null",
        b"-1.5e9",
        b"\xf0\x9f\x98\x80",
    ],
    "rules": [word.encode() for word in _YAML.split()]
    + [b"\n  ", b"- ", b": ", b"{", b"}", b"[", b"]", b"$..", b"[*]"],
    "codec": [
        b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01",
        b"\x04\x22\x4d\x18",
        b"\x28\xb5\x2f\xfd",
        b"\x1f\x8b\x08\x00",
    ],
    "header": [struct.pack(">hh", key, api.last) for key, api in APIS.items() if api.last >= 0],
    "login": [b"n,,n=user,r=abc", b"r=", b"v=", b"n,,\x01auth=Bearer ", b"\x01\x01", b"\x00user\x00password", b"\n"],
}
"""What a change of an input may put in as it is."""
