"""Masks that a rule may have in both directions change nothing the second time, shown on the kernel."""

from __future__ import annotations

import json
from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules.automaton import Selection
from wiremask.rules.idempotence import fault_when_repeated
from wiremask.rules.jsonmask import JsonMasker
from wiremask.rules.masks import Drop, Fixed, Hash, Keep, Mask, Nullify, Partial, Redact
from wiremask.rules.selector import read_path

CHARACTERS = "ab-. /*ü😀"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 99999) | st.text(CHARACTERS, max_size=9),
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
        as_string=st.booleans(),
    ),
)
PATHS = st.sampled_from(["$.a", "$.a.b", "$[0]", "$.a[1]", "$.a[*]", "$..b", "$..*", "$.a[0,1].b", "$..[1]"])


def mask_value(value: bytes, selections: list[Selection]) -> bytes:
    masker = JsonMasker(selections, rules=1, depth_limit=64, on_unreadable="reject")
    outcome = masker.mask(value, array("i", (0, len(value))))
    assert outcome.failures == ()
    start, length = outcome.spans
    return value if start < 0 else bytes(outcome.values[start : start + length])


@given(st.lists(st.tuples(PATHS, MASKS), min_size=1, max_size=3), JSON)
@settings(max_examples=300, deadline=None)
def test_what_may_act_twice_changes_nothing_the_second_time(fields: list[tuple[str, Mask]], value: object) -> None:
    paths = [read_path(path) for path, _ in fields]
    selections = [
        Selection(path=path, mask=mask, rule=0, on_unmaskable="redact")
        for path, (_, mask) in zip(paths, fields, strict=True)
        if fault_when_repeated(mask, path, paths) is None
    ]
    once = mask_value(json.dumps(value, ensure_ascii=False).encode(), selections)

    twice = mask_value(once, selections)

    assert twice == once


def test_what_may_not_act_twice_changes_something() -> None:
    value = b'{"a":["1-2-3","4","5"]}'
    refused: list[tuple[str, Mask]] = [
        ("$.a[*]", Hash(subkey=bytes(32))),
        ("$.a[*]", Partial(keep_last=1, char="-")),
        ("$.a[0]", Drop()),
    ]

    for written, mask in refused:
        path = read_path(written)
        selections = [Selection(path=path, mask=mask, rule=0)]
        once = mask_value(value, selections)
        assert fault_when_repeated(mask, path, [path]) is not None
        assert mask_value(once, selections) != once


def test_drop_of_elements_beside_a_counting_path_is_refused() -> None:
    elements, counting = read_path("$.a[*]"), read_path("$.a[1]")

    assert fault_when_repeated(Drop(), elements, [elements]) is None
    assert fault_when_repeated(Drop(), elements, [counting, elements]) is not None
