"""Keys and headers: which field decides a header, what stays, what goes, and what a failure names."""

from __future__ import annotations

import hmac
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules import Client, Direction, TopicPlan, compile_ruleset
from wiremask.rules.keys import decode_key, derive_subkey
from wiremask.rules.outcome import LEFT_OUT
from wiremask.rules.records.onerecord import OneRecord

KEY = "hex:9f0c5d2ab1e64733885cd41fe027b96a0b7de35812fc469e6d21c8b45a97033f"
START = "apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {name: t}\nkeys: {pii: {env: PII}}\nrules:\n"


def compiled(*rules: str, at: Direction = "produce", client: Client | None = None) -> TopicPlan:
    text = START + "".join(f"  - {{name: r{i}, topics: [t], at: [{at}], {rule}}}\n" for i, rule in enumerate(rules))
    plan = compile_ruleset({"r": text}, lambda _: KEY)
    found = (plan if client is None else plan.for_client(client)).match("t", at)
    assert found is not None
    return found


def masked_key(plan: TopicPlan, key: bytes | None) -> bytes | None:
    record = OneRecord.of(key=key, value=key)
    outcome = plan.mask_records(record)
    assert outcome.failures == []
    assert record.masked_value(outcome) == key
    return record.masked_key(outcome)


def masked_headers(plan: TopicPlan, *headers: tuple[str, bytes | None]) -> list[tuple[str, bytes | None]]:
    record = OneRecord.of(key=b"k", value=b"{", headers=headers)
    outcome = plan.mask_records(record)
    assert outcome.failures == []
    assert (record.masked_key(outcome), record.masked_value(outcome)) == (b"k", b"{")
    return list(record.masked_headers(outcome))


def test_key_is_masked_in_its_format_and_null_stays_null() -> None:
    text = compiled("key: {format: text, fields: [{path: $, mask: {hash: {key: pii, domain: id}}}]}")
    json = compiled("key: {fields: [{path: $.id, mask: redact}]}")

    digest = hmac.digest(derive_subkey(decode_key(KEY), "hash", "id"), b"k-17", "sha256").hex().encode()
    assert (masked_key(text, b"k-17"), masked_key(text, None)) == (digest, None)
    assert (masked_key(json, b'{"id":"x","n":1}'), masked_key(json, None)) == (b'{"id":"[redacted]","n":1}', None)


@settings(max_examples=100)
@given(keys=st.lists(st.text(max_size=8), max_size=6), mask=st.sampled_from(["hash", "token", "pseudonym", "encrypt"]))
def test_equal_keys_come_out_equal_whatever_is_beside_them(keys: list[str], mask: str) -> None:
    more = {"pseudonym": ", words: cities", "encrypt": ", deterministic: true"}.get(mask, "")
    plan = compiled(
        "reversible: true, onUnmaskable: redact, "
        f"key: {{format: text, fields: [{{path: $, mask: {{{mask}: {{key: pii{more}}}}}}}]}}"
    )

    together = [masked_key(plan, key.encode()) for key in [*keys, *reversed(keys)]]

    assert together == together[::-1]


def test_key_and_value_of_one_path_are_encrypted_apart() -> None:
    mask = "{encrypt: {key: pii, deterministic: true}}"
    plan = compiled(
        f"reversible: true, value: {{fields: [{{path: $.a, mask: {mask}}}]}}, "
        f"key: {{fields: [{{path: $.a, mask: {mask}}}]}}, headers: [{{name: a, mask: {mask}}}]"
    )
    record = OneRecord.of(key=b'{"a":"x"}', value=b'{"a":"x"}', headers=[("a", b"x")])

    outcome = plan.mask_records(record)

    ((_, header),) = record.masked_headers(outcome)
    assert len({record.masked_key(outcome), record.masked_value(outcome), b'{"a":"%s"}' % (header or b"")}) == 3


def test_first_field_that_matches_a_header_decides_it_also_with_keep() -> None:
    plan = compiled(
        "headers: [{name: x-user-id, mask: keep}, {name: 'x-user-*', mask: redact}]",
        "headers: [{name: 'x-*', mask: {partial: {keepLast: 1}}}, {name: '[ab]?', mask: drop}, {name: n, mask: nullify}]",
    )

    found = masked_headers(
        plan,
        *((name, b"secret") for name in ("x-user-id", "x-user-name", "x-", "X-user-id", "aa", "b", "c1", "bb", "n")),
    )

    assert found == [
        ("x-user-id", b"secret"), ("x-user-name", b"[redacted]"), ("x-", b"*****t"), ("X-user-id", b"secret"),
        ("b", b"secret"), ("c1", b"secret"), ("n", None),
    ]  # fmt: skip


@pytest.mark.parametrize("where", ["rule", "header"])
def test_case_of_header_names_counts_unless_told_otherwise(where: str) -> None:
    one, all_ = (", ignoreCase: true", "") if where == "header" else ("", "ignoreCase: true, ")
    plan = compiled(f"{all_}headers: [{{name: 'X-[A-C]*', mask: redact{one}}}, {{name: Ünit, mask: redact{one}}}]")

    found = masked_headers(plan, *((name, b"v") for name in ("x-a", "X-C1", "x-d", "üNIT", "unit")))

    redacted = b"[redacted]"
    assert [value for _, value in found] == [redacted, redacted, b"v", redacted, b"v"]


def test_null_headers_stay_null_and_headers_of_one_name_are_all_masked() -> None:
    plan = compiled("headers: [{name: h, mask: redact}]")

    found = masked_headers(plan, ("h", None), ("h", b"a"), ("g", None), ("h", b""), ("h", b"a"))

    assert found == [("h", None), ("h", b"[redacted]"), ("g", None), ("h", b"[redacted]"), ("h", b"[redacted]")]


def test_header_name_that_is_no_utf8_reads_as_clients_read_it() -> None:
    plan = compiled("headers: [{name: 'x-*', mask: redact}, {name: 'y', mask: redact}]")
    section = b"x-\xffvy\xffv"
    headers = array("i", (0, 0, 3, 3, 1, 0, 4, 2, 6, 1))

    outcome = plan.mask_records(
        OneRecord(section=section, keys=array("i", (0, -1)), values=array("i", (0, -1)), headers=headers, names=())
    ).headers

    assert outcome is not None
    assert list(outcome.spans) == [0, len("[redacted]"), -1, 0]


def test_failure_of_a_header_is_that_of_its_record() -> None:
    plan = compiled("headers: [{name: h, mask: {token: {key: pii}}}, {name: d, mask: drop}]")
    section, headers = b"hd--ab", array("i")
    for record, name, start, length in ((0, 0, 4, 2), (1, 0, 4, 1), (1, 1, 4, 1), (2, 0, 2, 2), (2, 0, 4, 1)):
        headers.extend((record, name, 1, start, length))

    outcome = plan.mask_records(
        OneRecord(
            section=section, keys=array("i", (0, -1) * 3), values=array("i", (0, -1) * 3), headers=headers, names=()
        )
    )

    assert [(part, failure.index, failure.rule) for part, failure in outcome.failures] == [("headers", 2, 0)]
    assert outcome.headers is not None
    assert outcome.headers.spans[4] == LEFT_OUT
    assert list(outcome.headers.masked) == [4]


@pytest.mark.parametrize("at", ["produce", "fetch"])
def test_parts_that_are_no_text_follow_the_rule(at: Direction) -> None:
    plan = compiled("key: {format: text, fields: [{path: $, mask: redact}]}, headers: [{name: h, mask: redact}]", at=at)

    outcome = plan.mask_records(OneRecord.of(key=b"\xff", headers=[("h", b"\xff"), ("g", b"\xff")]))

    if at == "produce":
        assert [(part, failure.detail) for part, failure in outcome.failures] == [("key", "invalid UTF-8")]
    else:
        assert outcome.key is not None
        assert outcome.headers is not None
        assert (outcome.failures, outcome.key.values, outcome.headers.values) == ([], b"[unreadable]", b"[unreadable]")


def test_condition_that_cannot_be_decided_masks_and_exempts_nothing_in_any_part() -> None:
    rule = (
        "when: {client: 'principal != \"User:a\"'}, key: {format: text, fields: [{path: $, mask: redact}]}, "
        "headers: [{name: a, mask: keep}, {name: '*', mask: redact}]"
    )

    unknown, exempt = compiled(rule, at="fetch"), compiled(rule, at="fetch", client=Client(principal="User:b"))

    assert [masked_key(plan, b"k") for plan in (unknown, exempt)] == [b"[redacted]"] * 2
    record = OneRecord.of(headers=[("a", b"x")])
    assert record.masked_headers(unknown.mask_records(record)) == (("a", b"[redacted]"),)
    assert record.masked_headers(exempt.mask_records(record)) == (("a", b"x"),)
