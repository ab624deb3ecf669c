"""The markers that stand for what cannot be read."""

from __future__ import annotations

import pytest

from wiremask.rules import compile_ruleset
from wiremask.rules.records.onerecord import OneRecord

FILE = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {{name: t, markers: {markers}}}
rules:
  - name: r
    topics: [t]
    at: [fetch]
    value: {{format: {form}, fields: [{{path: $, mask: redact}}]}}
"""
MARKERS = '{json: {gone: [1.50, "\\u00fc"]}, text: "gone \\" ü"}'


@pytest.mark.parametrize(
    ("form", "value", "markers", "masked"),
    [
        ("json", b"{", MARKERS, '{"gone":[1.50,"ü"]}'),
        ("text", b"\xff", MARKERS, 'gone " ü'),
        ("auto", b"\xff", MARKERS, 'gone " ü'),
        ("auto", b"[" * 65 + b"]" * 65, MARKERS, '{"gone":[1.50,"ü"]}'),
        ("json", b"{", "{text: x}", '{"wiremask":"unreadable"}'),
        ("text", b"\xff", "{json: 1, text: ''}", ""),
    ],
)
def test_marker_stands_for_what_cannot_be_read(form: str, value: bytes, markers: str, masked: str) -> None:
    plan = compile_ruleset({"r": FILE.format(form=form, markers=markers)}, lambda _: "").match("t", "fetch")
    record = OneRecord.of(value=value)

    assert plan is not None
    assert record.masked_value(plan.mask_records(record)) == masked.encode()
