"""`unlisted`: every leaf that no field of the rule selects gets the mask, and nothing else does."""

from __future__ import annotations

import json
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules import compile_ruleset

FILE = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {{name: t}}
rules:
  - name: first
    topics: [t]
    at: [fetch]
    value:
      unlisted: {mask}
      fields: [{{path: $.kept, mask: keep}}, {{path: '$..also', mask: keep}}, {{path: '$[-1]', mask: {{redact: {{text: last}}}}}}]
  - name: second
    topics: [t]
    at: [fetch]
    value: {{fields: [{{path: $.secret, mask: {{fixed: second}}}}]}}
"""

scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["kept", "also", "secret", "other", "Kept"]), inner, max_size=4)
    ),
    max_leaves=20,
)


def mask(document: object, by: str = "redact") -> object:
    plan = compile_ruleset({"r": FILE.format(mask=by)}, None).match("t", "fetch")
    assert plan is not None
    value = json.dumps(document).encode()
    outcome = plan.mask(value, array("i", (0, len(value))))
    assert not outcome.failures
    start, length = outcome.spans
    return json.loads(value if start < 0 else outcome.values[start : start + length])


def redact(document: object, kept: bool = False, top: bool = True) -> object:
    """What must come out, written down again as a walk over objects."""
    if isinstance(document, dict):
        return {
            name: redact(value, kept or name == "also" or (top and name == "kept"), False)
            for name, value in document.items()
        }
    if isinstance(document, list):
        last = len(document) - 1
        return [
            as_last(value) if top and place == last and not kept else redact(value, kept, False)
            for place, value in enumerate(document)
        ]
    return document if kept else scalar(document, "[redacted]")


def as_last(document: object) -> object:
    if isinstance(document, dict):
        return {name: value if name == "also" else as_last(value) for name, value in document.items()}
    if isinstance(document, list):
        return [as_last(value) for value in document]
    return scalar(document, "last")


def scalar(value: object, text: str) -> object:
    if value is None:
        return None
    return False if isinstance(value, bool) else 0 if isinstance(value, int) else text


@given(documents)
@settings(max_examples=200, deadline=None)
def test_masks_all_that_is_not_listed_and_nothing_else(document: object) -> None:
    assert mask(document) == redact(document)


@pytest.mark.parametrize("value", ["text", 5, True, [[1]], {"a": "x"}], ids=str)
def test_a_record_without_any_listed_field_is_masked_whole(value: object) -> None:
    assert mask(value, "{fixed: gone}") != value


def test_keep_is_the_default_and_leaves_later_rules_their_fields() -> None:
    assert mask({"secret": "x", "other": "y"}, "keep") == {"secret": "second", "other": "y"}


def test_rules_behind_have_nothing_left_to_do() -> None:
    assert mask({"secret": "x"}) == {"secret": "[redacted]"}
