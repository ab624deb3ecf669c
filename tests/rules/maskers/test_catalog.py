"""What holds of every mask that the language has, each form in a rule of its own, on values that it takes."""

from __future__ import annotations

import json
import re
import string
from array import array
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from support import json_oracle
from support.mask_cases import CASES, SCALARS, MaskCase, text
from wiremask.rules import RuleSetInvalid, TopicPlan, compile_ruleset
from wiremask.rules.language.maskwords import MASKS
from wiremask.rules.records.onerecord import OneRecord

KEY = "hex:9f0c5d2ab1e64733885cd41fe027b96a0b7de35812fc469e6d21c8b45a97033f"
OTHER_KEY = "hex:1d7e4a90c25b83f6e0194c7d62ab58f33b9f07c8e1d5426a90bc3471f8e62d05"
FILE = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: every}
keys: {k: {env: K}}
rules:
  - name: r
    topics: ["t*"]
    at: [AT]
    reversible: true
    value: {fields: [{path: "$.doc..v", mask: MASK}]}
"""
POSITIONS = [
    '{"v":%}', '{"v":%,"a":"é"}', '{"a":1,"v":%}', '{ "a" : 1 ,\n "v" : % , "b" : [] }', '[{"v":%}]', '[0,{"v":%},{}]',
    '{"\\u0076":%}', '{"v":%,"v":%}', '{"v":%,"x":{"v":%}}', '{"x":[[{"y":{"v":%}}]]}', '{"v":[%]}', '{"v":[%,%]}',
    '{"v":[null,%,null]}', '{"v":[ [%] , {"a":%,"v":%} ]}', '{"v":{"a":%,"b":null}}', '{"v":{"v":{"v":%}}}',
]  # fmt: skip
"""Where a value stands in `doc`, each % one; all that `$.doc..v` selects, and all of that."""
PARTS = {
    "value": "value: {format: text, fields: [{path: $, mask: MASK}]}",
    "key": "key: {format: text, fields: [{path: $, mask: MASK}]}",
    "headers": "headers: [{name: a, mask: MASK}]",
}
NULLS = ['{"v":null}', '{"v":[null,null]}', '{"a":[{"v":{"b":null}}],"v":null}']
SEALED = re.compile(r"wm1:k:1:[\w-]+")

every_case = pytest.mark.parametrize("case", CASES, ids=str)
of_values = pytest.mark.parametrize("case", [case for case in CASES if case.mask != "drop"], ids=str)


@cache
def plan(mask: str, at: str = "produce", key: str = KEY, domain: str = "", topic: str = "t") -> TopicPlan:
    """The plan of the mask; at produce what it does not take is refused."""
    arguments = f"key: k, domain: {domain}" if domain else "key: k"
    text = FILE.replace("MASK", mask).replace("KEY", arguments).replace("AT", at)
    found = compile_ruleset({"f": text}, lambda _: key).match(topic, "fetch" if at == "fetch" else "produce")
    assert found is not None
    return found


@cache
def part_plan(mask: str, part: str) -> TopicPlan:
    """The plan of the mask on a record's value as a text, on its key, or on its headers."""
    text = FILE.partition("    value:")[0] + "    " + PARTS[part]
    text = text.replace("MASK", mask).replace("KEY", "key: k").replace("AT", "produce")
    found = compile_ruleset({"f": text}, lambda _: KEY).match("t", "produce")
    assert found is not None
    return found


def run(by: TopicPlan, *documents: str) -> list[str]:
    """What becomes of each document, in one batch, as `doc` of a value with a subject."""
    head, tail = b'{"id":"p-1","doc":', b"}"
    buffer, spans = b"", array("i")
    for document in documents:
        value = head + document.encode() + tail
        spans.extend((len(buffer), len(value)))
        buffer += value
    outcome = by.mask(buffer, spans)
    assert outcome.failures == ()
    assert not outcome.unreadable
    outputs = []
    for i in range(len(documents)):
        start, length = outcome.spans[2 * i : 2 * i + 2]
        output = outcome.values[start : start + length] if start >= 0 else buffer[spans[2 * i] :][: spans[2 * i + 1]]
        json_oracle.read(bytes(output))
        assert output.startswith(head)
        outputs.append(bytes(output)[len(head) : -len(tail)].decode())
    return outputs


def place(position: str, value: str) -> str:
    """A document with a value in it."""
    return position.replace("%", value)


def each(by: TopicPlan, values: Iterable[str]) -> list[str]:
    """What becomes of each value alone in its document."""
    return [
        output.removeprefix('{"v":').removesuffix("}") for output in run(by, *(place('{"v":%}', one) for one in values))
    ]


def escaped(value: str) -> str:
    """A JSON text with all characters of a string escaped."""
    if not value.startswith('"'):
        return value
    units = json.loads(value).encode("utf-16-be")
    return '"' + "".join(f"\\u{units[at]:02x}{units[at + 1]:02X}" for at in range(0, len(units), 2)) + '"'


def kind(value: str) -> str:
    return "text" if value[0] == '"' else "boolean" if value[0] in "tf" else "null" if value[0] == "n" else "number"


def without(node: Any, name: str) -> Any:
    """A document without the members of a name."""
    if isinstance(node, dict):
        return {key: without(value, name) for key, value in node.items() if key != name}
    return [without(value, name) for value in node] if isinstance(node, list) else node


def leaves(node: Any) -> list[str]:
    """All texts and numbers of a document, names aside."""
    if isinstance(node, dict | list):
        return [leaf for inner in (node.values() if isinstance(node, dict) else node) for leaf in leaves(inner)]
    return [str(node)] if isinstance(node, str | int | float) and not isinstance(node, bool) else []


def tells_something(value: str) -> bool:
    """Whether a text is long enough not to turn up by chance, and not what `pattern` makes of any text."""
    return sum(character.isalnum() for character in value) > 7 and not set(value) <= set("Xx9 -./")


def test_every_mask_of_the_language_is_here() -> None:
    assert [mask for mask in MASKS if not any(mask in case.mask for case in CASES)] == []


@of_values
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_type_is_kept_and_output_is_json_in_every_position(case: MaskCase, data: st.DataObject) -> None:
    value = data.draw(case.fits)

    (output,) = each(plan(case.mask), [value])
    outputs = run(plan(case.mask), *(place(position, value) for position in POSITIONS))

    expected = (
        "null" if case.mask == "nullify" else "text" if case.makes_text and kind(output) == "text" else kind(value)
    )
    assert kind(output) == expected
    if case.is_random:
        outputs = [SEALED.sub("sealed", masked) for masked in outputs]
        output = SEALED.sub("sealed", output)
    assert outputs == [place(position, output) for position in POSITIONS]


@every_case
@settings(max_examples=15, deadline=None)
@given(value=SCALARS)
def test_what_a_mask_does_not_take_is_json_of_its_type_too(case: MaskCase, value: str) -> None:
    (output,) = run(plan(case.mask, at="fetch"), place('{"a":[],"v":%}', value))

    if case.mask == "drop":
        assert output == '{"a":[]}'
        return
    masked = output.removeprefix('{"a":[],"v":').removesuffix("}")
    assert kind(masked) in (
        {"null"} if case.mask == "nullify" else {kind(value), "text"} if case.makes_text else {kind(value)}
    )


def is_refused(case: MaskCase, part: str) -> bool:
    """A value or key would be none, a key would not stay equal to itself, or there is no subject."""
    if part == "headers":
        return "subject" in case.mask
    return case.mask in ("drop", "nullify") or "subject" in case.mask or (part == "key" and case.is_random)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_masks_that_a_part_cannot_have_are_refused(case: MaskCase, part: str) -> None:
    if is_refused(case, part):
        with pytest.raises(RuleSetInvalid):
            part_plan(case.mask, part)
    else:
        assert part_plan(case.mask, part) is not None


@pytest.mark.parametrize(
    ("case", "part"), [(case, part) for case in CASES for part in PARTS if not is_refused(case, part)], ids=str
)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_texts_keys_and_headers_come_to_what_strings_in_json_come_to(
    case: MaskCase, part: str, data: st.DataObject
) -> None:
    value = data.draw(case.fits.filter(lambda value: kind(value) == "text"))
    content = json.loads(value).encode()
    record = OneRecord.of(
        key=content if part == "key" else b"k",
        value=content if part == "value" else None,
        headers=[("a", content), ("b", None), ("a", content)] if part == "headers" else [],
    )

    outcome = part_plan(case.mask, part).mask_records(record)

    assert outcome.failures == []
    headers = [content for name, content in record.masked_headers(outcome) if name == "a"]
    masked = {"key": [record.masked_key(outcome)], "value": [record.masked_value(outcome)], "headers": headers}[part]
    assert len(masked) == (0 if case.mask == "drop" else 2 if part == "headers" else 1)
    texts = [None if content is None else content.decode() for content in masked]
    if "encrypt" not in case.mask:  # which is bound to the path
        (string,) = each(plan(case.mask), [value])
        assert texts == [json.loads(string) for _ in masked]


@settings(max_examples=100, deadline=None)
@given(value=next(case.fits for case in CASES if case.mask == "drop"))
def test_drop_takes_the_value_from_every_position_and_leaves_the_rest(value: str) -> None:
    documents = [place(position, value) for position in POSITIONS]

    outputs = run(plan("drop"), *documents)

    assert [json.loads(output) for output in outputs] == [without(json.loads(document), "v") for document in documents]


@of_values
def test_null_stays_null_in_every_position(case: MaskCase) -> None:
    assert run(plan(case.mask), *NULLS) == NULLS


@pytest.mark.parametrize("case", [case for case in CASES if not case.is_random], ids=str)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_output_is_a_function_of_key_domain_and_value(case: MaskCase, data: st.DataObject) -> None:
    """Not of how it is written, of what is beside it, of the direction, of the process, or (but for `encrypt`) of the topic."""
    values = data.draw(st.lists(case.fits, min_size=1, max_size=4))
    anew = plan.__wrapped__(case.mask, topic="t" if "encrypt" in case.mask else "t-other")

    alone = [output for value in values for output in each(plan(case.mask), [value])]

    assert each(plan(case.mask), [*reversed(values), *values]) == [*reversed(alone), *alone]
    assert each(anew, values) == alone
    assert each(plan(case.mask, at="fetch"), values) == alone
    assert list(map(read, each(plan(case.mask), map(escaped, values)))) == list(map(read, alone))


def read(output: str) -> Any:
    """A value as it reads; what was left out stays the text that it is."""
    return output if output == "{" else json_oracle.read(output.encode())


@pytest.mark.parametrize("case", [case for case in CASES if case.is_keyed and not case.is_random], ids=str)
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_keys_and_domains_give_outputs_of_their_own(case: MaskCase, data: st.DataObject) -> None:
    values = data.draw(st.lists(case.fits, min_size=20, max_size=20, unique=True))

    outputs = {
        tuple(each(plan(case.mask, key=key, domain=domain), values))
        for key in (KEY, OTHER_KEY)
        for domain in ("", "a", "b")
    }

    assert len(outputs) == 6


@pytest.mark.parametrize("case", [case for case in CASES if case.is_random], ids=str)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_random_outputs_are_never_alike(case: MaskCase, data: st.DataObject) -> None:
    value = data.draw(case.fits)

    (output,) = run(plan(case.mask), place('{"v":[%]}', ",".join([value] * 20)))

    assert len(set(json.loads(output)["v"])) == 20


@every_case
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_mask_that_may_stand_in_both_directions_changes_nothing_the_second_time(
    case: MaskCase, data: st.DataObject
) -> None:
    try:
        both = plan(case.mask, at="produce, fetch")
    except RuleSetInvalid:
        assert case.is_keyed or "labels" in case.mask
        return
    value = data.draw(case.fits)

    once = run(both, *(place(position, value) for position in POSITIONS))

    assert run(both, *once) == once


@pytest.mark.parametrize("case", [case for case in CASES if case.mask != "keep"], ids=str)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_no_masked_value_is_in_the_output(case: MaskCase, data: st.DataObject) -> None:
    """Written twice, escaped, in other cases, as a number and as the text of one."""
    value = data.draw(case.fits)
    shown = json.loads(value) if kind(value) == "text" else value
    forms = [
        value,
        value,
        escaped(value),
        *{text(form) for form in (shown, shown.upper(), shown.lower(), shown.swapcase())},
    ]
    forms += [shown] if kind_of_number(shown) else []
    # At fetch what does not fit, as a form in another case may not, is redacted.
    by = plan(case.mask, at="fetch")
    changed = [form for form, output in zip(forms, each(by, forms), strict=True) if read(output) != read(form)]
    assume(changed)

    (output,) = run(by, place('{"v":[%],"x":{"v":[{"k":[%]}]}}', ",".join(changed)))

    found = leaves(json.loads(output, parse_int=str, parse_float=str))
    plain = {str(json.loads(form, parse_int=str, parse_float=str)) for form in changed}
    if case.hides or len(plain) == 1:
        assert not plain & set(found)
    for one_form in filter(tells_something, plain if case.hides else ()):
        everything = "\n".join([output, json.dumps(output), *found]).casefold()
        assert one_form.casefold() not in everything
        assert escaped(text(one_form))[1:-1].casefold() not in everything
        digits = "".join(filter(string.digits.__contains__, one_form))
        if len(digits) > 7 and len(digits) == sum(map(str.isalnum, one_form)):
            assert digits not in re.sub(r"[\s.-]", "", everything)


def kind_of_number(value: str) -> bool:
    return re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", value) is not None
