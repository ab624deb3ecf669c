"""Rulesets as a whole: files, keys, precedence, digests, and that no fault tells a secret."""

from __future__ import annotations

import json
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules import Direction, KeyReference, KeyUnavailable, Plan, RuleSetInvalid, compile_ruleset

KEY = "hex:9f0c5d2ab1e64733885cd41fe027b96a0b7de35812fc469e6d21c8b45a97033f"
OTHER_KEY = "hex:1d7e4a90c25b83f6e0194c7d62ab58f33b9f07c8e1d5426a90bc3471f8e62d05"
START = "apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {name: t}\n"

SKELETON = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: payments}
keys:
  pii: {env: WIREMASK_KEY_PII}
  card: {active: v2, versions: {v1: {env: CARD_V1}, v2: {file: /etc/wiremask/keys/card-v2}}}
rules:
  - name: customer-pii
    topics: ["payments.*"]
    exceptTopics: ["payments.public"]
    at: [produce]
    when:
      client: 'principal != "User:fraud-team"'
      record: [{path: $.country, in: ["DE", "FR"]}, {header: source, equals: "web"}]
    mode: enforce
    value:
      format: json
      unlisted: keep
      fields:
        - {path: $.customer.ssn,   mask: {partial: {keepLast: 4}}}
        - {path: "$.cards[*].pan", mask: {token: {key: card, format: pan}}}
        - {path: $..email,         mask: [{truncate: 64}, {hash: {key: pii, domain: email}}]}
        - {path: $.customer.id,    mask: keep}
        - {detect: [iban, jwt],    mask: redact}
    key: {format: text, fields: [{path: $, mask: redact}]}
    headers: [{name: "x-user-*", mask: redact}]
    onUnreadable: reject
    onUnmaskable: reject
    tests:
      - {in: {customer: {ssn: "123-45-6789"}}, out: {customer: {ssn: "***-**-6789"}}}
"""


def resolve(reference: KeyReference) -> str:
    return OTHER_KEY if reference.file is not None else KEY


def rule(name: str, path: str, mask: str, more: str = "", at: str = "produce") -> str:
    fields = f"{{fields: [{{path: {path}, mask: {mask}}}]}}"
    return f"  - {{name: {name}, topics: ['*'], at: [{at}], value: {fields}{more}}}\n"


def masked(plan: Plan, value: object, at: Direction = "produce") -> object:
    program = plan.match("topic", at)
    assert program is not None
    text = json.dumps(value).encode()
    outcome = program.mask(text, array("i", (0, len(text))))
    assert outcome.failures == ()
    start, length = outcome.spans
    return value if start < 0 else json.loads(bytes(outcome.values[start : start + length]))


def faults(sources: dict[str, str]) -> list[str]:
    with pytest.raises(RuleSetInvalid) as caught:
        compile_ruleset(sources, resolve)
    return str(caught.value).splitlines()


def test_parses_the_whole_grammar_and_refuses_nothing_but_a_key_that_hangs_on_the_record() -> None:
    found = faults({"rules.yaml": SKELETON})

    assert [line.split(": ", 1)[0] for line in found] == ["rules.yaml:12:5"]
    assert "the same key must always mask to the same bytes" in found[0]


def test_reports_faults_of_all_files_in_order() -> None:
    found = faults(
        {
            "b.yaml": START + "rules:\n" + rule("b", "$.a.", "keep") + rule("c", "$.a", "kep"),
            "a.yaml": "kind: [\n",
            "c.yaml": START + "keys: {pii: {env: PII}, k: {env: A, file: /a}}\nrules: []\n",
        }
    )

    assert [line.split(": ")[0] for line in found] == [
        "a.yaml:2:1",
        "b.yaml:5:73",
        "b.yaml:6:80",
        "c.yaml:4:28",
        "c.yaml:5:8",
    ]


def test_precedence_is_by_file_name_then_by_place() -> None:
    sources = {
        "20.yaml": START + "rules:\n" + rule("d", "$.c", "keep") + rule("e", "$.*", "{fixed: e}"),
        "10.yaml": START + "rules:\n" + rule("b", "$.b", "{fixed: b}") + rule("c", "\"$['b','c2']\"", "{fixed: c}"),
        "05.yaml": START + "rules:\n" + rule("a", "$.a", "keep"),
    }

    plan = compile_ruleset(sources, resolve)

    assert [found.name for found in plan.rules] == ["a", "b", "c", "d", "e"]
    assert masked(plan, {"a": "1", "b": "2", "c": "3", "c2": "4", "z": "5"}) == {
        "a": "1",
        "b": "b",
        "c": "3",
        "c2": "c",
        "z": "e",
    }


def test_keys_of_one_file_are_known_in_all() -> None:
    sources = {
        "a.yaml": START + "rules:\n" + rule("a", "$.a", "{hash: {key: pii}}"),
        "z.yaml": START + "keys: {pii: {file: /run/keys/pii}, unused: {env: UNUSED}}\n",
    }
    asked: list[KeyReference] = []

    def resolve_and_note(reference: KeyReference) -> str:
        asked.append(reference)
        return KEY

    compile_ruleset(sources, resolve_and_note)

    assert asked == [KeyReference(file="/run/keys/pii"), KeyReference(env="UNUSED")]


def test_missing_key_is_no_fault_while_another_file_cannot_be_read() -> None:
    found = faults({"a.yaml": START + "rules:\n" + rule("a", "$.a", "{hash: {key: pii}}"), "keys.yaml": "keys: {"})

    assert [line.split(": ")[0] for line in found] == ["keys.yaml:1:8"]


def test_fault_of_a_key_is_told_once() -> None:
    def missing(_: KeyReference) -> str:
        raise KeyUnavailable("environment variable PII is not set")

    text = START + "keys: {pii: {env: PII}}\nrules:\n" + rule("a", "$.a", "{hash: {key: pii}}")

    with pytest.raises(RuleSetInvalid) as caught:
        compile_ruleset({"r": text}, missing)

    assert str(caught.value) == "r:4:8: the key is not available: environment variable PII is not set"


def test_names_are_unique_across_files() -> None:
    keys = "keys: {pii: {env: PII}}\n"

    found = faults(
        {
            "a.yaml": START + keys + "rules:\n" + rule("same", "$.a", "keep"),
            "b.yaml": START.replace("name: t", "name: u") + keys + "rules:\n" + rule("same", "$.a", "keep"),
        }
    )

    assert found == [
        "b.yaml:3:18: all files of a ruleset have one name; write `t`",
        "b.yaml:4:8: a key of this name is declared at a.yaml:4; rename one of the two",
        "b.yaml:6:12: a rule of this name stands at a.yaml:6; rename one of the two",
    ]


def test_no_files_is_a_fault() -> None:
    assert faults({}) == ["rules:1:1: there is no rule file; add one, or nothing would be masked"]


def test_digest_tells_names_and_texts_apart() -> None:
    one, two = START + "rules:\n" + rule("a", "$.a", "keep"), START + "keys: {}\n"
    variants = [{"a": one, "b": two}, {"a": two, "b": one}, {"a": one}, {"b": one}, {"a": one + "#"}]

    digests = [compile_ruleset(sources, resolve).digest for sources in variants]

    assert len(set(digests)) == len(variants)
    assert digests[0] == compile_ruleset({"b": two, "a": one}, resolve).digest
    assert all(len(digest) == 64 for digest in digests)


def test_tests_can_be_left_out() -> None:
    text = START + "rules:\n" + rule("a", "$.a", "redact", ", tests: [{in: {a: x}, out: {a: x}}]")

    assert len(faults({"r": text})) == 1
    assert compile_ruleset({"r": text}, resolve, run_tests=False).name == "t"


def test_depth_limit_reaches_the_kernel() -> None:
    text = START + "rules:\n" + rule("a", "$.a", "redact", ", tests: [{in: {b: [[1]]}, rejected: true}]")

    assert compile_ruleset({"r": text}, resolve, json_depth=2).acts_at("produce")
    with pytest.raises(RuleSetInvalid, match="is not rejected"):
        compile_ruleset({"r": text}, resolve, json_depth=3)


CANARY = "s3cr3tCanary"
PLACES = [
    "~{}", "'{}", "*{}", "&{} x", "!{} x", "'{}'", '"{}', '"\\q{}"', "[{}", "{{{}}}", "{{{}: x}}", "{{x: {}}}", "{}: {}: {}", "`{}",
    "@{}", "%{}", "? {}", "|{}", "/{}(?=x)/", "$.{}[?", "$['{}", "base64:{}", "hex:{}", "0x{}",
    "'principal == {}'", "'{}(principal)'", "'principal == \"{}'", "'principal {}'", "'principal.{}'", "'\"{}\" == 1'",
]  # fmt: skip
KEYS = [
    "apiVersion", "kind", "metadata", "keys", "name", "topics", "exceptTopics", "at", "mode", "when", "client", "value", "format", "fields",
    "path", "mask", "env", "file", "active", "redact", "text", "fixed", "partial", "char", "separators", "hash", "key", "domain",
    "encoding", "length", "onUnreadable", "in", "out",
]  # fmt: skip
FULL = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata:
  name: t
keys:
  pii:
    env: PII
  card:
    active: v1
    versions:
      v1:
        file: /a
rules:
  - name: r
    topics: [t]
    exceptTopics: [u]
    at: [produce]
    mode: enforce
    when:
      client: topic == "a"
    value:
      format: json
      fields:
        - path: $.a
          mask: {redact: {text: x}}
        - path: $.b
          mask: {fixed: x}
        - path: $.c
          mask: {partial: {char: x, separators: "-"}}
        - path: $.d
          mask: {hash: {key: pii, domain: d, encoding: hex, length: 64}}
    onUnreadable: reject
    tests:
      - in: {a: y}
        out: {a: z}
"""


@given(st.sampled_from(KEYS), st.sampled_from(PLACES), st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_fault_tells_what_stands_in_a_file(key: str, form: str, as_key: bool) -> None:
    planted = form.replace("{}", CANARY).replace("{{", "{").replace("}}", "}")
    at = FULL.index(f"{key}:")
    text = FULL[:at] + (f"{planted}:" if as_key else f"{key}: {planted}\n") + FULL[at + len(key) + 1 :]

    with pytest.raises(RuleSetInvalid) as caught:
        compile_ruleset({"rules.yaml": text}, lambda _: f"hex:{CANARY}")

    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value)
    assert CANARY not in repr(caught.value.__cause__) + repr(caught.value.__context__)


@given(st.text(alphabet="ab1-:,.[]{}'\"\\ux&*!%@`|>?#~<$\n ", max_size=30), st.integers(0, len(FULL)))
@settings(max_examples=200, deadline=None)
def test_any_file_is_read_or_refused(noise: str, at: int) -> None:
    text = FULL[:at] + noise + FULL[at:]

    with pytest.raises(RuleSetInvalid) as caught:
        compile_ruleset({"rules.yaml": text}, resolve)

    lines = text.count("\n") + 1
    assert all(1 <= error.line <= lines and error.column >= 1 for error in caught.value.errors)
