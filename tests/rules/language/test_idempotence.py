"""Masks that a rule may have in both directions change nothing the second time, shown on the kernel."""

from __future__ import annotations

import json
from array import array
from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules.kernel.automaton import Selection
from wiremask.rules.kernel.jsonmask import JsonMasker
from wiremask.rules.language.idempotence import fault_when_repeated
from wiremask.rules.maskers.places import RESTRICTED_ZIP3
from wiremask.rules.model.masks import (
    Age,
    Bucket,
    Chain,
    Date,
    Drop,
    Email,
    Fixed,
    Fpe,
    Hash,
    Ip,
    IpScramble,
    Keep,
    Mask,
    Noise,
    Nullify,
    Partial,
    Pattern,
    Pseudonym,
    Range,
    Redact,
    Round,
    Token,
    Truncate,
    Zip3,
)
from wiremask.rules.model.selector import read_path

CHARACTERS = "ab-. /*ü😀"
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-999, 99999)
    | st.floats(-100, 100).map(lambda number: round(number, 2))
    | st.text(CHARACTERS, max_size=9)
    | st.sampled_from(["a@b", "a@b@c.d", "2024-05-17", "20240517", "02139", "036", "192.0.2.77", "::1:2", "97.5"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)
MASKS: st.SearchStrategy[Mask] = st.one_of(
    st.just(Keep()),
    st.just(Redact()),
    st.builds(Fixed, literal=st.sampled_from([b'"x"', b"-1", b"true"]), whole=st.booleans()),
    st.builds(Nullify, whole=st.booleans()),
    st.just(Drop()),
    st.builds(
        Partial,
        keep_first=st.integers(0, 3),
        keep_last=st.integers(0, 3),
        char=st.sampled_from("*-aü"),
        separators=st.sampled_from(["", " -./", "*"]),
        fixed_length=st.sampled_from([0, 0, 1, 4]),
        as_string=st.booleans(),
    ),
    st.builds(Truncate, length=st.integers(0, 4), as_string=st.booleans()),
    st.builds(Pattern, as_string=st.booleans()),
    st.builds(
        Bucket,
        size=st.sampled_from([Decimal(7), Decimal("0.3")]),
        start=st.sampled_from([Decimal(0), Decimal(2)]),
        lowest=st.sampled_from([None, Decimal(5)]),
        highest=st.sampled_from([None, Decimal(50)]),
    ),
    st.builds(
        Round, to=st.sampled_from([Decimal(5), Decimal("0.3")]), direction=st.sampled_from(["nearest", "down", "up"])
    ),
    st.just(Range(bounds=(Decimal(-1), Decimal(30)))),
    st.just(Age()),
    st.builds(Zip3, restricted=st.just(RESTRICTED_ZIP3), as_string=st.booleans()),
    st.builds(Date, to=st.sampled_from(["year", "quarter", "month", "day"]), unit=st.sampled_from([None, "seconds"])),
    st.just(Ip()),
    st.builds(
        Email,
        local=st.sampled_from([Keep(), Redact(), Redact(text="@"), Partial(char="@"), Truncate(length=1), Pattern()]),
        domain=st.sampled_from([Keep(), Redact(), Redact(text=""), Redact(text="@"), Partial(char="@"), Pattern()]),
    ),
    st.just(Email(local=Partial(keep_first=1, fixed_length=3), domain=Partial(keep_last=2))),
)
PATHS = st.sampled_from(
    ["$.a", "$.a.b", "$[0]", "$[-1]", "$.a[1:]", "$..[::2]", "$.a[1]", "$.a[*]", "$..b", "$..*", "$.a[0,1].b", "$..[1]"]
)


def mask_value(value: bytes, selections: list[Selection]) -> bytes:
    masker = JsonMasker(selections, rules=1, depth_limit=64, on_unreadable="reject")
    outcome = masker.mask(value, array("i", (0, len(value))))
    assert outcome.failures == ()
    start, length = outcome.spans
    return value if start < 0 else bytes(outcome.values[start : start + length])


def takes_all(value: bytes, selections: list[Selection]) -> bool:
    strict = [replace(selection, on_unmaskable="reject") for selection in selections]
    return not JsonMasker(strict, rules=1).mask(value, array("i", (0, len(value)))).failures


@given(st.lists(st.tuples(PATHS, MASKS), min_size=1, max_size=3), JSON)
@settings(max_examples=300, deadline=None)
def test_what_may_act_twice_changes_nothing_the_second_time(fields: list[tuple[str, Mask]], value: object) -> None:
    paths = [read_path(path) for path, _ in fields]
    selections = [
        Selection(path=path, mask=mask, rule=0, on_unmaskable="redact")
        for path, (_, mask) in zip(paths, fields, strict=True)
        if fault_when_repeated(mask, path, paths) is None
    ]
    text = json.dumps(value, ensure_ascii=False).encode()
    once = mask_value(text, selections)
    if not takes_all(text, selections):
        # A number that a mask does not take is redacted to 0, which it may take: that is masked once, too.
        once = mask_value(once, selections)

    twice = mask_value(once, selections)

    assert twice == once


def test_what_may_not_act_twice_changes_something() -> None:
    value = b'{"a":["1-2-3","4","500000"]}'
    key = bytes(range(32))
    refused: list[tuple[str, Mask]] = [
        ("$.a[*]", Hash(subkey=key)),
        ("$.a[*]", Token(subkey=key)),
        ("$.a[2]", Fpe(subkey=key)),
        ("$.a[*]", Pseudonym(subkey=key, words=("1", "4", "7"))),
        ("$.a[2]", Noise(subkey=key, within=Decimal(1))),
        ("$.a[1]", Range(bounds=(Decimal(3),), labels=("9", "1"))),
        ("$.a[*]", Chain(masks=(Truncate(length=2), Hash(subkey=key)))),
        ("$.a[*]", Partial(keep_last=1, char="-")),
        ("$.a[0]", Drop()),
    ]

    for written, mask in refused:
        path = read_path(written)
        selections = [Selection(path=path, mask=mask, rule=0)]
        once = mask_value(value, selections)
        assert fault_when_repeated(mask, path, [path]) is not None
        assert mask_value(once, selections) != once


def test_address_with_a_key_may_not_act_twice() -> None:
    mask, path = IpScramble(subkey=bytes(32)), read_path("$.a")
    selections = [Selection(path=path, mask=mask, rule=0)]
    once = mask_value(b'{"a":"192.0.2.77"}', selections)

    assert fault_when_repeated(mask, path, [path]) is not None
    assert mask_value(once, selections) != once


def test_drop_of_elements_beside_a_counting_path_is_refused() -> None:
    elements, counting = read_path("$.a[*]"), read_path("$.a[1]")

    assert fault_when_repeated(Drop(), elements, [elements]) is None
    assert fault_when_repeated(Drop(), elements, [counting, elements]) is not None
