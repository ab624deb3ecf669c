"""What holds of every mask that the language has, each in a rule of its own."""

from __future__ import annotations

import json
from array import array
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules import TopicPlan, compile_ruleset
from wiremask.rules.language.maskwords import MASKS

KEY = "hex:9f0c5d2ab1e64733885cd41fe027b96a0b7de35812fc469e6d21c8b45a97033f"
OTHER_KEY = "hex:1d7e4a90c25b83f6e0194c7d62ab58f33b9f07c8e1d5426a90bc3471f8e62d05"
FILE = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: every}
keys: {k: {env: K}}
rules:
  - {name: r, topics: [t], at: [fetch], reversible: true, value: {fields: [{path: $.v, mask: MASK}]}}
"""

# Nothing of a value is left, or nothing but what the mask keeps by design.
HIDING = ["redact", "nullify", "drop", "{fixed: n/a}", "partial", "{partial: {fixedLength: 3}}", "pattern",
          "{email: {domain: redact}}", "{hash: {key: k}}", "{hash: {key: k, encoding: crockford, as: string}}",
          "{token: {key: k}}", "{token: {key: k, format: pan}}", "{token: {key: k, format: iban}}", "{fpe: {key: k}}",
          "{encrypt: {key: k, as: string}}", "{encrypt: {key: k, deterministic: true}}",
          "{pseudonym: {key: k, words: cities}}", "{noise: {key: k, within: 5}}", "{noise: {key: k, percent: 5}}",
          "{ip: {key: k}}", "[{truncate: 3}, {hash: {key: k}}]"]  # fmt: skip
LESS = ["keep", "{truncate: 3}", "{bucket: {size: 10}}", "{round: 10}", "{range: {bounds: [0, 10]}}",
        "{range: {bounds: [0], labels: [a, b]}}", "{date: {to: month, numbers: seconds}}", "age", "zip3", "ip"]  # fmt: skip
KEYED = [mask for mask in HIDING if "key: k" in mask]
MAKES_TEXT = ("fixed", "as: string", "labels")

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30) | st.sampled_from(
    [
        "4111111111111111",
        "DE89370400440532013000",
        "ada@example.com",
        "192.0.2.77",
        "2001:db8::1",
        "1984-07-23",
        "02139",
    ]
)
values = texts | st.integers(-(10**20), 10**20) | st.booleans() | st.none() | st.sampled_from([12.5, -0.25, 459425472])
documents = st.recursive(values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("k"), inner))


def tells_something(text: str) -> bool:
    """Whether a text is long enough not to turn up by chance, and not what `pattern` makes of any text."""
    return sum(character.isalnum() for character in text) > 7 and not set(text) <= set("Xx9 -./")


@cache
def program(mask: str, key: str = KEY) -> TopicPlan:
    plan = compile_ruleset({"f": FILE.replace("MASK", mask)}, lambda _: key).match("t", "fetch")
    assert plan is not None
    return plan


def run(mask: str, text: bytes, key: str = KEY) -> bytes:
    outcome = program(mask, key).mask(text, array("i", (0, len(text))))
    assert outcome.failures == ()
    return text if outcome.spans[0] < 0 else outcome.values[outcome.spans[0] : outcome.spans[0] + outcome.spans[1]]


def write(value: object, *, escaped: bool = False) -> bytes:
    return json.dumps({"before": 1, "v": value, "after": [value is None]}, ensure_ascii=escaped).encode()


def same_type(mask: str, before: object, after: object) -> bool:
    if isinstance(before, list):
        return (
            isinstance(after, list)
            and len(before) == len(after)
            and all(same_type(mask, one, other) for one, other in zip(before, after, strict=True))
        )
    if isinstance(before, dict):
        return (
            isinstance(after, dict)
            and before.keys() == after.keys()
            and all(same_type(mask, before[key], after[key]) for key in before)
        )
    if before is None or mask == "nullify":
        return after is None
    if any(word in mask for word in MAKES_TEXT) and isinstance(after, str):
        return True
    if isinstance(before, bool) or isinstance(after, bool):
        return isinstance(before, bool) and isinstance(after, bool)
    return isinstance(after, str) == isinstance(before, str)


def test_every_mask_of_the_language_is_here() -> None:
    assert [mask for mask in MASKS if not any(mask in written for written in HIDING + LESS)] == []


@pytest.mark.parametrize("mask", [mask for mask in HIDING + LESS if mask != "drop"])
@given(value=documents)
@settings(max_examples=25, deadline=None)
def test_output_is_json_of_the_same_shape_and_types(mask: str, value: object) -> None:
    masked = json.loads(run(mask, write(value)))

    assert same_type(mask, value, masked["v"])
    assert (masked["before"], masked["after"]) == (1, [value is None])


@pytest.mark.parametrize("mask", [mask for mask in HIDING + LESS if "as: string" not in mask or "encrypt" not in mask])
@given(value=documents)
@settings(max_examples=15, deadline=None)
def test_output_is_a_function_of_the_value_however_it_is_written(mask: str, value: object) -> None:
    once = run(mask, write(value))

    again, escaped = run(mask, write(value)), run(mask, write(value, escaped=True))

    assert once == again
    assert json.loads(escaped) == json.loads(once)


@pytest.mark.parametrize("mask", HIDING)
@given(text=texts.filter(tells_something))
@settings(max_examples=25, deadline=None)
def test_no_text_is_found_in_the_output(mask: str, text: str) -> None:
    written = write([text, {"k": text}])

    masked = run(mask, written)

    assert json.dumps(text).encode() not in masked
    assert json.dumps(text, ensure_ascii=False).encode() not in masked
    assert text.casefold() not in json.dumps(json.loads(masked).get("v"), ensure_ascii=False).casefold()


@pytest.mark.parametrize("mask", HIDING)
@given(number=st.integers(10**5, 10**18).filter(lambda number: set(str(number)) != {"9"}))  # `pattern` makes nines
@settings(max_examples=15, deadline=None)
def test_no_number_is_found_in_the_output(mask: str, number: int) -> None:
    masked = run(mask, write([number, str(number)]))

    assert str(number) not in masked.decode()


@pytest.mark.parametrize("mask", KEYED)
def test_other_keys_give_other_outputs(mask: str) -> None:
    value = ["4111111111111111", "DE89370400440532013000", "192.0.2.77", "2001:db8::1", 1234567, "Ada"] + ["x"] * 3
    value += [f"user {i}" for i in range(20)]

    assert run(mask, write(value)) != run(mask, write(value), OTHER_KEY)


@pytest.mark.parametrize("mask", ["{hash: {key: k%s}}", "{token: {key: k%s}}", "{noise: {key: k%s, within: 5}}",
                                  "{ip: {key: k%s}}", "{fpe: {key: k%s}}", "{encrypt: {key: k%s, deterministic: true}}",
                                  "{pseudonym: {key: k%s, words: cities}}"])  # fmt: skip
def test_other_domains_give_other_outputs(mask: str) -> None:
    value = ["4111111111111111", "192.0.2.77", 1234567, *[f"user {i}" for i in range(20)]]

    outputs = {run(mask % domain, write(value)) for domain in ("", ", domain: a", ", domain: b")}

    assert len(outputs) == 3
