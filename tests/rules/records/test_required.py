"""`onMissing: reject`: what lacks a required field is refused, what has it is masked as ever."""

from __future__ import annotations

import json
from array import array

import pytest
from hypothesis import given, settings

from support import json_oracle
from support.json_documents import documents, paths
from wiremask.rules import compile_ruleset
from wiremask.rules.kernel.automaton import AutomatonTooLarge, Selection
from wiremask.rules.kernel.jsonmask import JsonMasker
from wiremask.rules.model.masks import Drop, Keep, Redact
from wiremask.rules.model.selector import Path, read_path
from wiremask.rules.outcome import Detail, Failure, Reason
from wiremask.rules.records.required import Required, RequiredMasker

FILE = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: t}
rules:
  - name: first
    topics: [t]
    at: [produce, fetch]
    value: {fields: [{path: $.id, mask: redact, onMissing: reject}]}
  - name: second
    topics: [t]
    at: [produce]
    value: {fields: [{path: '$..code', mask: keep, onMissing: reject}]}
"""


def pack(*values: bytes | None) -> tuple[bytes, array[int]]:
    spans = array("i")
    for value in values:
        spans.extend((sum(map(len, filter(None, values[: len(spans) // 2]))), -1 if value is None else len(value)))
    return b"".join(filter(None, values)), spans


def test_names_the_rule_and_the_record() -> None:
    plan = compile_ruleset({"r": FILE}, None).match("t", "produce")
    assert plan is not None

    outcome = plan.mask(
        *pack(b'{"id":7,"x":[{"code":1}]}', b'{"code":1}', None, b'{"id":null}', b"{", b'{"id":1,"code":2}')
    )

    assert [(one.index, one.rule, one.reason) for one in outcome.failures] == [
        (1, 0, Reason.MISSING),
        (3, 1, Reason.MISSING),
        (4, -1, Reason.UNREADABLE),
    ]
    assert outcome.failures[0] == Failure(index=1, rule=0, reason=Reason.MISSING, detail=Detail.MISSING)
    assert list(outcome.spans[::2]) == [0, -2, -1, -2, -2, outcome.spans[10]]
    assert json.loads(outcome.values[: outcome.spans[1]]) == {"id": 0, "x": [{"code": 1}]}
    assert list(outcome.masked) == [2, 0]


def test_nothing_is_required_at_fetch() -> None:
    plan = compile_ruleset({"r": FILE}, None).match("t", "fetch")
    assert plan is not None

    assert plan.mask(*pack(b"{}")).failures == ()


@given(documents, paths.filter(bool))
@settings(max_examples=200, deadline=None)
def test_refuses_exactly_what_the_path_selects_nothing_of(value: bytes, path: Path) -> None:
    try:
        masker = RequiredMasker(JsonMasker((), rules=1), [Required(path=path, rule=0)], depth_limit=64)
    except AutomatonTooLarge:
        return
    selects = json_oracle.mask(value, [Selection(path=path, mask=Drop(), rule=0)]).counts[0] > 0

    outcome = masker.mask(*pack(value))

    assert (outcome.failures == ()) == selects


@pytest.mark.parametrize("value", [b'{"a":null}', b'{"a":{}}', b'{"a":[]}', b'{"\\u0061":""}'], ids=str)
def test_what_is_there_need_not_hold_anything(value: bytes) -> None:
    masker = RequiredMasker(
        JsonMasker([Selection(path=read_path("$.b"), mask=Redact(), rule=0)], rules=1),
        [Required(path=read_path("$.a"), rule=0)],
        depth_limit=64,
    )

    assert masker.mask(*pack(value)).failures == ()


def test_a_field_that_an_earlier_rule_takes_whole_is_there() -> None:
    chosen = [
        Selection(path=read_path("$.a"), mask=Drop(), rule=0),
        Selection(path=read_path("$.a.b"), mask=Keep(), rule=0),
    ]
    masker = RequiredMasker(JsonMasker(chosen, rules=1), [Required(path=read_path("$.a.b"), rule=0)], depth_limit=64)

    outcome = masker.mask(*pack(b'{"a":{"b":1},"c":2}'))

    assert outcome.failures == ()
    assert outcome.values == b'{"c":2}'
