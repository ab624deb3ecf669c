import hashlib
import json
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wiremask
from wiremask.proxy import inprocess

CANARY = "canary-4111111111111111"

RULES = """
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: payments}
keys:
  pii: {env: PII}
rules:
  - name: ssn
    topics: ["payments.*"]
    at: [produce]
    value:
      format: json
      fields:
        - {path: $.ssn, mask: redact}
        - {path: $.card, mask: {partial: {keepLast: 4}}}
        - {path: $.email, mask: {hash: {key: pii, domain: email}}}
  - name: card at fetch
    topics: [cards]
    at: [fetch]
    value: {format: json, fields: [{path: $.card, mask: {partial: {keepLast: 4}}}]}
  - name: marked
    topics: [marked]
    at: [produce]
    onUnreadable: redact
    onUnmaskable: redact
    value: {format: json, fields: [{path: $.card, mask: {partial: {keepLast: 4}}}]}
""".replace("card at fetch", "card-at-fetch")
ENV = {"PII": "hex:" + hashlib.sha256(b"a key for tests").hexdigest()}


@pytest.fixture(scope="module")
def masking(tmp_path_factory):
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(RULES)
    return wiremask.load(path, env=ENV)


def test_masks_the_fields_of_a_value_and_nothing_else(masking):
    masked = masking.mask(
        "payments.eu",
        "produce",
        b"key",
        b'{"ssn": "123-45-6789",  "n": 1.50, "card":"4111 1111 1111 1111"}',
        [("h", b"1")],
    )

    assert masked.value == b'{"ssn": "[redacted]",  "n": 1.50, "card":"**** **** **** 1111"}'
    assert masked.key == b"key"
    assert masked.headers == (("h", b"1"),)


def test_hashes_with_the_key_of_the_environment(masking):
    masked = masking.mask("payments.eu", "produce", None, b'{"email":"a@example.com"}')

    assert re.fullmatch(rb'\{"email":"[0-9a-f]{64}"\}', masked.value)


@pytest.mark.parametrize(
    ("topic", "direction"),
    [("payments.eu", "fetch"), ("other", "produce"), ("cards", "produce")],
)
def test_leaves_a_value_alone_where_no_rule_acts(masking, topic, direction):
    value = b'{"ssn": "1", "card": "4111111111111111"'

    assert masking.mask(topic, direction, None, value).value == value


def test_tombstone_stays_a_tombstone(masking):
    assert masking.mask("payments.eu", "produce", b"key", None).value is None


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_takes_any_bytes(masking, kind):
    assert masking.mask("payments.eu", "produce", None, kind(b'{"ssn":"1"}')).value == b'{"ssn":"[redacted]"}'


@pytest.mark.parametrize(
    ("value", "rule", "reason"),
    [
        (f'{{"ssn": "{CANARY}"'.encode(), None, "unreadable: unexpected end"),
        (b"", None, "unreadable: no bytes"),
        (b'{"card": 4111111111111111}', "ssn", "unmaskable: number where the mask takes text"),
    ],
    ids=["cut", "empty", "number"],
)
def test_raises_where_a_rule_rejects_and_quotes_nothing(masking, value, rule, reason):
    with pytest.raises(wiremask.MaskingRefused) as refused:
        masking.mask("payments.eu", "produce", None, value)

    assert (refused.value.rule, refused.value.reason) == (rule, reason)
    assert CANARY not in str(refused.value)
    assert "4111" not in str(refused.value)


def test_marks_what_cannot_be_read_where_the_rule_says_so(masking):
    assert masking.mask("marked", "produce", None, b"{").value == b'{"wiremask":"unreadable"}'


def test_never_refuses_at_fetch(masking):
    assert masking.mask("cards", "fetch", None, b"{").value == b'{"wiremask":"unreadable"}'
    assert masking.mask("cards", "fetch", None, b'{"card": 4111}').value == b'{"card": 0}'


def test_refuses_a_wrong_call_without_quoting_it(masking):
    with pytest.raises(ValueError, match='direction is "produce" or "fetch"'):
        masking.mask("t", CANARY, None, b"{}")
    with pytest.raises(TypeError, match="key and value are bytes"):
        masking.mask("t", "produce", None, CANARY)
    with pytest.raises(TypeError, match="key and value are bytes"):
        masking.mask("t", "produce", CANARY, None)


def test_shows_no_payload_in_its_repr(masking):
    masked = masking.mask("other", "produce", CANARY.encode(), CANARY.encode(), [("h", CANARY.encode())])

    assert CANARY not in repr(masked)
    assert "payments" in repr(masking)


def test_names_its_ruleset(masking):
    assert masking.name == "payments"
    assert re.fullmatch("[0-9a-f]{64}", masking.digest)


@pytest.mark.parametrize(
    ("text", "env", "message"),
    [
        (RULES.replace("topics", "topic", 1), ENV, "rules.yaml:9:5: "),
        (RULES, {}, "rules.yaml:6:"),
        ("", ENV, "rules.yaml:1:1: "),
    ],
    ids=["misspelt", "no key", "empty"],
)
def test_refuses_invalid_rules_with_their_place(tmp_path, text, env, message):
    (tmp_path / "rules.yaml").write_text(text)

    with pytest.raises(wiremask.RuleSetInvalid) as refused:
        wiremask.load(tmp_path, env=env)

    assert any(line.startswith(f"{tmp_path}/{message}") for line in str(refused.value).splitlines())


def test_respects_the_depth_limit(tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES)
    masking = wiremask.load(tmp_path, env=ENV, json_depth=3)

    with pytest.raises(wiremask.MaskingRefused, match="too deep"):
        masking.mask("payments.eu", "produce", None, b"[[[[]]]]")


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=20) | st.none(), max_size=5), st.text())
def test_whatever_else_a_value_holds_only_the_field_changes(masking, others, secret):
    document = {**others, "ssn": secret}

    masked = masking.mask(
        "payments.eu", "produce", None, json.dumps({**document, "card": None, "email": None}).encode()
    )

    assert json.loads(masked.value) == {**document, "ssn": "[redacted]", "card": None, "email": None}


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ({"principal": "User:alice"}, b'{"ssn":"1"}'),
        ({"principal": "User:bob"}, b'{"ssn":"[redacted]"}'),
        ({"client_id": "alice"}, b'{"ssn":"[redacted]"}'),
        ({}, b'{"ssn":"[redacted]"}'),
    ],
    ids=["exempted", "another", "unknown principal", "nothing known"],
)
def test_masks_for_the_client_that_it_is_told_of(tmp_path, who, expected):
    exempt = """
  - name: exempt
    topics: ["payments.*"]
    at: [produce]
    when: {client: 'principal == "User:alice"'}
    value: {fields: [{path: $.ssn, mask: keep}]}
"""
    (tmp_path / "rules.yaml").write_text(RULES.replace("rules:\n", "rules:" + exempt, 1))
    masking = wiremask.load(tmp_path, env=ENV)

    assert masking.mask("payments.eu", "produce", None, b'{"ssn":"1"}', **who).value == expected


@pytest.mark.parametrize("docstring", [wiremask.__doc__, inprocess.__doc__], ids=["wiremask", "inprocess"])
def test_the_example_in_the_documentation_works(tmp_path, monkeypatch, docstring):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "rules.yaml").write_text(RULES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PII", ENV["PII"])
    example = "\n".join(line.strip() for line in docstring.splitlines() if line.startswith("    "))
    names = {"wiremask": wiremask}

    exec(example, names)

    assert names["masked"].value == b'{"ssn":"[redacted]"}'


def test_importing_the_package_loads_none_of_its_parts():
    code = "import sys, wiremask; print(sorted(m for m in sys.modules if m.startswith(('wiremask.', 'pydantic', 'structlog'))))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "[]"


def test_the_api_loads_neither_logging_nor_metrics(tmp_path):
    code = "import sys, wiremask; wiremask.load; print([m for m in ('structlog', 'prometheus_client') if m in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "[]"


def test_the_package_has_what_it_lists_and_nothing_else():
    assert all(hasattr(wiremask, name) for name in wiremask.__all__)
    with pytest.raises(AttributeError, match="no attribute 'maks'"):
        wiremask.maks  # noqa: B018
