"""JSON in a text: masked as a value of its own, whatever the text looks like and however deep it stands."""

from __future__ import annotations

import base64
import json
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import json_oracle
from support.json_documents import damaged_documents, documents, selections
from wiremask.rules import Field
from wiremask.rules.kernel.automaton import Selection
from wiremask.rules.kernel.jsonmask import JsonMasker
from wiremask.rules.maskers.embedded import decode_base64, encode_base64
from wiremask.rules.model.masks import Embedded, Encrypt, Hash, Keep, Mask, Nullify, Partial, Redact, SealingKey
from wiremask.rules.model.selector import read_path
from wiremask.rules.model.traits import binds_topic, inverse, is_reversible, with_path
from wiremask.rules.outcome import Reason


def field(path: str, mask: Mask) -> Field:
    return Field(path=read_path(path), text=path, mask=mask)


def masker(mask: Mask, **settings: object) -> JsonMasker:
    chosen = Selection(path=read_path("$.doc"), mask=mask, rule=0)
    return JsonMasker([chosen], rules=1, **settings)  # type: ignore[arg-type]


def run(by: JsonMasker, value: bytes) -> bytes | None:
    """The masked value; None if it was refused."""
    outcome = by.mask(value, array("i", (0, len(value))))
    start, length = outcome.spans
    if outcome.failures:
        assert [failure.reason for failure in outcome.failures] == [Reason.UNMASKABLE]
        return None
    return value if start < 0 else outcome.values[start : start + length]


def wrap(text: str) -> bytes:
    return json.dumps({"doc": text}, ensure_ascii=False).encode()


SSN = Embedded(fields=(field("$.ssn", Redact()), field("$.deep", Embedded(fields=(field("$..h", Nullify()),)))))


def test_masks_the_fields_of_the_document() -> None:
    assert run(masker(SSN), wrap('{"ssn":"1","b":2}')) == wrap('{"ssn":"[redacted]","b":2}')


def test_enters_documents_in_documents() -> None:
    inner = json.dumps({"x": [{"h": "secret"}, {"h": 5}]})
    masked = json.dumps({"x": [{"h": None}, {"h": None}]})

    assert run(masker(SSN), wrap(json.dumps({"deep": inner}))) == wrap(json.dumps({"deep": masked}))


def test_document_without_a_hit_keeps_every_byte() -> None:
    value = b'{"doc" : "{\\u0022a\\u0022 :\\/* }", "doc":"[ \\"\\u00e9\\" ]" , "x":1}'.replace(b":\\/*", b":1")

    assert run(masker(SSN), value) == value


@pytest.mark.parametrize(
    "text", ["", "no json", "{}x", "{} {}", '{"ssn":', "\ufeff{}", "[" * 65 + "]" * 65], ids=lambda text: repr(text[:9])
)
@pytest.mark.parametrize("on_unmaskable", ["reject", "redact"])
def test_text_that_holds_no_json_is_unmaskable(text: str, on_unmaskable: str) -> None:
    chosen = Selection(path=read_path("$.doc"), mask=SSN, rule=0, on_unmaskable=on_unmaskable)  # type: ignore[arg-type]

    masked = run(JsonMasker([chosen], rules=1), wrap(text))

    assert masked == (None if on_unmaskable == "reject" else wrap("[redacted]"))


@pytest.mark.parametrize("written", [b"5", b"true"], ids=["number", "boolean"])
def test_other_types_are_unmaskable_and_null_stays(written: bytes) -> None:
    assert run(masker(SSN), b'{"doc":%s}' % written) is None
    assert run(masker(SSN), b'{"doc":null}') == b'{"doc":null}'


def test_unmaskable_leaf_in_a_document_follows_the_policy_of_the_rule() -> None:
    mask = Embedded(fields=(field("$.ssn", Partial(keep_last=1)),))
    chosen = Selection(path=read_path("$.doc"), mask=mask, rule=0, on_unmaskable="redact")

    assert run(masker(mask), wrap('{"ssn":5}')) is None
    assert run(JsonMasker([chosen], rules=1), wrap('{"ssn":5}')) == wrap('{"ssn":0}')


def test_every_text_below_the_path_is_entered() -> None:
    value = b'{"doc":["{\\"ssn\\":1}",{"x":"{\\"ssn\\":2}"}]}'

    assert run(masker(SSN), value) == value.replace(b"1", b"0").replace(b"2", b"0")


@pytest.mark.parametrize("text", ['{"ssn":1}', '{"ssn":"ÿþ?>"}', '{"ssn":"1234"}', '{"ssn":"12345"}'])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padding", [True, False])
def test_base64_keeps_its_form(text: str, encode: object, padding: bool) -> None:
    given = encode(text.encode()).decode().rstrip("=")  # type: ignore[operator]
    given += "=" * (-len(given) % 4) if padding else ""

    masked = run(masker(Embedded(fields=(field("$.ssn", Redact(text="é?>~")),), base64=True)), wrap(given))

    assert masked is not None
    written = json.loads(masked)["doc"]
    decoded = decode_base64(written)
    assert decoded is not None
    assert json.loads(decoded) == {"ssn": "é?>~" if '"ssn":"' in text else 0}
    assert padding or "=" not in written or len(given) % 4 == 0
    assert not ("-" in given or "_" in given) or not ("+" in written or "/" in written)


@pytest.mark.parametrize("text", ["e30", "e30=", "eyJhIjoxfQ==", "eyJhIjoxfQ", ""])
def test_reads_base64_with_and_without_padding(text: str) -> None:
    assert decode_base64(text) == base64.b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.parametrize(
    "text",
    ["e", "e3", "e30==", "e30 ", " e30", "e3\n0", "e=30", "e30=e30=", "e3+_", "é30", "e30=x", "====", "\u212a30="],
    ids=repr,
)
def test_refuses_what_other_readers_of_base64_might_read_otherwise(text: str) -> None:
    decoded = decode_base64(text)

    assert decoded is None or text == "e3"


def test_base64_of_no_json_is_unmaskable() -> None:
    mask = Embedded(fields=(field("$.ssn", Redact()),), base64=True)

    assert run(masker(mask), wrap("bm8ganNvbg==")) is None
    assert run(masker(mask), wrap("not base64")) is None


@given(documents | damaged_documents(), selections)
@settings(max_examples=200, deadline=None)
def test_agrees_with_the_oracle_on_the_document_as_a_value(value: bytes, chosen: list[Selection]) -> None:
    text = value.decode("utf-8", "replace").replace("\ufeff", "?")
    fields = tuple(
        Field(path=one.path, text="", mask=one.mask) for one in chosen if one.path or not isinstance(one.mask, Keep)
    )
    picked = [Selection(path=one.path, mask=one.mask, rule=0) for one in fields]
    try:
        expected: bytes | None = json_oracle.mask(text.encode(), picked).text
    except (json_oracle.Unreadable, json_oracle.Unmaskable):
        expected = None

    masked = run(masker(Embedded(fields=fields)), wrap(text))

    assert (None if masked is None else json.loads(masked)) == (
        None if expected is None else {"doc": expected.decode()}
    )


@given(st.binary(max_size=40), st.booleans(), st.booleans())
@settings(max_examples=200)
def test_base64_goes_round(value: bytes, url_safe: bool, padding: bool) -> None:
    like = ("__8=" if url_safe else "//8=") if padding else "__8" if url_safe else "//8"

    text = encode_base64(value, like=like)

    assert decode_base64(text) == value
    assert text.rstrip("=") == (base64.urlsafe_b64encode if url_safe else base64.b64encode)(value).decode().rstrip("=")


def test_collected_masks_act_in_documents() -> None:
    key = b"k" * 32
    by = masker(Embedded(fields=(field("$.id", Hash(subkey=key, length=8)), field("$.name", Keep()))))

    first, second = (run(by, wrap(json.dumps({"id": "x", "name": name}))) for name in ("a", "b"))

    assert first is not None
    assert second is not None
    assert json.loads(json.loads(first)["doc"])["id"] == json.loads(json.loads(second)["doc"])["id"] != "x"


def test_what_can_be_undone_in_a_document_is_undone() -> None:
    sealing = SealingKey(random=b"r" * 32, deterministic=b"d" * 64)
    encrypt = Encrypt(key="k", version="1", versions=(("1", sealing),))
    mask = with_path(Embedded(fields=(field("$.pan", encrypt), field("$.x", Redact()))), '$["doc"]')
    value = wrap('{"pan":"4111","x":1}')

    masked = run(masker(mask, topic="t"), value)

    assert is_reversible(mask)
    assert binds_topic(mask)
    assert isinstance(mask, Embedded)
    assert [one.mask.path for one in mask.fields if isinstance(one.mask, Encrypt)] == ['$["doc"]|$["pan"]']
    assert masked is not None
    assert b"4111" not in masked
    assert run(masker(inverse(mask), topic="t"), masked) == wrap('{"pan":"4111","x":0}')
    assert run(masker(inverse(mask), topic="other"), masked) is None
