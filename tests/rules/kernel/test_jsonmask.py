"""The JSON kernel against its oracle, against malformed bytes, and mask by mask."""

from __future__ import annotations

import ctypes
import hmac
from array import array
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support import json_oracle
from support.json_documents import CONDITIONS, RULES, damaged_documents, documents, selections
from wiremask.rules.kernel.automaton import Selection
from wiremask.rules.kernel.jsonmask import Detail, Failure, JsonMasker, MaskedTooLarge, Outcome, Reason
from wiremask.rules.model.casefold import fold
from wiremask.rules.model.masks import (
    Age,
    Drop,
    Fixed,
    Hash,
    Keep,
    Mask,
    Nullify,
    OnUnmaskable,
    Partial,
    Range,
    Redact,
    Round,
)
from wiremask.rules.model.selector import Index, Name, Path, Segment, Slice, Wildcard

MARKER = b'{"wiremask":"unreadable"}'
NOTHING = JsonMasker((), rules=0)


def path(*steps: str | int | None) -> Path:
    """Child segments: a name, an index, None for the wildcard."""
    return tuple(
        Segment((Wildcard() if step is None else Name(step) if isinstance(step, str) else Index(step),))
        for step in steps
    )


def anywhere(name: str) -> Path:
    return (Segment((Name(name),), descendant=True),)


def select(at: Path, mask: Mask, rule: int = 0, on_unmaskable: OnUnmaskable = "reject") -> Selection:
    return Selection(path=at, mask=mask, rule=rule, on_unmaskable=on_unmaskable)


def run(masker: JsonMasker, *values: bytes | None, conditions: bytes = b"") -> Outcome:
    """Masks values that lie one after another, nothing between them."""
    spans = array("i")
    buffer = b""
    for value in values:
        spans.extend((len(buffer), -1 if value is None else len(value)))
        buffer += value or b""
    # Memory of the exact size: AddressSanitizer sees a read of one byte too many.
    return masker.mask(ctypes.create_string_buffer(buffer, len(buffer)), spans, conditions)


def texts(outcome: Outcome) -> list[bytes | None]:
    """The changed values; None for those that keep their bytes or were refused."""
    pairs = zip(outcome.spans[::2], outcome.spans[1::2], strict=True)
    return [outcome.values[start : start + length] if start >= 0 else None for start, length in pairs]


def masked(value: bytes, *chosen: Selection) -> bytes:
    """One value masked by one rule; unchanged is the value itself."""
    outcome = run(JsonMasker(chosen, rules=1), value)
    assert outcome.failures == ()
    (text,) = texts(outcome)
    return value if text is None else text


def is_valid(value: bytes) -> bool:
    try:
        json_oracle.read(value)
    except json_oracle.Unreadable:
        return False
    return True


def expectation(
    value: bytes, chosen: list[Selection], conditions: bytes
) -> json_oracle.Expected | json_oracle.Unreadable | json_oracle.Unmaskable:
    try:
        return json_oracle.mask(value, chosen, conditions=conditions)
    except (json_oracle.Unreadable, json_oracle.Unmaskable) as error:
        return error


# Agreement with the oracle


@given(documents)
@settings(max_examples=200)
def test_accepts_what_the_oracle_accepts_and_changes_nothing_without_selections(value: bytes) -> None:
    assert is_valid(value)

    outcome = run(NOTHING, value)

    assert (outcome.failures, outcome.changed, list(outcome.spans), outcome.values) == ((), 0, [-1, 0], b"")


@given(damaged_documents())
@example(b"[1e]")
@example(b'{"a":"\\ud83d\\u0041"}')
@settings(max_examples=300)
def test_agrees_with_the_oracle_on_damaged_documents(value: bytes) -> None:
    expected = is_valid(value)

    outcome = run(NOTHING, value)

    assert (not outcome.failures) == expected


@given(st.lists(st.sampled_from([b"[", b"]", b"{", b"}", b'"a"', b":", b",", b"1", b"null", b" "]), max_size=9))
@settings(max_examples=300)
def test_agrees_with_the_oracle_on_any_order_of_tokens(tokens: list[bytes]) -> None:
    value = b"".join(tokens)

    outcome = run(NOTHING, value)

    assert (not outcome.failures) == is_valid(value)


@given(st.binary(max_size=24))
@settings(max_examples=200)
def test_agrees_with_the_oracle_on_any_bytes_in_a_string(content: bytes) -> None:
    value = b'"' + content + b'"'

    outcome = run(NOTHING, value)

    assert (not outcome.failures) == is_valid(value)


holding = st.lists(st.integers(0, 1), min_size=CONDITIONS, max_size=CONDITIONS).map(bytes)


@given(documents | damaged_documents(), selections, holding)
@settings(max_examples=300, deadline=None)
def test_agrees_with_the_oracle_on_every_byte_and_count(
    value: bytes, chosen: list[Selection], conditions: bytes
) -> None:
    masker = JsonMasker(chosen, rules=RULES, conditions=CONDITIONS)

    outcome = run(masker, value, conditions=conditions)

    match expectation(value, chosen, conditions):
        case json_oracle.Unreadable():
            assert [failure.reason for failure in outcome.failures] == [Reason.UNREADABLE]
            assert list(outcome.masked) == [0] * RULES
        case json_oracle.Unmaskable(rule=rule):
            assert [(failure.reason, failure.rule) for failure in outcome.failures] == [(Reason.UNMASKABLE, rule)]
            assert list(outcome.masked) == [0] * RULES
        case expected:
            assert outcome.failures == ()
            assert texts(outcome) == [None if expected.text == value else expected.text]
            assert outcome.changed == (expected.text != value)
            assert list(outcome.masked) == [expected.counts[rule] for rule in range(RULES)]
            json_oracle.read(expected.text)


@given(st.lists(st.tuples(documents | damaged_documents() | st.none(), holding), max_size=4), selections)
@settings(max_examples=50, deadline=None)
def test_masks_a_batch_as_it_masks_each_value_alone(
    values: list[tuple[bytes | None, bytes]], chosen: list[Selection]
) -> None:
    masker = JsonMasker(chosen, rules=RULES, on_unreadable="redact", conditions=CONDITIONS)
    alone = [run(masker, value, conditions=conditions) for value, conditions in values]

    outcome = run(masker, *(value for value, _ in values), conditions=b"".join(holds for _, holds in values))

    assert texts(outcome) == [text for one in alone for text in texts(one)]
    assert list(outcome.masked) == [sum(one.masked[rule] for one in alone) for rule in range(RULES)]
    assert outcome.changed == sum(one.changed for one in alone)
    assert outcome.unreadable == sum(one.unreadable for one in alone)
    assert [failure.index for failure in outcome.failures] == [i for i, one in enumerate(alone) if one.failures]


# Malformed values

MALFORMED = {
    "nothing": (b"", Detail.EMPTY),
    "only space": (b" \n", Detail.UNEXPECTED_END),
    "byte order mark": (b"\xef\xbb\xbf{}", Detail.BYTE_ORDER_MARK),
    "half a byte order mark": (b"\xef\xbb", Detail.UNEXPECTED_BYTE),
    "UTF-16": ("{}".encode("utf-16-le"), Detail.UNEXPECTED_BYTE),
    "second value": (b"{} {}", Detail.TRAILING_BYTES),
    "trailing null byte": (b"{}\0", Detail.TRAILING_BYTES),
    "form feed as space": (b"\x0c{}", Detail.UNEXPECTED_BYTE),
    "no-break space": (b"\xc2\xa0{}", Detail.UNEXPECTED_BYTE),
    "comment": (b"[/**/]", Detail.UNEXPECTED_BYTE),
    "single quotes": (b"['a']", Detail.UNEXPECTED_BYTE),
    "bare name": (b"{a:1}", Detail.UNEXPECTED_BYTE),
    "number as name": (b"{1:1}", Detail.UNEXPECTED_BYTE),
    "no colon": (b'{"a" 1}', Detail.UNEXPECTED_BYTE),
    "no value": (b'{"a":}', Detail.UNEXPECTED_BYTE),
    "comma at the end of an object": (b'{"a":1,}', Detail.UNEXPECTED_BYTE),
    "comma at the end of an array": (b"[1,]", Detail.UNEXPECTED_BYTE),
    "comma at the start": (b"[,1]", Detail.UNEXPECTED_BYTE),
    "two commas": (b"[1,,2]", Detail.UNEXPECTED_BYTE),
    "no comma": (b"[1 2]", Detail.UNEXPECTED_BYTE),
    "array closed as an object": (b"[1}", Detail.UNEXPECTED_BYTE),
    "object closed as an array": (b'{"a":1]', Detail.UNEXPECTED_BYTE),
    "closed twice": (b"[]]", Detail.TRAILING_BYTES),
    "never closed": (b'{"a":[1', Detail.UNEXPECTED_END),
    "NaN": (b"NaN", Detail.UNEXPECTED_BYTE),
    "Infinity": (b"[-Infinity]", Detail.BAD_NUMBER),
    "True": (b"True", Detail.UNEXPECTED_BYTE),
    "cut literal": (b"tru", Detail.UNEXPECTED_END),
    "longer literal": (b"nulls", Detail.TRAILING_BYTES),
    "wrong literal": (b"[falze]", Detail.UNEXPECTED_BYTE),
    "plus": (b"+1", Detail.UNEXPECTED_BYTE),
    "only minus": (b"-", Detail.UNEXPECTED_END),
    "two minus": (b"--1", Detail.BAD_NUMBER),
    "leading zero": (b"01", Detail.TRAILING_BYTES),
    "negative leading zero": (b"[-01]", Detail.UNEXPECTED_BYTE),
    "no digit before the point": (b".5", Detail.UNEXPECTED_BYTE),
    "no digit after the point": (b"[1.]", Detail.BAD_NUMBER),
    "no digit in the exponent": (b"[1e+]", Detail.BAD_NUMBER),
    "cut exponent": (b"1e", Detail.UNEXPECTED_END),
    "two points": (b"1.2.3", Detail.TRAILING_BYTES),
    "hexadecimal": (b"0x1F", Detail.TRAILING_BYTES),
    "line feed in a string": (b'"a\nb"', Detail.CONTROL_CHARACTER),
    "null byte in a string": (b'"a\0b"', Detail.CONTROL_CHARACTER),
    "control character in a name": (b'{"\x1f":1}', Detail.CONTROL_CHARACTER),
    "control character after 16 bytes": (b'"0123456789abcdef\x01 and more to come"', Detail.CONTROL_CHARACTER),
    "unknown escape": (b'"\\x41"', Detail.BAD_ESCAPE),
    "upper-case escape": (b'"\\U0041"', Detail.BAD_ESCAPE),
    "escaped quote at the end": (b'"\\"', Detail.UNEXPECTED_END),
    "backslash at the end": (b'"\\', Detail.UNEXPECTED_END),
    "three hex digits": (b'"\\u004"', Detail.BAD_ESCAPE),
    "no hex digit": (b'"\\u00g1"', Detail.BAD_ESCAPE),
    "signed hex digits": (b'"\\u+041"', Detail.BAD_ESCAPE),
    "lone high surrogate": (b'"\\ud800"', Detail.LONE_SURROGATE),
    "lone low surrogate": (b'"\\udc00"', Detail.LONE_SURROGATE),
    "surrogates reversed": (b'"\\udc00\\ud800"', Detail.LONE_SURROGATE),
    "high surrogate twice": (b'"\\ud83d\\ud83d\\ude00"', Detail.LONE_SURROGATE),
    "high surrogate and a letter": (b'"\\ud83dx"', Detail.LONE_SURROGATE),
    "high surrogate in a name": (b'{"\\uD83D":1}', Detail.LONE_SURROGATE),
    "surrogate in UTF-8": (b'"\xed\xa0\x80"', Detail.BAD_UTF8),
    "surrogate pair in UTF-8": (b'"\xed\xa0\xbd\xed\xb8\x80"', Detail.BAD_UTF8),
    "continuation byte alone": (b'"\x80"', Detail.BAD_UTF8),
    "overlong of two bytes": (b'"\xc0\xa2"', Detail.BAD_UTF8),
    "overlong of three bytes": (b'"\xe0\x80\xa2"', Detail.BAD_UTF8),
    "overlong of four bytes": (b'"\xf0\x80\x80\xa2"', Detail.BAD_UTF8),
    "above U+10FFFF": (b'"\xf4\x90\x80\x80"', Detail.BAD_UTF8),
    "five bytes": (b'"\xf8\x88\x80\x80\x80"', Detail.BAD_UTF8),
    "cut character": (b'"\xe2\x82"', Detail.BAD_UTF8),
    "Latin-1": ('"é"'.encode("latin-1"), Detail.BAD_UTF8),
    "wide character outside a string": ("[é]".encode(), Detail.UNEXPECTED_BYTE),
    "65 arrays": (b"[" * 65 + b"]" * 65, Detail.TOO_DEEP),
    "65 objects and arrays": (b'[{"a":' * 32 + b"[]" + b"}]" * 32, Detail.TOO_DEEP),
    "a million brackets": (b"[" * 1_000_000, Detail.TOO_DEEP),
}


@pytest.mark.parametrize(("value", "detail"), MALFORMED.values(), ids=MALFORMED)
def test_refuses_malformed_value(value: bytes, detail: Detail) -> None:
    assert not is_valid(value)

    outcome = run(NOTHING, value)

    assert outcome.failures == (Failure(index=0, rule=-1, reason=Reason.UNREADABLE, detail=detail),)
    assert list(outcome.spans) == [-2, 0]


@pytest.mark.parametrize(
    "wrap", [b'{"dropped":%s}', b'{"kept":[%s]}', b'{"whole":{"x":[1,%s]}}'], ids=["drop", "keep", "whole"]
)
@pytest.mark.parametrize("value", [value for value, _ in MALFORMED.values()], ids=MALFORMED)
def test_refuses_malformed_part_wherever_it_stands(wrap: bytes, value: bytes) -> None:
    masker = JsonMasker(
        [select(path("dropped"), Drop()), select(path("kept"), Keep()), select(path("whole"), Nullify(whole=True))],
        rules=1,
    )
    whole = wrap.replace(b"%s", value)

    outcome = run(masker, whole)

    assert bool(outcome.failures) != is_valid(whole)


DOCUMENT = (
    ' {"a\\u0020":"é\\ud83d\\ude00\\n😀","b":[-1.5e+3,true,false,null,{}],"c" : { "ssn":"123-45-6789" },"d":[[ ]]} '
).encode()


@pytest.mark.parametrize("length", range(len(DOCUMENT) - 1))
def test_refuses_every_truncation_even_if_the_rest_stands_behind_it(length: int) -> None:
    masker = JsonMasker([select(anywhere("ssn"), Partial(keep_last=4)), select(path("b"), Redact())], rules=1)

    outcome = masker.mask(DOCUMENT, array("i", [0, length]))

    assert [failure.reason for failure in outcome.failures] == [Reason.UNREADABLE]


@pytest.mark.parametrize("at", range(len(DOCUMENT)))
def test_agrees_with_the_oracle_on_every_byte_changed(at: int) -> None:
    values = [DOCUMENT[:at] + bytes([byte]) + DOCUMENT[at + 1 :] for byte in range(256)]

    outcome = run(NOTHING, *values)

    refused = {failure.index for failure in outcome.failures}
    assert refused == {index for index, value in enumerate(values) if not is_valid(value)}


@pytest.mark.parametrize("length", range(50))
def test_finds_the_end_of_a_string_at_every_distance(length: int) -> None:
    value = b'{"k":"' + b"x" * length + b'","ssn":"1"}'

    assert masked(value, select(path("ssn"), Redact(text=""))) == value.replace(b'"1"', b'""')
    assert masked(value, select(path("k"), Nullify())) == b'{"k":null,"ssn":"1"}'


@pytest.mark.parametrize("depth_limit", [1, 5, 1000])
def test_accepts_depth_up_to_the_limit_only(depth_limit: int) -> None:
    masker = JsonMasker((), rules=0, depth_limit=depth_limit)

    outcome = run(masker, b"[" * depth_limit + b"]" * depth_limit, b"[" * (depth_limit + 1) + b"]" * (depth_limit + 1))

    assert outcome.failures == (Failure(index=1, rule=-1, reason=Reason.UNREADABLE, detail=Detail.TOO_DEEP),)


def test_replaces_unreadable_values_by_the_marker_when_told() -> None:
    masker = JsonMasker([select(path("a"), Redact())], rules=1, on_unreadable="redact")

    outcome = run(masker, b'{"a":1,', b'{"a":1}', b"", None, b"x")

    assert texts(outcome) == [MARKER, b'{"a":0}', MARKER, None, MARKER]
    assert (outcome.unreadable, outcome.changed, outcome.failures, list(outcome.masked)) == (3, 4, (), [1])


def test_refuses_an_unmaskable_value_even_if_unreadable_ones_are_replaced() -> None:
    masker = JsonMasker([select(path("a"), Partial())], rules=1, on_unreadable="redact")

    outcome = run(masker, b'{"a":1}', b'{"a":1')

    assert outcome.failures == (Failure(index=0, rule=0, reason=Reason.UNMASKABLE, detail=Detail.NUMBER_FOR_TEXT),)
    assert texts(outcome) == [None, MARKER]


def test_failed_values_leave_nothing_behind() -> None:
    chosen = [select(path("a"), Redact()), select(path("h"), Hash(subkey=b"k" * 32)), select(path("p"), Partial(), 1)]
    masker = JsonMasker(chosen, rules=2)

    outcome = run(masker, b'{"a":"one","h":"secret","p":5}', b'{"h":"two"}', b'{"a":"x","h":"secret"', b'{"a":7}')

    expected = hmac.digest(b"k" * 32, b"two", "sha256").hex().encode()
    assert texts(outcome) == [None, b'{"h":"' + expected + b'"}', None, b'{"a":0}']
    assert [(failure.index, failure.rule) for failure in outcome.failures] == [(0, 1), (2, -1)]
    assert list(outcome.masked) == [2, 0]
    assert outcome.values == b'{"h":"' + expected + b'"}{"a":0}'


def test_errors_and_representations_hold_no_payload() -> None:
    masker = JsonMasker([select(path("a"), Redact()), select(path("b"), Partial())], rules=1)

    outcome = run(masker, b'{"a":"canary-1"}', b'{"canary-2"', b'{"b":31415926}')

    shown = repr(outcome) + repr(outcome.failures) + repr(masker)
    assert "canary" not in shown
    assert "31415926" not in shown


# Each mask

DOCUMENTS: dict[str, tuple[list[Selection], bytes, bytes]] = {
    "redact keeps the type": (
        [select(path("a"), Redact())],
        b'{"a":["x",-1.5,true,false,null,{"b":"y"},[],{}]}',
        b'{"a":["[redacted]",0,false,false,null,{"b":"[redacted]"},[],{}]}',
    ),
    "redact escapes its text": ([select(path("a"), Redact(text='"\\\n'))], b'{"a":"x"}', b'{"a":"\\"\\\\\\n"}'),
    "fixed": ([select(path(None), Fixed(literal=b'"n/a"'))], b'["x",1,null,[2]]', b'["n/a","n/a",null,["n/a"]]'),
    "fixed whole": (
        [select(path(None), Fixed(literal=b'{"n":0}', whole=True))],
        b'["x",1,null,[2],{"a":[{}]}]',
        b'[{"n":0},{"n":0},null,{"n":0},{"n":0}]',
    ),
    "nullify": ([select(path("a"), Nullify())], b'{"a":[1,{"b":"x"}]}', b'{"a":[null,{"b":null}]}'),
    "nullify whole": ([select(path("a"), Nullify(whole=True))], b'{"a":[1,{"b":"x"}],"c":1}', b'{"a":null,"c":1}'),
    "fixed whole at the root": ([select((), Fixed(literal=b"0", whole=True))], b' {"a":1}\n', b" 0\n"),
    "root leaf": ([select((), Partial(keep_last=2))], b'"secret"', b'"****et"'),
    "drop first": ([select(path("a"), Drop())], b'{ "a": 1 , "b": 2 }', b'{ "b": 2 }'),
    "drop middle": ([select(path("b"), Drop())], b'{"a":1 , "b":2 , "c":3}', b'{"a":1  , "c":3}'),
    "drop last": ([select(path("b"), Drop())], b'{"a":1, "b":2 }', b'{"a":1 }'),
    "drop only": ([select(path("a"), Drop())], b'{ "a" : {"x":[1,2]} }', b"{  }"),
    "drop all": ([select(path(None), Drop())], b'{"a":1,"b":[2],"c":null}', b"{}"),
    "drop null": ([select(path("a"), Drop())], b'{"a":null,"b":0}', b'{"b":0}'),
    "drop elements": ([select(path(0), Drop()), select(path(2), Drop())], b"[1, 2, 3, 4]", b"[2, 4]"),
    "drop doubles": ([select(path("a"), Drop())], b'{"a":1,"b":2,"a":3}', b'{"b":2}'),
    "drop at two levels": (
        [select(anywhere("x"), Drop())],
        b'{"x":{"x":1},"a":[{"x":1,"y":2,"x":3},{"x":0}],"x":[]}',
        b'{"a":[{"y":2},{}]}',
    ),
    "keep shields from later selections": (
        [select(path("a", "b"), Keep()), select(path("a"), Redact())],
        b'{"a":{"b":"x","c":"y"}}',
        b'{"a":{"b":"x","c":"[redacted]"}}',
    ),
    "keep of a container shields all in it": (
        [select(path("a"), Keep()), select(anywhere("c"), Redact())],
        b'{"a":{"c":"x"},"c":"y"}',
        b'{"a":{"c":"x"},"c":"[redacted]"}',
    ),
    "earlier selection of a container wins over a later drop in it": (
        [select(path("a"), Redact()), select(path("a", "b"), Drop())],
        b'{"a":{"b":"x"}}',
        b'{"a":{"b":"[redacted]"}}',
    ),
    "whole mask takes what an earlier selection names deeper": (
        [select(path("a", "b"), Keep()), select(path("a"), Drop())],
        b'{"a":{"b":"x"},"c":1}',
        b'{"c":1}',
    ),
    "escaped name": ([select(path("ssn"), Redact())], b'{"s\\u0073\\u006E":"x"}', b'{"s\\u0073\\u006E":"[redacted]"}'),
    "escaped name that is another": ([select(path("ssn"), Redact())], b'{"ss\\\\n":"x"}', b'{"ss\\\\n":"x"}'),
    "wide name": ([select(path("é😀"), Redact())], '{"\\u00e9\\ud83d\\ude00":1,"é😀":2}'.encode(), '{"\\u00e9\\ud83d\\ude00":0,"é😀":0}'.encode()),
    "empty name": ([select(path(""), Redact())], b'{"":1,"a":2}', b'{"":0,"a":2}'),
    "name that is a prefix": ([select(path("customer"), Redact())], b'{"custome":1,"customers":2,"customer":3}', b'{"custome":1,"customers":2,"customer":0}'),
    "index is no name": ([select(path(0), Redact()), select(path("1"), Redact())], b'{"0":"x","1":[5]}', b'{"0":"x","1":[0]}'),
    "partial": ([select(path(0), Partial(keep_last=4))], b'["123-45-6789"]', b'["***-**-6789"]'),
    "partial of a short value hides all": ([select(path(0), Partial(keep_first=2, keep_last=2))], b'["1-23-4"]', b'["*-**-*"]'),
    "partial of the shortest value that keeps": ([select(path(0), Partial(keep_first=2, keep_last=2))], b'["1-23-45"]', b'["1-2*-45"]'),
    "partial that hides the first": ([select(path(0), Partial(hide_first=2))], b'["1-23-45"]', b'["*-*3-45"]'),
    "partial that hides the last": ([select(path(0), Partial(hide_last=4))], b'["1-23-45"]', b'["1-**-**"]'),
    "partial that hides both ends": ([select(path(0), Partial(hide_first=1, hide_last=1))], '["é23\\u0034"]'.encode(), b'["*23*"]'),
    "partial that hides both ends, with a wide character": ([select(path(0), Partial(char="●", hide_first=1, hide_last=1))], b'["1234"]', '["●23●"]'.encode()),
    "partial that hides more than there is": ([select(path(0), Partial(hide_first=3, hide_last=2))], b'["1-23-45"]', b'["*-**-**"]'),
    "partial that hides the first of a number": ([select(path(0), Partial(hide_first=2, as_string=True))], b"[-12.50]", b'["-**.50"]'),
    "partial of nothing": ([select(path(0), Partial())], b'[""]', b'[""]'),
    "partial without separators": ([select(path(0), Partial(separators=""))], b'["1-2"]', b'["***"]'),
    "partial with a wide separator": ([select(path(0), Partial(separators="·"))], '["a·b\\u00b7c-"]'.encode(), '["*·*\\u00b7**"]'.encode()),
    "partial counts code points": ([select(path(0), Partial(keep_first=1, keep_last=1))], '["😀é\\ud83d\\ude00x\\n"]'.encode(), b'["\xf0\x9f\x98\x80***\\n"]'),
    "partial keeps escapes": ([select(path(0), Partial(keep_last=2))], b'["ab\\u0063\\""]', b'["**\\u0063\\""]'),
    "partial with a wide character": ([select(path(0), Partial(char="●", keep_last=1))], b'["abc"]', '["●●c"]'.encode()),
    "partial with a quote": ([select(path(0), Partial(char='"'))], b'["ab"]', b'["\\"\\""]'),
    "partial of a number as string": ([select(path(0), Partial(keep_last=2, as_string=True))], b"[-12.50]", b'["-**.50"]'),
    "partial redacts unmaskable": ([select(path(None), Partial(), on_unmaskable="redact")], b'[1,true,null,"a"]', b'[0,false,null,"*"]'),
}  # fmt: skip


@pytest.mark.parametrize(("chosen", "value", "expected"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_masks_as_written_here_and_as_the_oracle_says(chosen: list[Selection], value: bytes, expected: bytes) -> None:
    assert json_oracle.mask(value, chosen).text == expected

    assert masked(value, *chosen) == expected


@pytest.mark.parametrize(
    ("value", "mask", "detail"),
    [
        (b"1", Partial(), Detail.NUMBER_FOR_TEXT),
        (b"1", Hash(subkey=b"k" * 32), Detail.NUMBER_FOR_TEXT),
        (b"true", Partial(as_string=True), Detail.BOOLEAN_FOR_TEXT),
        (b"false", Hash(subkey=b"k" * 32, as_string=True), Detail.BOOLEAN_FOR_TEXT),
    ],
    ids=["partial of a number", "hash of a number", "partial of true", "hash of false"],
)
def test_refuses_a_leaf_that_the_mask_does_not_take(value: bytes, mask: Mask, detail: Detail) -> None:
    masker = JsonMasker([select(path("x"), Redact(), 0), select(path("a"), mask, 1)], rules=2)

    outcome = run(masker, b'{"x":1,"a":[null,' + value + b"]}")

    assert outcome.failures == (Failure(index=0, rule=1, reason=Reason.UNMASKABLE, detail=detail),)
    assert list(outcome.masked) == [0, 0]


@pytest.mark.parametrize(
    ("written", "decoded"),
    [
        (b'""', b""),
        (b'"abc"', b"abc"),
        (b'"\\u0061b\\u0063"', b"abc"),
        (b'"\\ud83d\\ude00\\/\\b\\f\\n\\r\\t\\"\\\\"', b'\xf0\x9f\x98\x80/\b\f\n\r\t"\\'),
        (b"-1.50e3", b"-1.50e3"),
        (b'"' + b"x" * 5000 + b'"', b"x" * 5000),
    ],
    ids=["nothing", "plain", "escaped", "every escape", "number", "long"],
)
def test_hashes_the_decoded_text(written: bytes, decoded: bytes) -> None:
    mask = Hash(subkey=bytes(range(32)), as_string=True)
    expected = hmac.digest(bytes(range(32)), decoded, "sha256").hex().encode()

    assert masked(b"[%s]" % written, select(path(0), mask)) == b'["%s"]' % expected


def test_fills_in_the_outputs_of_several_keyed_masks_each_in_its_place() -> None:
    one, two = Hash(subkey=b"1" * 32, length=20), Hash(subkey=b"2" * 32, encoding="base64url", length=43)
    chosen = [select(anywhere("a"), one), select(anywhere("b"), two), select(anywhere("n"), Nullify())]
    values = [b'{"a":"%d","x":[{"b":"%d","n":1,"a":"z"}]}' % (i, i * 7) for i in range(300)]

    outcome = run(JsonMasker(chosen, rules=1), *values)

    assert texts(outcome) == [json_oracle.mask(value, chosen).text for value in values]
    assert outcome.masked[0] == 4 * 300


def test_puts_outputs_of_any_length_where_the_leaves_stood() -> None:
    chosen = [
        select(path("r"), Range(bounds=(Decimal(5),), labels=("", "x" * 50)), 0),
        select(anywhere("n"), Round(to=Decimal(10)), 1, "redact"),
        select((), Redact(), 1),
    ]
    masker = JsonMasker(chosen, rules=2, on_unreadable="redact")
    values = [b'{"r":1}', b'{"r":', b'{"n":14,"r":7,"x":[{"n":"15"}]}', b"7", None, b'{"n":"?"}', b'{"n":true}', b"{"]

    outcome = run(masker, *values)

    long = b"x" * 50
    assert texts(outcome) == [
        b'{"r":""}', MARKER, b'{"n":10,"r":"%s","x":[{"n":"20"}]}' % long, b"0", None, b'{"n":"[redacted]"}',
        b'{"n":false}', MARKER,
    ]  # fmt: skip
    assert (outcome.changed, outcome.unreadable, outcome.failures, list(outcome.masked)) == (7, 2, (), [2, 5])


def test_value_whose_leaf_a_collected_mask_does_not_take_leaves_nothing_behind() -> None:
    chosen = [select(path("n"), Round(to=Decimal(10)), 1), select(path("s"), Redact(), 0)]
    masker = JsonMasker(chosen, rules=2)

    outcome = run(masker, b'{"s":"a","n":3}', b'{"s":"canary","n":"x"}', b'{"s":1', b'{"n":20}', b'{"s":1,"n":7}')

    assert texts(outcome) == [b'{"s":"[redacted]","n":0}', None, None, None, b'{"s":0,"n":10}']
    assert list(outcome.spans[2:8]) == [-2, 0, -2, 0, -1, 0]
    assert outcome.values == b'{"s":"[redacted]","n":0}{"s":0,"n":10}'
    assert [(one.index, one.rule, one.detail) for one in outcome.failures] == [
        (1, 1, Detail.UNFIT),
        (2, -1, Detail.UNEXPECTED_END),
    ]
    assert (outcome.changed, list(outcome.masked)) == (2, [2, 3])


def test_many_values_that_are_refused_cost_no_more_each_than_few() -> None:
    values = [b'{"n":"x","s":1}', b'{"n":14,"s":1}'] * 50_000
    masker = JsonMasker([select(path("n"), Round(to=Decimal(10)), 1), select(path("s"), Redact(), 0)], rules=2)
    spans = array("i", [at for i in range(50_000) for at in (29 * i, 15, 29 * i + 15, 14)])

    outcome = masker.mask(b"".join(values), spans)

    assert (len(outcome.failures), outcome.changed, list(outcome.masked)) == (50_000, 50_000, [50_000, 50_000])


def test_outputs_of_collected_masks_count_towards_the_limit() -> None:
    chosen = [select(path(None), Range(bounds=(Decimal(5),), labels=("x" * 100, "y")))]

    with pytest.raises(MaskedTooLarge):
        run(JsonMasker(chosen, rules=1, output_limit_bytes=210), b"[1,2,3]")


class _Broken:
    takes_numbers, makes_text = True, False

    def __init__(self, *outputs: str) -> None:
        self._outputs = outputs

    def mask(self, texts: object, kinds: bytes, /) -> tuple[str, ...]:
        return self._outputs


@pytest.mark.parametrize("outputs", [(), ("1", "2"), ("1,2",), ("",), ("NaN",), ("1 ",), ('"a"',)], ids=repr)
def test_output_that_would_break_the_value_stops_the_batch(
    outputs: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wiremask.rules.kernel.jsonprogram.collect", lambda *_, **__: _Broken(*outputs))
    masker = JsonMasker([select(path(0), Age())], rules=1)

    with pytest.raises(RuntimeError, match="a mask gave"):
        run(masker, b"[7]")


def test_value_that_masks_to_itself_counts_as_unchanged() -> None:
    mask = Hash(subkey=b"k" * 32, length=1)
    fixed_point = next(d for d in "0123456789abcdef" if hmac.digest(b"k" * 32, d.encode(), "sha256").hex()[0] == d)
    chosen = [select(path("h"), mask), select(path("r"), Redact()), select(path("p"), Partial())]
    masker = JsonMasker(chosen, rules=1)

    outcome = run(masker, b'{"h":"%s"}' % fixed_point.encode(), b'{"r":"[redacted]"}', b'{"p":"**"}', b'{"r":1}')

    assert texts(outcome) == [None, None, None, b'{"r":0}']
    assert outcome.changed == 1
    assert outcome.masked[0] == 4


def test_duplicate_members_are_each_masked() -> None:
    value = b'{"ssn":"1","ssn":"2","s\\u0073n":"3"}'

    assert masked(value, select(path("ssn"), Nullify())) == b'{"ssn":null,"ssn":null,"s\\u0073n":null}'


def test_tombstones_and_values_without_a_hit_stay() -> None:
    masker = JsonMasker([select(path("a"), Redact())], rules=1)

    outcome = run(masker, None, b'{"b":1}', b"[]", None, b'{"a":null}')

    assert list(outcome.spans) == [-1, 0] * 5
    assert (outcome.changed, outcome.values, list(outcome.masked)) == (0, b"", [0])


LENGTHS = [*range(7), 100]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("step", [1, 2, 3, 50, -1, -2, -3, -50])
def test_slices_select_what_the_standard_says(step: int, length: int) -> None:
    value = b"[" + b", ".join(b"%d" % i for i in range(1, length + 1)) + b"]"
    bounds = [None, 0, 1, 3, 5, 90, 200, -1, -2, -4, -90, -200]

    for start in bounds:
        for end in bounds:
            chosen = select((Segment((Slice(start, end, step),)),), Redact())

            kept = {*range(1, length + 1)} - {i + 1 for i in range(length)[start:end:step]}
            assert {int(number) for number in json_oracle.read(masked(value, chosen))} - {0} == kept


@pytest.mark.parametrize("index", [0, 1, 4, -1, -2, -5, -6, 5])
def test_indexes_select_from_both_ends(index: int) -> None:
    expected = [b"1", b"2", b"3", b"4", b"5"]
    if -5 <= index < 5:
        expected[index] = b"0"

    assert masked(b"[1,2,3,4,5]", select(path(index), Redact())) == b"[%s]" % b",".join(expected)


def test_slices_count_in_each_array_of_an_array() -> None:
    last_of_all = Segment((Index(-1),), descendant=True)

    assert masked(b'[[1,2],[3,[4,[ ]]],{"a":[5,6],"b":[7]}, 8]', select((last_of_all,), Redact())) == (
        b'[[1,0],[3,[0,[ ]]],{"a":[5,0],"b":[0]}, 0]'
    )


@pytest.mark.parametrize("value", [b"[1,2", b'["a', b"[1}", b"]", b"[[[", b'{"a":[1,]}', b"[,]", b"[" * 70], ids=str)
def test_arrays_that_cannot_be_counted_are_unreadable(value: bytes) -> None:
    outcome = run(JsonMasker([select(path(-1), Redact())], rules=1), value)

    assert [failure.reason for failure in outcome.failures] == [Reason.UNREADABLE]


def test_elements_of_two_slices_are_told_apart() -> None:
    chosen = [
        select((Segment((Slice(1, None),)), *path("a")), Fixed(literal=b"1")),
        select((Segment((Slice(-2, None),)), *path("b")), Fixed(literal=b"2")),
        select((Segment((Index(0),)), *path("b")), Fixed(literal=b"3")),
    ]

    assert masked(b"[%s]" % b",".join([b'{"a":0,"b":0}'] * 4), *chosen) == (
        b'[{"a":0,"b":3},{"a":1,"b":0},{"a":1,"b":2},{"a":1,"b":2}]'
    )
    assert masked(b"[%s]" % b",".join([b'{"a":0,"b":0}'] * 1), *chosen) == b'[{"a":0,"b":2}]'


SPELLINGS = ["ssn", "SSN", "sSn", "\\u0053\\u0053N", "\u017fsn", "\\u017F\u017f\\u004e", "S\u017fN"]


@pytest.mark.parametrize("name", SPELLINGS)
def test_names_compare_without_regard_to_case_when_told(name: str) -> None:
    value = f'{{"{name}":1,"ssn ":2,"ss":3,"s\u0455n":4}}'.encode()

    assert masked(value, select((Segment((Name("ssn", ignore_case=True),)),), Redact())) == value.replace(b":1", b":0")


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("straße", "STRAẞE"),
        ("k", "\\u212a"),
        ("ⱥⱥ", "ȺȺ"),
        ("\u03c3", "ς"),
        ("\uab70", "\u13a0"),
        ("𞤢", "\\ud83a\\udd00"),
        ("ი", "Ი"),
    ],
)
def test_folds_characters_that_change_their_length(name: str, written: str) -> None:
    chosen = select((Segment((Name(fold(name), ignore_case=True),)),), Redact())

    assert masked(f'{{"{written}":1,"x":1}}'.encode(), chosen) == f'{{"{written}":0,"x":1}}'.encode()


def test_exact_names_and_names_in_any_case_are_told_apart() -> None:
    chosen = [
        select(path("ID"), Keep()),
        select((Segment((Name("id", ignore_case=True),)),), Fixed(literal=b"1")),
        select(path("Id"), Fixed(literal=b"2")),
        select(path("other"), Fixed(literal=b"3")),
    ]

    assert masked(b'{"ID":0,"Id":0,"id":0,"iD":0,"other":0,"Other":0}', *chosen) == (
        b'{"ID":0,"Id":1,"id":1,"iD":1,"other":3,"Other":0}'
    )


def test_200_names_are_told_apart() -> None:
    names = [f"field_{i}" for i in range(100)] + ["x" * i for i in range(1, 101)]
    masker = JsonMasker([select(path(name), Fixed(literal=b"%d" % i)) for i, name in enumerate(names)], rules=1)
    value = b"{%s}" % b",".join(b'"%s":true,"_%s":true' % (name.encode(), name.encode()) for name in names)

    (text,) = texts(run(masker, value))

    expected = b",".join(b'"%s":%d,"_%s":true' % (name.encode(), i, name.encode()) for i, name in enumerate(names))
    assert text == b"{%s}" % expected


# The batch


def test_takes_views_and_spans_that_overlap_or_skip() -> None:
    buffer = bytearray(b'..{"a":1}..{"a":[2]}')
    masker = JsonMasker([select(path("a"), Nullify())], rules=1)

    outcome = masker.mask(memoryview(buffer)[1:], memoryview(array("i", [1, 7, 10, 9, 1, 7])))

    assert texts(outcome) == [b'{"a":null}', b'{"a":[null]}', b'{"a":null}']


@pytest.mark.parametrize(
    "spans",
    [[-1, 1], [0, 11], [10, 1], [5, 6], [0, -2], [2_147_483_647, 2_147_483_647], [11, 0], [-2_147_483_648, 0]],
    ids=str,
)
def test_refuses_spans_outside_the_buffer(spans: list[int]) -> None:
    values = array("i", [0, 2, *spans])

    with pytest.raises(ValueError, match="value 1 lies outside the buffer"):
        NOTHING.mask(b"[] [] [] 1", values)


@pytest.mark.parametrize(
    "values",
    [array("i", [1]), array("q", [0, 1]), array("I", [0, 1]), array("f", [0, 1]), b"12345678"],
    ids=["odd", "int64", "unsigned", "float", "bytes"],
)
def test_refuses_spans_of_another_shape(values: array[int]) -> None:
    with pytest.raises(ValueError, match="pairs"):
        NOTHING.mask(b"[]", values)


def test_output_that_outgrows_its_limit_is_refused_as_a_whole() -> None:
    chosen = [select(path(None), Redact())]
    value = b'["a","b"]'
    length = len(json_oracle.mask(value, chosen).text)

    fits = run(JsonMasker(chosen, rules=1, output_limit_bytes=length), value)

    assert texts(fits) == [json_oracle.mask(value, chosen).text]
    with pytest.raises(MaskedTooLarge):
        run(JsonMasker(chosen, rules=1, output_limit_bytes=length - 1), value)


def test_output_grows_far_beyond_its_input() -> None:
    value = b"[%s]" % b",".join([b'""'] * 200_000)

    outcome = run(JsonMasker([select((), Redact(text="x" * 100))], rules=1), b"[]", value)

    assert texts(outcome) == [None, value.replace(b'""', b'"%s"' % (b"x" * 100))]


def test_output_shrinks_far_below_its_input() -> None:
    value = b'{"a":"%s","b":1}' % (b"x" * 1_000_000)

    outcome = run(JsonMasker([select(path("a"), Drop())], rules=1), value)

    assert outcome.values == b'{"b":1}'


def test_several_threads_share_one_masker() -> None:
    chosen = [select(path("ssn"), Partial(keep_last=2)), select(path("h"), Hash(subkey=b"k" * 32))]
    masker = JsonMasker(chosen, rules=1)
    batches = [
        [b'{"ssn":"%09d","h":"%d","deep":[[{"x":"%d"}]]}' % (i * k, k, i) for i in range(400)] for k in range(1, 33)
    ]

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda batch: run(masker, *batch), batches))

    for batch, outcome in zip(batches, outcomes, strict=True):
        assert texts(outcome) == [json_oracle.mask(value, chosen).text for value in batch]


# The constructor


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (Fixed(literal=b"n/a"), "not valid JSON"),
        (Fixed(literal=b'"a" "b"'), "not valid JSON"),
        (Redact(text="\ud800"), "surrogate"),
        (Partial(char=""), "exactly one character"),
        (Partial(char="**"), "exactly one character"),
        (Partial(keep_first=-1), "no less than 0"),
        (Partial(keep_last=-1), "no less than 0"),
        (Hash(subkey=b"short"), "32 bytes"),
        (Hash(subkey=b"k" * 32, length=0), "1 to 64"),
        (Hash(subkey=b"k" * 32, length=65), "1 to 64"),
        (Hash(subkey=b"k" * 32, encoding="base64url", length=44), "1 to 43"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)  # fmt: skip
def test_refuses_impossible_masks(mask: Mask, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        JsonMasker([select(path("a"), mask)], rules=1)


@pytest.mark.parametrize("rule", [-1, 1])
def test_refuses_a_selection_of_no_rule(rule: int) -> None:
    with pytest.raises(ValueError, match="belongs to no rule"):
        JsonMasker([select(path("a"), Redact(), rule)], rules=1)


def test_refuses_a_selection_of_no_condition() -> None:
    with pytest.raises(ValueError, match="no condition that there is"):
        JsonMasker([Selection(path=path("a"), mask=Redact(), rule=0, when=1)], rules=1, conditions=1)


@pytest.mark.parametrize("conditions", [b"", b"\1", b"\1\1\1"], ids=len)
def test_refuses_conditions_that_are_not_one_for_each_value(conditions: bytes) -> None:
    masker = JsonMasker([Selection(path=path("a"), mask=Redact(), rule=0, when=0)], rules=1, conditions=1)

    with pytest.raises(ValueError, match="a byte for each condition and value"):
        run(masker, b"[]", b"[]", conditions=conditions)


def test_masker_that_was_not_set_up_refuses_to_mask() -> None:
    masker = JsonMasker.__new__(JsonMasker)

    with pytest.raises(TypeError, match="not set up"):
        masker.mask(b"[]", array("i", [0, 2]))
    with pytest.raises(TypeError, match="set up once"):
        NOTHING.__init__((), rules=0)  # type: ignore[misc]


def test_refuses_impossible_settings() -> None:
    with pytest.raises(ValueError, match="depth_limit"):
        JsonMasker((), rules=0, depth_limit=0)
    with pytest.raises(ValueError, match="marker"):
        JsonMasker((), rules=0, marker=b"[unreadable")
    with pytest.raises(ValueError, match="output_limit_bytes"):
        JsonMasker((), rules=0, output_limit_bytes=1 << 31)
    with pytest.raises(ValueError, match="on_unreadable"):
        JsonMasker((), rules=0, on_unreadable="pass")  # type: ignore[arg-type]
