"""Selectors: what is read, and that every spelling of a path reads the same. Faults are in test_language_errors.py."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules.model.selector import (
    Index,
    Name,
    Path,
    PathInvalid,
    Segment,
    Slice,
    Wildcard,
    canonical,
    read_path,
    write_path,
)

ANY = Wildcard()

PATHS: dict[str, Path] = {
    "$": (),
    "$.a": (Segment((Name("a"),)),),
    "$.a.b": (Segment((Name("a"),)), Segment((Name("b"),))),
    "$.ünï_1": (Segment((Name("ünï_1"),)),),
    "$.😀": (Segment((Name("😀"),)),),
    "$['a']": (Segment((Name("a"),)),),
    '$["a"]': (Segment((Name("a"),)),),
    "$['']": (Segment((Name(""),)),),
    "$['a.b[0]']": (Segment((Name("a.b[0]"),)),),
    r"$['it\'s']": (Segment((Name("it's"),)),),
    """$['"']""": (Segment((Name('"'),)),),
    r"""$["\""]""": (Segment((Name('"'),)),),
    r"$['\b\t\n\f\r\/\\']": (Segment((Name("\b\t\n\f\r/\\"),)),),
    r"$['\u0073\u00DF\ud83d\uDE00']": (Segment((Name("s\u00df😀"),)),),
    "$[0]": (Segment((Index(0),)),),
    "$[2147483647]": (Segment((Index(2147483647),)),),
    "$[-1]": (Segment((Index(-1),)),),
    "$[1:3]": (Segment((Slice(1, 3),)),),
    "$[ 1 : 3 : 2 ]": (Segment((Slice(1, 3, 2),)),),
    "$[:]": (Segment((Slice(0, None),)),),
    "$[::]": (Segment((Slice(0, None),)),),
    "$[-2:]": (Segment((Slice(-2, None),)),),
    "$[:-1]": (Segment((Slice(0, -1),)),),
    "$[::-1]": (Segment((Slice(None, None, -1),)),),
    "$[5:1:-2]": (Segment((Slice(5, 1, -2),)),),
    "$..['a',1:2,-1]": (Segment((Name("a"), Slice(1, 2), Index(-1)), descendant=True),),
    "$[*]": (Segment((ANY,)),),
    "$.*": (Segment((ANY,)),),
    "$..a": (Segment((Name("a"),), descendant=True),),
    "$..*": (Segment((ANY,), descendant=True),),
    "$..[*]": (Segment((ANY,), descendant=True),),
    "$..['a','b']": (Segment((Name("a"), Name("b")), descendant=True),),
    "$..[0]": (Segment((Index(0),), descendant=True),),
    "$['a', 'b', 0, *]": (Segment((Name("a"), Name("b"), Index(0), ANY)),),
    "$ .a [ 'b' , 1 ]\n..c": (
        Segment((Name("a"),)),
        Segment((Name("b"), Index(1))),
        Segment((Name("c"),), descendant=True),
    ),
    "$[0][*].a..b": (
        Segment((Index(0),)),
        Segment((ANY,)),
        Segment((Name("a"),)),
        Segment((Name("b"),), descendant=True),
    ),
}


@pytest.mark.parametrize(("text", "path"), PATHS.items(), ids=PATHS)
def test_reads_path(text: str, path: Path) -> None:
    assert read_path(text) == path


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=6))
@settings(max_examples=200, deadline=None)
def test_names_read_the_same_in_single_and_double_quotes(names: list[str]) -> None:
    double = "$" + "".join(f"[{json.dumps(name)}]" for name in names)
    single = "$" + "".join(
        "['" + json.dumps(name, ensure_ascii=False)[1:-1].replace('\\"', '"').replace("'", "\\'") + "']"
        for name in names
    ).replace("\x7f", "\\u007f")

    expected = tuple(Segment((Name(name),)) for name in names)

    assert read_path(double) == expected
    assert read_path(single) == expected


@given(st.text(alphabet="$.[]'\"*,0123-\\u dabé?: \ud800\n\x00", max_size=24))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused_at_one_of_its_characters(text: str) -> None:
    offset = selectors = 0
    try:
        selectors = sum(len(segment.selectors) for segment in read_path("$" + text))
    except PathInvalid as fault:
        offset = fault.offset

    assert 0 <= offset <= len(text) + 1
    assert selectors <= len(text)


def test_lists_in_another_order_are_the_same_path() -> None:
    assert canonical(read_path("$['a','b'].c")) == canonical(read_path("$['b', 'a']['c']"))
    assert canonical(read_path("$.a.b")) != canonical(read_path("$.a..b"))
    assert canonical(read_path("$.a.b")) != canonical(read_path("$.b.a"))


def test_names_in_any_case_are_folded() -> None:
    assert read_path("$.SSN['Straẞe']", ignore_case=True) == (
        Segment((Name("ssn", ignore_case=True),)),
        Segment((Name("straße", ignore_case=True),)),
    )


def test_path_is_written_in_one_form_for_all_ways_to_write_it() -> None:
    assert write_path(read_path("$.a[2:,'b' , -1]..*")) == '$["a"]["b",-1,2::1]..[*]'
    assert write_path(read_path("$[:3:-1]")) == "$[:3:-1]"


def test_refuses_half_of_a_surrogate_pair() -> None:
    with pytest.raises(PathInvalid) as caught:
        read_path("$.a\ud800")

    assert caught.value.offset == 3


def test_refuses_path_longer_than_limit() -> None:
    with pytest.raises(PathInvalid, match="at most 1024"):
        read_path("$." + "a" * 1023)
