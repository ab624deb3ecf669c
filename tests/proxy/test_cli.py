import hashlib
import io
import json
import os
import shlex
import subprocess
import sys
import types

import pytest

import wiremask
from wiremask.proxy import cli, log
from wiremask.proxy.config import load

CANARY = "canary-4111111111111111"
KEY = "hex:" + hashlib.sha256(b"a key for tests").hexdigest()
RULES = """
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: payments}
rules:
  - name: customer
    topics: ["payments.*"]
    exceptTopics: [payments.public]
    at: [produce]
    value:
      format: json
      fields:
        - {path: $.ssn, mask: {partial: {keepLast: 4}}}
        - {path: $.email, mask: redact}
  - name: reader
    topics: [read]
    at: [fetch]
    value: {format: json, fields: [{path: $.ssn, mask: redact}]}
"""


@pytest.fixture
def rules(tmp_path):
    path = tmp_path / "rules"
    path.mkdir()
    (path / "a.yaml").write_text(RULES)
    return str(path)


@pytest.fixture
def call(capfdbinary, monkeypatch):
    """Runs a command in this process; gives exit code, standard output and standard error."""
    monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", "__all__")

    def call(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = cli.main([str(argument) for argument in arguments])
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        return code, out, err.decode()

    return call


def test_masks_one_value_to_the_last_byte(call, rules):
    value = b'{"ssn" : "123-45-6789", "n":1.0}\n'

    code, out, err = call("mask", "--rules", rules, "--topic", "payments.eu", stdin=value)

    assert (code, out, err) == (0, b'{"ssn" : "***-**-6789", "n":1.0}\n', "")


@pytest.mark.parametrize(
    ("topic", "at", "masked"),
    [
        ("payments.eu", "produce", True),
        ("payments.eu", "fetch", False),
        ("payments.public", "produce", False),
        ("read", "fetch", True),
        ("read", "produce", False),
    ],
)
def test_masks_by_topic_and_direction(call, rules, topic, at, masked):
    code, out, _ = call("mask", "--rules", rules, "--topic", topic, "--at", at, stdin=b'{"ssn":"123-45-6789"}')

    assert code == 0
    assert (b"123-45" not in out) is masked


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (f'{{"ssn": "{CANARY}'.encode(), "refused: unreadable: unexpected end\n"),
        (b'{"ssn": 123456789}', "refused: unmaskable: number where the mask takes text (rule customer)\n"),
        (b"", "refused: unreadable: no bytes\n"),
    ],
    ids=["cut", "number", "empty"],
)
def test_prints_nothing_of_a_value_that_is_refused(call, rules, value, why):
    assert call("mask", "--rules", rules, "--topic", "payments.eu", stdin=value) == (3, b"", why)


def test_masks_line_by_line_and_keeps_line_ends(call, rules):
    lines = b'{"ssn":"123-45-6789"}\r\n{"ssn":null}\n{"email":"a@b"}'

    code, out, err = call("mask", "--rules", rules, "--topic", "payments.eu", "--lines", stdin=lines)

    assert (code, err) == (0, "")
    assert out == b'{"ssn":"***-**-6789"}\r\n{"ssn":null}\n{"email":"[redacted]"}'


def test_stops_at_the_first_line_that_is_refused(call, rules):
    lines = b'{"ssn":"123-45-6789"}\n{"ssn":1}\n{"ssn":"987-65-4321"}\n'

    code, out, err = call("mask", "--rules", rules, "--topic", "payments.eu", "--lines", stdin=lines)

    assert code == 3
    assert out == b'{"ssn":"***-**-6789"}\n'
    assert err == "line 2 refused: unmaskable: number where the mask takes text (rule customer)\n"


def test_masks_nothing_with_invalid_rules(call, tmp_path):
    (tmp_path / "r.yaml").write_text(RULES.replace("topics", "topcis"))

    code, out, err = call("mask", "--rules", tmp_path / "r.yaml", "--topic", "payments.eu", stdin=b"{}")

    assert (code, out) == (1, b"")
    assert err.startswith(f"{tmp_path}/r.yaml:")


def test_check_lists_the_rules_of_a_valid_ruleset(call, rules):
    code, out, err = call("check", rules)

    assert code == 0
    assert [line.split("\t")[:4] for line in out.decode().splitlines()] == [
        ["customer", "payments.* except payments.public", "produce", "$.ssn: partial"],
        ["customer", "payments.* except payments.public", "produce", "$.email: redact"],
        ["reader", "read", "fetch", "$.ssn: redact"],
    ]
    assert err.startswith("valid: ruleset payments, 2 rules, digest ")


def test_check_tells_every_fault_with_its_place(call, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(RULES.replace("keepLast: 4", "keepLast: -4").replace("at: [fetch]", "at: [reading]"))

    code, out, err = call("check", path)

    assert (code, out) == (1, b"")
    assert [line.rpartition(f"{path}:")[2].split(":")[0] for line in err.splitlines()] == ["13", "17"]


def test_check_runs_the_tests_of_the_rules(call, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(RULES + '    tests: [{in: {ssn: "1"}, out: {ssn: "1"}}]\n')

    code, _, err = call("check", path)

    assert code == 1
    assert f"{path}:19:" in err


@pytest.mark.parametrize(
    ("condition", "mask", "warning"),
    [
        ('clientId == "job"', "keep", "rule customer exempts by clientId, which every client chooses for itself"),
        ('clientId != "job"', "redact", "rule customer masks by clientId, which every client chooses for itself"),
        ('true || principal == "User:a"', "keep", "the condition of rule customer is always true"),
        ('false && principal == "User:a"', "redact", "the condition of rule customer is always false"),
    ],
    ids=["exemption", "mask", "true", "false"],
)
def test_check_warns_of_a_condition_that_is_probably_not_meant(call, tmp_path, condition, mask, warning):
    path = tmp_path / "r.yaml"
    path.write_text(
        RULES.replace("    at: [produce]\n", f"    at: [produce]\n    when: {{client: '{condition}'}}\n", 1).replace(
            "mask: redact", f"mask: {mask}", 1
        )
    )

    code, out, err = call("check", path)

    assert code == 0
    assert out
    assert err.splitlines()[0].startswith(f"warning: {path}:")
    assert warning in err.splitlines()[0]
    assert err.splitlines()[1].startswith("valid: ")


def test_check_gives_rules_and_findings_as_json(call, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(RULES.replace("exceptTopics: [payments.public]", 'exceptTopics: ["payments.*"]'))

    code, out, err = call("check", path, "--format", "json")

    document = json.loads(out)
    assert (code, err) == (0, "")
    assert (document["valid"], document["ruleset"], len(document["digest"])) == (True, "payments", 64)
    assert [rule["fields"] for rule in document["rules"]] == ["$.ssn: partial", "$.email: redact", "$.ssn: redact"]
    assert [(one["code"], one["rule"], one["line"]) for one in document["findings"]] == [("never", "customer", 6)]
    assert call("check", path, "--strict")[0] == 4


def test_check_gives_faults_as_json(call, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(RULES.replace("keepLast: 4", "keepLast: -4"))

    code, out, err = call("check", path, "--format", "json")

    (error,) = json.loads(out)["errors"]
    assert (code, err) == (1, "")
    assert (error["file"], error["line"], error["column"]) == (str(path), 13, 52)


@pytest.mark.parametrize(
    ("change", "code", "verdicts"),
    [
        (("name: customer", "name: client"), 0, []),
        (("mask: redact", "mask: drop"), 0, ["more", "more"]),
        (("keepLast: 4", "keepLast: 6"), 4, ["less"]),
        (("keepLast: 4", "keepFirst: 4"), 4, ["otherwise"]),
        (("topics: [read]", "topics: [red]"), 4, ["less", "more"]),
    ],
    ids=["same", "more", "less", "otherwise", "moved"],
)
def test_diff_tells_what_changes_and_whether_it_is_weaker(call, tmp_path, change, code, verdicts):
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(RULES)
    new.write_text(RULES.replace(*change))

    ended, out, err = call("diff", old, new)
    document = json.loads(call("diff", old, new, "--format", "json")[1])

    assert ended == code
    assert [line.split("\t")[0] for line in out.decode().splitlines()] == verdicts
    assert [one["verdict"] for one in document["changes"]] == verdicts
    assert document["weaker"] is (code == 4)
    assert (f'allowWeaker: {{from: "{document["old"]}"' in err) is (code == 4)


def test_diff_needs_no_keys_and_tells_faults(call, tmp_path):
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(REVERSIBLE)
    new.write_text(REVERSIBLE.replace("topics", "topcis"))

    assert call("diff", old, old)[:2] == (0, b"")
    code, out, err = call("diff", old, new)
    assert (code, out) == (1, b"")
    assert f"{new}:8:5: unknown key in a rule; did you mean `topics`?" in err


def test_explain_tells_the_rules_and_what_decides_each_field_of_a_record(call, rules):
    value = b'{"ssn": "123-45-6789", "email": {"to": ["a@example.com"]}, "n": 1}'

    code, out, err = call("explain", rules, "--topic", "payments.eu", "--at", "produce", stdin=value)

    assert (code, err) == (0, "")
    listed, decided = (part.splitlines() for part in out.decode().split("\n\n"))
    assert [line.split("\t")[:3] for line in listed] == [
        ["acts", "produce", "customer"],
        ["does not act", "produce", "reader"],
    ]
    assert [line.split("\t") for line in decided] == [
        ["produce", "$.ssn", "customer", "partial {keepLast: 4}", "$.ssn"],
        ["produce", "$.email.to[0]", "customer", "redact", "$.email"],
    ]
    assert b"6789" not in out
    assert b"example" not in out


def test_explain_gives_json_for_both_directions_and_tells_a_refusal(call, rules):
    code, out, err = call("explain", rules, "--topic", "payments.eu", "--format", "json", stdin=b'{"ssn": 123456789}')

    document = json.loads(out)
    assert (code, err) == (3, "")
    assert [(one["rule"], one["at"], one["verdict"]) for one in document["rules"]] == [
        ("customer", "produce", "acts"),
        ("reader", "produce", "does not act"),
        ("customer", "fetch", "does not act"),
        ("reader", "fetch", "does not act"),
    ]
    assert document["refused"] == {"produce": "unmaskable: number where the mask takes text (rule customer)"}


FETCHED = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: fetched}
rules:
  - {name: a, topics: [hides, omits], at: [fetch], value: {fields: [{path: $.a, mask: {truncate: 1}}]}}
  - {name: b, topics: [omits], at: [fetch], value: {fields: [{path: $.b, mask: drop}]}, onUnreadable: omit}
"""


@pytest.mark.parametrize(
    ("topic", "value", "said", "key"),
    [
        ("hides", b"canary", "hidden at fetch: unreadable: unexpected byte\n", "hidden"),
        ("omits", b"canary", "left out at fetch: unreadable: unexpected byte\n", "leftOut"),
        ("hides", b'{"a": 1}', "", None),
    ],
    ids=["hidden", "left out", "redacted"],
)
def test_explain_tells_what_becomes_of_a_record_that_cannot_be_read_at_fetch(call, tmp_path, topic, value, said, key):
    (tmp_path / "rules.yaml").write_text(FETCHED)

    code, _, err = call("explain", tmp_path / "rules.yaml", "--topic", topic, stdin=value)
    document = json.loads(
        call("explain", tmp_path / "rules.yaml", "--topic", topic, "--format", "json", stdin=value)[1]
    )

    assert (code, err) == (0, said)
    assert [word for word in ("refused", "leftOut", "hidden") if document[word]] == ([key] if key else [])


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b'{"ssn": 123456789}', "refused at produce: unmaskable: number where the mask takes text (rule customer)\n"),
        (f'{{"ssn": "{CANARY}'.encode(), "refused at produce: unreadable: unexpected end\n"),
    ],
    ids=["number", "cut"],
)
def test_explain_tells_why_a_record_is_refused(call, rules, value, why):
    code, out, err = call("explain", rules, "--topic", "payments.eu", stdin=value)

    assert (code, err) == (3, why)
    assert CANARY not in out.decode()


PARTS = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: parts}
rules:
  - name: r
    topics: [t]
    at: [produce]
    key: {format: text, fields: [{path: $, mask: {hash: {key: k}}}]}
    headers: [{name: "x-note", detect: [email], mask: redact}, {name: "x-*", mask: redact}, {name: gone, mask: drop}]
  - {name: late, topics: [t], at: [produce], headers: [{name: "x-*", mask: {truncate: 1}}]}
keys: {k: {env: EXPLAIN_KEY}}
"""


@pytest.mark.parametrize(
    ("part", "decides"),
    [
        (["--key"], "produce\t$\tr\thash\t$"),
        (["--header", "x-user"], "produce\t$\tr\tredact\tx-*"),
        (["--header", "x-note"], ""),
        (["--header", "gone"], "produce\t$\tr\tdrop\tgone"),
        (["--header", "other"], ""),
    ],
    ids=["key", "header", "header that is searched", "dropped header", "another header"],
)
def test_explain_tells_what_decides_a_key_or_header(call, tmp_path, monkeypatch, part, decides):
    monkeypatch.setenv("EXPLAIN_KEY", "hex:9f0c5d2ab1e64733885cd41fe027b96a0b7de35812fc469e6d21c8b45a97033f")
    (tmp_path / "rules.yaml").write_text(PARTS)

    code, out, err = call("explain", tmp_path / "rules.yaml", "--topic", "t", "--at", "produce", *part, stdin=b"ada")

    assert (code, err) == (0, "")
    assert out.decode().split("\n\n")[1].strip().splitlines()[-1:] == ([decides] if decides else [])


CLAIMING = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: claiming}
rules:
  - {name: r, topics: [t], at: [fetch], when: {client: '"fraud" in claims.groups'}, value: {fields: [{path: $.a, mask: keep}]}}
"""


@pytest.mark.parametrize(
    ("claims", "verdict", "why"),
    [
        ('{"groups": ["fraud"]}', "acts", "its condition is true"),
        ('{"groups": []}', "does not act", "its condition is false"),
        ("{}", "does not act", "it fails for this client"),
        (None, "does not act", "claims not known"),
    ],
    ids=["in it", "not in it", "without groups", "not known"],
)
def test_explain_takes_what_an_access_token_says(call, tmp_path, claims, verdict, why):
    (tmp_path / "rules.yaml").write_text(CLAIMING)
    given = [] if claims is None else ["--claims", claims]

    code, out, _ = call("explain", tmp_path / "rules.yaml", "--topic", "t", "--at", "fetch", *given)

    cells = out.decode().strip().split("\t")
    assert (code, cells[0]) == (0, verdict)
    assert why in cells[4]


@pytest.mark.parametrize("claims", ["{", "[]", '{"a": "\\ud800"}', "1"])
def test_explain_refuses_claims_that_are_none(call, rules, claims):
    code, out, err = call("explain", rules, "--topic", "t", "--claims", claims)

    assert (code, out) == (2, b"")
    assert "claims are a JSON object" in err


def test_explain_takes_one_thing_at_a_time(call, rules):
    code, out, err = call("explain", rules, "--topic", "t", "--key", "--header", "a", stdin=b"x")

    assert (code, out) == (2, b"")
    assert "give --key or --header" in err


def test_explain_without_a_record_lists_rules_alone(call, rules, tmp_path):
    code, out, err = call("explain", rules, "--topic", "payments.public", "--at", "produce")

    assert (code, err) == (0, "")
    assert "exceptTopics payments.public takes the topic from it" in out.decode()
    (tmp_path / "rules" / "a.yaml").write_text(RULES.replace("topics", "topcis"))
    assert call("explain", rules, "--topic", "t")[0] == 1


def test_check_does_not_warn_of_a_condition_on_the_principal(call, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        RULES.replace("    at: [produce]\n", "    at: [produce]\n    when: {client: 'principal == topic'}\n", 1)
    )

    code, out, err = call("check", path)

    assert code == 0
    assert out.decode().splitlines()[0].split("\t")[1] == "payments.* except payments.public by principal, topic"
    assert err.startswith("valid: ")


def test_masks_for_the_client_that_is_named(call, tmp_path):
    path = tmp_path / "r.yaml"
    condition = 'principal == "User:eve" || clientId == "eve"'
    path.write_text(
        RULES.replace("    at: [produce]\n", f"    at: [produce]\n    when: {{client: '{condition}'}}\n", 1)
    )
    value, clear = b'{"ssn":"123-45-6789"}', b'{"ssn":"123-45-6789"}'

    outputs = [
        call("mask", "--rules", path, "--topic", "payments.eu", *options, stdin=value)[1]
        for options in (
            [],
            ["--principal", "User:bob", "--client-id", "bob"],
            ["--principal", "User:bob", "--client-id", "eve"],
            ["--principal", "User:eve"],
        )
    ]

    assert [output == clear for output in outputs] == [False, True, False, False]


@pytest.mark.parametrize("is_valid", [True, False], ids=["valid", "invalid"])
def test_check_draws_for_a_terminal(rules, is_valid, tmp_path):
    if not is_valid:
        (tmp_path / "rules" / "a.yaml").write_text(RULES.replace("topics", "topcis"))
    master, terminal = os.openpty()

    process = subprocess.Popen(
        [sys.executable, "-m", "wiremask", "check", rules],
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
    )
    os.close(terminal)
    shown = b""
    with open(master, "rb", buffering=0) as screen:  # noqa: PTH123 - a descriptor
        try:
            while piece := screen.read(65536):
                shown += piece
        except OSError:
            pass  # the terminal is closed with the process
    code = process.wait(30)

    assert code == (0 if is_valid else 1)
    assert b"\x1b[" in shown
    assert (b"customer" in shown) is is_valid


@pytest.mark.parametrize(
    "arguments",
    [
        ["check"],
        ["check", "/nonexistent"],
        ["mask", "--topic", "t"],
        ["mask", "--rules", "/", "--topic", "t", "--at", "rest"],
        ["nothing"],
        ["run", "--nothing"],
        ["run", "--conf", "x"],
        ["run", "--config", "/nonexistent"],
        ["run", "--upstream", "kafka:9092", "--listen", "9092"],
        ["config", "--log-level", "loud", "--upstream", "k:1"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_two_and_prints_to_standard_error(call, arguments):
    code, out, err = call(*arguments)

    assert (code, out) == (2, b"")
    assert err


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "config",
        "check",
        "diff",
        "explain",
        "schema",
        "import-connect",
        "mask",
        "reveal",
        "keygen",
        "demo",
        "version",
    ],
)
def test_every_command_has_help(call, command):
    code, out, _ = call(command, "--help")

    assert code == 0
    assert f"wiremask {command}" in out.decode()
    assert command in call("--help")[1].decode()


def test_config_prints_what_file_environment_and_options_come_to(call, tmp_path, monkeypatch):
    path = tmp_path / "wiremask.yaml"
    path.write_text("upstream: {bootstrapServers: ['kafka:9092']}\nlog: {level: debug}\n")
    monkeypatch.setenv("WIREMASK_ADMIN__ADDRESS", "127.0.0.1:1234")

    code, out, _ = call("config", "--config", path, "--advertised-host", "localhost")

    (tmp_path / "again.yaml").write_bytes(out)
    config = load(tmp_path / "again.yaml", {})
    assert code == 0
    assert (config.log.level, str(config.admin.address)) == ("debug", "127.0.0.1:1234")
    assert config.listeners[0].advertised_host == "localhost"


def test_config_prints_the_schema_of_configuration_files(call):
    code, out, _ = call("config", "--schema")

    schema = json.loads(out)
    assert code == 0
    assert schema["additionalProperties"] is False
    assert "frameBytes" in schema["$defs"]["LimitsConfig"]["properties"]


REVERSIBLE = """
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: support}
keys: {pii: {env: TEST_REVEAL_KEY}}
rules:
  - name: tickets
    topics: [tickets]
    at: [produce]
    reversible: true
    value:
      fields:
        - {path: $.phone, mask: {encrypt: {key: pii}}}
        - {path: $.pan, mask: {fpe: {key: pii}}}
        - {path: $.name, mask: redact}
"""


def test_reveals_with_the_key_what_was_encrypted(call, tmp_path, monkeypatch):
    (tmp_path / "rules.yaml").write_text(REVERSIBLE)
    _, key, _ = call("keygen")
    monkeypatch.setenv("TEST_REVEAL_KEY", key.decode())
    value = b'{"phone" : "+49 30 1234", "pan":"4111-1111-1111-1111", "name":"Ada"}'

    masked = call("mask", "--rules", tmp_path, "--topic", "tickets", stdin=value)
    revealed = call("reveal", "--rules", tmp_path, "--topic", "tickets", stdin=masked[1])

    assert not any(word in masked[1] for word in (b"1234", b"4111-1111", b"Ada"))
    assert revealed == (0, value.replace(b"Ada", b"[redacted]"), "")


def test_reveals_nothing_of_what_was_not_encrypted_by_this_key(call, tmp_path, monkeypatch):
    (tmp_path / "rules.yaml").write_text(REVERSIBLE)
    monkeypatch.setenv("TEST_REVEAL_KEY", KEY)
    _, masked, _ = call("mask", "--rules", tmp_path, "--topic", "tickets", stdin=b'{"phone":"1"}')
    reveal = ("reveal", "--rules", tmp_path, "--topic")

    nothing = "no rule has a mask for this topic and direction that can be undone\n"
    unfit = "refused: something that the mask does not take (rule tickets)\n"
    assert call(*reveal, "other", stdin=masked) == (3, b"", nothing)
    assert call(*reveal, "tickets", stdin=b'{"phone":"1"}') == (3, b"", unfit)
    monkeypatch.setenv("TEST_REVEAL_KEY", call("keygen")[1].decode())
    assert call(*reveal, "tickets", stdin=masked) == (3, b"", unfit)


def test_import_connect_prints_rules_and_what_they_lack(call, tmp_path):
    path = tmp_path / "connector.json"
    config = {
        "topics": "t",
        "value.converter": "JsonConverter",
        "transforms": "m",
        "transforms.m.type": "x.MaskField$Value",
        "transforms.m.fields": "a",
    }
    path.write_text(json.dumps({**config, "value.converter": "org.JsonConverter"}))

    whole = call("import-connect", path)
    path.write_text(json.dumps({**config, "transforms": "m,r", "transforms.r.type": "x.RegexRouter"}))
    lacking = call("import-connect", path)

    assert whole[0] == 0
    assert b"redact" in whole[1]
    assert lacking[0] == 4
    assert "warning: transform r is no mask, and stays in the connector\n" in lacking[2]


@pytest.mark.parametrize("text", ["", "[", "[]", "{}", '{"config": {"a": []}}'], ids=range(5))
def test_import_connect_refuses_what_is_no_connector(call, tmp_path, text):
    (tmp_path / "connector.json").write_text(text)

    code, out, err = call("import-connect", tmp_path / "connector.json")

    assert (code, out) == (1, b"")
    assert err


def test_schema_prints_the_schema_of_rule_files(call):
    code, out, _ = call("schema")

    schema = json.loads(out)
    assert code == 0
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$defs"]["rule"]["additionalProperties"] is False


def test_version_is_that_of_the_package(call):
    assert call("version")[:2] == (0, f"wiremask {wiremask.__version__}\n".encode())


@pytest.fixture
def served(monkeypatch):
    """Stands in for the server; keeps the configuration that it is run with."""
    seen = []
    server = types.SimpleNamespace(run=lambda config: len(seen.append(config) or ""))
    monkeypatch.setattr("wiremask.proxy.log.route_libraries", lambda: None)
    monkeypatch.setitem(sys.modules, "wiremask.proxy.server", server)
    monkeypatch.setattr("wiremask.proxy.server", server, raising=False)
    yield seen
    log.configure(log.LogConfig())


def test_run_hands_the_configuration_of_its_options_to_the_server(call, served):
    code, *_ = call(
        *("run", "--upstream", "b1:9092,b2:9092", "--listen", "127.0.0.1:19092", "--rules", "my/rules"),
        *("--admin", "127.0.0.1:1", "--log-level", "warning", "--log-format", "console"),
    )

    (config,) = served
    assert code == 0
    assert [str(server) for server in config.upstream.bootstrap_servers] == ["b1:9092", "b2:9092"]
    assert str(config.listeners[0].address) == "127.0.0.1:19092"
    assert str(config.rules.path) == "my/rules"
    assert str(config.admin.address) == "127.0.0.1:1"
    assert (config.log.level, config.log.format) == ("warning", "console")


def test_run_ends_with_one_and_a_line_for_each_fault_of_the_rules(call, served, monkeypatch, tmp_path):
    def refuse(_config):
        wiremask.load(tmp_path / "none")

    monkeypatch.setattr(sys.modules["wiremask.proxy.server"], "run", refuse)

    code, _, err = call("run", "--upstream", "k:1")

    lines = [json.loads(line) for line in err.splitlines()]
    assert code == 1
    assert [line["event"] for line in lines] == ["rules invalid", "not started"]
    assert f"{tmp_path}/none:1:1: cannot be read" in lines[0]["error"]


def test_unexpected_failure_says_where_and_quotes_nothing(call, rules, monkeypatch):
    def fail(*_arguments, **_named):
        raise LookupError(CANARY)

    monkeypatch.setattr("wiremask.proxy.inprocess.Masking.mask", fail)

    code, out, err = call("mask", "--rules", rules, "--topic", "t", stdin=CANARY.encode())

    assert (code, out) == (1, b"")
    assert "LookupError" in err
    assert "mask.py:" in err
    assert CANARY not in err


def test_ends_quietly_when_its_reader_goes_away(rules):
    mask = shlex.join(
        [sys.executable, "-m", "wiremask", "mask", "--rules", str(rules), "--topic", "payments.eu", "--lines"]
    )
    command = f"yes '{{}}' | {mask} | head -1"

    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)

    assert done.stdout == b"{}\n"
    assert done.stderr == b""


def test_run_imports_nothing_that_only_people_need():
    code = (
        "import sys\n"
        "from wiremask.proxy import cli\n"
        "assert cli.main(['run', '--config', '/nonexistent']) == 2\n"
        "heavy = {'rich', 'typer', 'click', 'watchfiles', 'anyio', 'aiokafka', 'confluent_kafka', 'ruamel'}\n"
        "heavy |= {'prometheus_client', 'cryptography', 'urllib.request', 'http.client', 'importlib.metadata'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "[]"
