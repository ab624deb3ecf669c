"""Every load error stands at its exact place: a caret in each text shows where, and is taken out before the text is read."""

from __future__ import annotations

import pytest

from support.rule_faults import assert_one_fault
from wiremask.rules import KeyReference, KeyUnavailable

KEY = "hex:9f0c5d2ab1e64733885cd41fe027b96a0b7de35812fc469e6d21c8b45a97033f"
OTHER_KEY = "hex:1d7e4a90c25b83f6e0194c7d62ab58f33b9f07c8e1d5426a90bc3471f8e62d05"
START = "apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {name: t}\n"
HEAD = START + "keys: {pii: {env: PII}}\nrules:\n"
RULE = START + "rules:\n  - {name: r, topics: [t], at: [produce], value: {fields: [{path: $.a, mask: keep}]}}\n"
RULE_LINE = "  - {name: r, topics: [t], at: [produce], value: {fields: [{path: $.a, mask: keep}]}}\n"


KEY_TEXTS = {
    "PII": KEY,
    "OTHER": OTHER_KEY,
    "WEAK": "hex:" + "00" * 32,
    "COUNTING": "hex:" + bytes(range(32)).hex(),
    "PROSE": "hex:" + b"correct horse battery staple, 32".hex(),
    "FEW": "hex:" + bytes(200 + place * place % 13 for place in range(32)).hex(),
    "SHORT": KEY[:-2],
    "LONG": "hex:" + bytes(place * place % 251 for place in range(1025)).hex(),
    "ENDLESS": "hex:" + "0f" * 3000,
    "BARE": KEY.removeprefix("hex:"),
    "UNPADDED": "base64:AA",
    "ODD": KEY[:-1],
}


def resolve(reference: KeyReference) -> str:
    if reference.env in KEY_TEXTS:
        return KEY_TEXTS[reference.env]
    raise KeyUnavailable("it is not there")


def with_value(value: str, at: str = "produce") -> str:
    return HEAD + f"  - {{name: r, topics: [t], at: [{at}], value: {value}}}\n"


def with_field(field: str, at: str = "produce") -> str:
    return with_value(f"{{fields: [{field}]}}", at)


def with_mask(mask: str, at: str = "produce") -> str:
    return with_field(f"{{path: $.a, mask: {mask}}}", at)


def with_path(path: str) -> str:
    return with_field(f"{{path: {path}, mask: keep}}")


def with_topics(topics: str) -> str:
    return HEAD + f"  - {{name: r, topics: {topics}, at: [produce], value: {{fields: [{{path: $.a, mask: keep}}]}}}}\n"


def with_rule(more: str, mask: str = "keep") -> str:
    return (
        HEAD
        + "  - name: r\n    topics: [t]\n    at: [produce]\n"
        + f"    value: {{fields: [{{path: $.a, mask: {mask}}}]}}\n"
        + more
    )


def with_record(conditions: str, more: str = "", caret: str = "") -> str:
    return with_rule(f"{more}    {caret}when: {{record: {conditions}}}\n")


def with_client(expression: str, close: str = "}\n") -> str:
    opening = "{client: " if close else "\n      client: "
    return with_rule(f"    when: {opening}{expression}{close}")


def with_keys(keys: str) -> str:
    return START + f"keys: {keys}\n"


def with_patterns(patterns: str) -> str:
    return HEAD.replace("rules:", f"patterns: {patterns}\nrules:") + RULE_LINE


YAML = {
    "empty": ("‸", "the file is empty"),
    "comment only": ("‸# nothing", "the file is empty"),
    "second document": (RULE + "‸---\na: b\n", "a second document"),
    "directive": ("# first\n‸%YAML 1.2\n---\na: b\n", "directives are not supported"),
    "bad directive": ("%YAML ‸one\n---\n", "directives are not supported"),
    "byte order mark": ("‸\ufeff" + RULE, "byte order mark"),
    "control character": (START + "rules: [‸\x07]", "control character"),
    "control character after carriage returns": ("a: b\r\nc: d\re: ‸\x00", "control character"),
    "line separator": ("a: b‸\u2028c: d", "control character"),
    "anchor": (START + "keys: ‸&a\n  {pii: {env: PII}}\n", "anchors are not supported"),
    "alias": (with_topics("[‸*all]"), "aliases are not supported"),
    "star": (with_topics("[*‸]"), "quote a pattern"),
    "merge": (START + "‸<<: {a: b}\n" + RULE.removeprefix(START), "merges are not supported"),
    "tag": (START.replace("RuleSet", "‸!!str RuleSet") + RULE.removeprefix(START), "tags are not supported"),
    "local tag": (START.replace("RuleSet", "‸!x RuleSet") + RULE.removeprefix(START), "tags are not supported"),
    "unknown tag handle": (START.replace("RuleSet", "‸!x!y RuleSet"), "tags are not supported"),
    "duplicate key": (RULE + "‸kind: RuleSet\n", "stands already in line 2"),
    "number as key": (with_rule("    tests: [{in: {‸1: a}, out: {}}]\n"), "a key must be text"),
    "list as key": (with_rule("    tests: [{in: {‸[a]: a}, out: {}}]\n"), "a key must be text"),
    "true as key": (with_rule("    ‸true: a\n"), "a key must be text"),
    "value missing": (RULE.replace("kind: RuleSet", "‸kind:"), "no value for this key"),
    "element missing": (with_rule("    exceptTopics: [a, ‸, b]\n"), "a value is missing"),
    "element missing in a block": (with_rule("    exceptTopics:\n      -‸\n      - b\n"), "a value is missing"),
    "key without value": (with_mask("{‸redact}"), "no value for this key"),
    "tab": (START + "rules:\n‸\t- {name: r}\n", "a tab cannot"),
    "tilde": (with_mask("{fixed: ‸~}"), "write null"),
    "capital true": (with_mask("{nullify: {whole: ‸True}}"), "write true"),
    "capital null": (with_mask("{fixed: ‸NULL}"), "write null"),
    "octal": (with_mask("{fixed: ‸0123}"), "differ on this number"),
    "plus": (with_mask("{fixed: ‸+1}"), "differ on this number"),
    "hexadecimal": (with_mask("{fixed: ‸0x1F}"), "differ on this number"),
    "infinity": (with_mask("{fixed: ‸.inf}"), "differ on this number"),
    "no digit after the point": (with_mask("{fixed: ‸5.}"), "differ on this number"),
    "unclosed quote": (START + 'rules: "a\n‸', "never ends"),
    "document end in quotes": (START + 'rules: "a\n‸---\n', "never ends"),
    "unclosed list": (START + "rules: [a\n‸", "not closed"),
    "unclosed mapping": (START + "rules: {a: b\n‸", "not closed"),
    "wrong bracket": (START + "rules: [a‸}", "not closed"),
    "bracket in a bare path": (with_path("$.a‸[0]"), "quote it"),
    "colon in a value": (START + "rules: a‸: b", "cannot stand here"),
    "unknown escape": (START + 'rules: "\\‸q"', "unknown escape"),
    "short escape": (START + 'rules: "\\u‸12"', "incomplete escape"),
    "escape beyond Unicode": (START + '‸rules: "\\UFFFFFFFF"', "cannot be read"),
    "half of a pair": (with_mask('{fixed: ‸"\\ud83d"}'), "half of a surrogate pair"),
    "percent": (with_mask("{fixed: ‸%a}"), "begins with `%`"),
    "at sign": (with_mask("{fixed: ‸@a}"), "begins with `@`"),
    "backtick": (with_mask("{fixed: ‸`a}"), "begins with a backtick"),
    "ampersand alone": (with_mask("{fixed: &‸ a}"), "begins an anchor"),
    "bad indentation": (START + "rules:\n    - {name: r}\n  ‸- {name: s}\n", "does not continue"),
    "list after a key": ("a: ‸- b\n", "cannot begin a list here"),
    "key without colon": (START + "‸rules\n\n", "without `:`"),
    "block scalar header": ("a: |‸x\n", "must be quoted"),
    "verbatim tag": ("a: !<x>‸y", "quote a text that begins with `!`"),
    "what no rule is for": ("a: !<‸", "this is not valid YAML"),
    "long file": ("‸#" + "x" * (1 << 20), "the file is longer than 1048576 characters"),
    "too deep": (START + "rules: " + "[" * 99 + "‸[", "nested deeper than 100"),
}

MARKERS = {
    "markers is a text": (
        START.replace("t}", "t, markers: ‸gone}") + RULE.removeprefix(START),
        "`markers` is a mapping",
    ),
    "unknown marker": (
        START.replace("t}", "t, markers: {‸txt: gone}}") + RULE.removeprefix(START),
        "did you mean `text`?",
    ),
    "marker of texts": (
        START.replace("t}", "t, markers: {text: ‸7}}") + RULE.removeprefix(START),
        "the marker of texts is a text; quote it",
    ),
    "marker that is long": (
        START.replace("t}", f"t, markers: {{json: ‸[{'x' * 1023}]}}}}") + RULE.removeprefix(START),
        "a marker has at most 1024 characters",
    ),
}

HEADS = {
    "text for a file": ("‸hello", "a ruleset file is a mapping"),
    "list for a file": ("‸- a\n", "a ruleset file is a mapping"),
    "unknown key": (RULE + "‸rulez: []\n", "unknown key in a ruleset file; did you mean `rules`?"),
    "key far from all": (RULE + "‸colour: red\n", "write one of `apiVersion`, `kind`"),
    "missing apiVersion": ("‸kind: RuleSet\nmetadata: {name: t}\nkeys: {}\n", "lacks `apiVersion`; add it"),
    "missing two": ("‸metadata: {name: t}\nkeys: {}\n", "lacks `apiVersion`, `kind`; add them"),
    "other apiVersion": (RULE.replace("wiremask.dev/v1", "‸wiremask.dev/v2"), "write `apiVersion: wiremask.dev/v1`"),
    "other kind": (RULE.replace("RuleSet", "‸Rules"), "write `kind: RuleSet`"),
    "kind is a list": (RULE.replace("RuleSet", "‸[RuleSet]"), "write `kind: RuleSet`"),
    "metadata is text": (RULE.replace("{name: t}", "‸t"), "`metadata` is a mapping"),
    "metadata without name": (RULE.replace("{name: t}", "‸{}"), "lacks `name`"),
    "metadata with more": (RULE.replace("{name: t}", "{name: t, ‸nmae: u}"), "did you mean `name`?"),
    "ruleset name": (RULE.replace("{name: t}", "{name: ‸a b}"), "the name of a ruleset has letters"),
    "ruleset name is a number": (RULE.replace("{name: t}", "{name: ‸7}"), "quote it"),
    "neither rules nor keys": ("‸" + START, "neither `rules` nor `keys`"),
    "rules is a mapping": (START + "rules: ‸{a: b}\n", "`rules` is a list"),
    "no rules": (START + "rules: ‸[]\n", "the list is empty"),
}

KEYS = {
    "keys is a list": (with_keys("‸[a]"), "`keys` is a mapping"),
    "key name": (with_keys("{‸a b: {env: PII}}"), "the name of a key has letters"),
    "key is text": (with_keys("{a: ‸b}"), "the key itself never stands in a rule file"),
    "key is empty": (with_keys("{a: ‸{}}"), "exactly one of `env` and `file`"),
    "both": (with_keys("{a: ‸{env: PII, file: /a}}"), "exactly one of `env` and `file`"),
    "unknown source": (with_keys("{a: {‸fil: /a}}"), "did you mean `file`?"),
    "env with a colon": (with_keys("{a: {env: ‸'a:b'}}"), "name of an environment variable"),
    "env is a number": (with_keys("{a: {env: ‸1}}"), "name of an environment variable"),
    "key text in env": (with_keys("{a: {env: ‸'hex:00'}}"), "this is the text of a key"),
    "key text in file": (with_keys("{a: {file: ‸'base64:AA'}}"), "this is the text of a key"),
    "relative file": (with_keys("{a: {file: ‸keys/a}}"), "absolute path"),
    "not available": (with_keys("{‸a: {env: NONE}}"), "the key is not available: it is not there"),
    "weak": (with_keys("{‸a: {env: WEAK}}"), "the key is not random"),
    "counting": (with_keys("{‸a: {env: COUNTING}}"), "its bytes count in even steps; make one with `wiremask keygen`"),
    "prose": (with_keys("{‸a: {env: PROSE}}"), "the key is not random: it is text"),
    "few different bytes": (with_keys("{‸a: {env: FEW}}"), "it has fewer than 16 different bytes"),
    "short": (with_keys("{‸a: {env: SHORT}}"), "the key is shorter than 32 bytes; make one with `wiremask keygen`"),
    "long": (with_keys("{‸a: {env: LONG}}"), "the key is longer than 1024 bytes"),
    "endless": (with_keys("{‸a: {env: ENDLESS}}"), "the key is longer than 1024 bytes"),
    "without a prefix": (with_keys("{‸a: {env: BARE}}"), "begins with neither `base64:` nor `hex:`"),
    "no base64": (with_keys("{‸a: {env: UNPADDED}}"), "what follows `base64:` is not base64"),
    "no hex": (with_keys("{‸a: {env: ODD}}"), "is not an even number of hexadecimal digits"),
    "versions without active": (with_keys("{a: ‸{versions: {v1: {env: PII}}}}"), "lacks `active`"),
    "active without versions": (with_keys("{a: ‸{active: v1}}"), "lacks `versions`"),
    "versions is a list": (with_keys("{a: {active: v1, versions: ‸[v1]}}"), "`versions` is a mapping"),
    "no versions": (with_keys("{a: {active: v1, versions: ‸{}}}"), "`versions` is a mapping"),
    "version twice": (
        with_keys("{a: {active: v1, versions: {v1: {env: PII}, ‸v2: {env: PII}}}}"),
        "this version is the same key as another",
    ),
    "old version not available": (
        with_keys("{a: {active: v1, versions: {v1: {env: PII}, ‸v0: {env: NONE}}}}"),
        "the key is not available",
    ),
    "name of a version": (
        with_keys("{a: {active: v1, versions: {v1: {env: PII}, ‸'v:2': {env: OTHER}}}}"),
        "the name of a version",
    ),
    "mistyped active": (
        with_keys("{a: {active: ‸v2, versions: {v1: {env: PII}, v0: {env: OTHER}}}}"),
        "no version of this name",
    ),
    "unknown active": (with_keys("{a: {active: ‸v2, versions: {v1: {env: PII}}}}"), "no version of this name"),
    "active is a number": (with_keys("{a: {active: ‸2, versions: {v1: {env: PII}}}}"), "`active` is the name"),
    "version is text": (with_keys("{a: {active: v1, versions: {v1: ‸PII}}}"), "write {env: NAME}"),
}

RULES = {
    "rule is text": (HEAD + "  - ‸r\n", "a rule is a mapping"),
    "rule lacks all": (HEAD + "  - ‸{value: {fields: [{path: $.a, mask: keep}]}}\n", "lacks `name`, `topics`, `at`"),
    "rule without value": (HEAD + "  - ‸{name: r, topics: [t], at: [fetch]}\n", "a rule lacks `value`"),
    "mistyped key": (with_rule("    ‸onUnreadible: reject\n"), "did you mean `onUnreadable`?"),
    "snake case": (with_rule("    ‸on_unreadable: reject\n"), "did you mean `onUnreadable`?"),
    "rule name": (HEAD + RULE.split("rules:\n")[1].replace("name: r", "name: ‸-r"), "the name of a rule has letters"),
    "rule name twice": (RULE + RULE.split("rules:\n")[1].replace("name: r", "name: ‸r"), "stands at rules.yaml:5"),
    "topics is text": (with_topics("‸t"), "`topics` is a list"),
    "no topics": (with_topics("‸[]"), "the list is empty"),
    "topic is a number": (with_topics("[‸1]"), "a topic pattern is a text; quote it"),
    "topic twice": (with_topics("[t, ‸t]"), "stands in the list already"),
    "empty topic": (with_topics("['‸']"), "a topic pattern is missing"),
    "impossible character": (
        with_topics("[pay‸ments/x]".replace("‸", "").replace("/x", "‸/x")),
        "no topic name has this",
    ),
    "space in a glob": (with_topics('["pay *‸é"]'.replace(" *‸é", "*‸é")), "no topic name has this"),
    "alternatives": (with_topics("['‸{a,b}']"), "write several patterns"),
    "long name": (with_topics("[" + "a" * 249 + "‸a]"), "at most 249"),
    "dots only": (with_topics("[‸..]"), "no topic has this name"),
    "open set": (with_topics("['a‸[b']"), "the set is not closed"),
    "empty set": (with_topics("['a‸[]']"), "the set is empty"),
    "backward range": (with_topics("['a[‸z-a]']"), "runs backwards"),
    "internal glob": (with_topics("[‸__consumer*]"), "write that name in full"),
    "lone slash": (with_topics("[‸/]"), "stands between slashes"),
    "open expression": (with_topics("[‸/abc]"), "stands between slashes"),
    "back reference": (with_topics("['/‸(a)\\1/']"), "RE2 cannot run this expression"),
    "look-ahead": (with_topics("['/‸a(?=b)/']"), "RE2 cannot run this expression"),
    "bad exception": (with_rule("    exceptTopics: ['a‸[b']\n"), "the set is not closed"),
    "no exceptions": (with_rule("    exceptTopics: ‸[]\n"), "the list is empty"),
    "at is text": (RULE.replace("[produce]", "‸produce"), "`at` is a list"),
    "no direction": (RULE.replace("[produce]", "‸[]"), "the list is empty"),
    "unknown direction": (RULE.replace("[produce]", "[‸consume]"), "write one of `produce`, `fetch`"),
    "mistyped direction": (RULE.replace("[produce]", "[‸Produce]"), "did you mean `produce`?"),
    "direction twice": (RULE.replace("[produce]", "[fetch, ‸fetch]"), "stands in the list already"),
    "unknown mode": (with_rule("    mode: ‸enforced\n"), "did you mean `enforce`?"),
    "policy omit at produce": (with_rule("    onUnreadable: ‸omit\n"), "a producer's record is not left out"),
    "policy omit in both directions": (
        with_value("{fields: [{path: $.a, mask: redact}]}, onUnmaskable: ‸omit", "fetch, produce"),
        "a producer's record is not left out",
    ),
    "unknown policy": (with_rule("    onUnmaskable: ‸pass\n"), "unknown word for `onUnmaskable`"),
    "policy is a list": (with_rule("    onUnmaskable: ‸[reject]\n"), "`onUnmaskable` is one of"),
    "policy is a boolean": (with_rule("    onUnmaskable: ‸true\n"), "unknown word for `onUnmaskable`"),
    "when is empty": (with_rule("    when: ‸{}\n"), "`when` has neither `client` nor `record`"),
    "when is a text": (with_rule("    when: ‸always\n"), "`when` is a mapping"),
    "record is no list": (with_record("‸{path: $.a, equals: b}"), "`record` is a list"),
    "record condition of nothing": (with_record("[‸{equals: b}]"), "exactly one of `path` and `header`"),
    "record condition of both": (with_record("[‸{path: $.a, header: a, equals: b}]"), "exactly one of `path`"),
    "record condition without values": (with_record("[‸{path: $.a}]"), "exactly one of `equals` and `in`"),
    "record condition word": (with_record("[{path: $.a, equals: b, ‸equal: b}]"), "did you mean `equals`?"),
    "record path": (with_record("[{path: '$[‸?@.a]', equals: b}]"), "filters"),
    "record path is a number": (with_record("[{path: ‸7, equals: b}]"), "`path` is a JSONPath such as $.country"),
    "record header is a number": (with_record("[{header: ‸7, equals: b}]"), "`header` is the name of a header"),
    "record values are a text": (with_record("[{path: $.a, in: ‸b}]"), "`in` is a list of values"),
    "record values without end": (
        with_record(f"[{{path: $.a, in: [‸{', '.join(map(str, range(1001)))}]}}]"),
        "a condition has at most 1000 values",
    ),
    "record conditions without end": (
        with_record(f"‸[{', '.join(['{path: $.a, equals: b}'] * 17)}]"),
        "a rule has at most 16 conditions on the record",
    ),
    "record value null": (with_record("[{path: $.a, equals: ‸null}]"), "write a text, a whole number or true"),
    "record value with a point": (with_record("[{path: $.a, in: [1, ‸1.5]}]"), "compared if they are whole"),
    "record header with a number": (with_record("[{header: a, equals: ‸1}]"), "a header is compared with texts"),
    "record beside a key": (
        with_record("[{header: a, equals: b}]", "    key: {fields: [{path: $.a, mask: redact}]}\n", "‸"),
        "the same key must always mask to the same bytes",
    ),
    "record path for a text": (
        HEAD + "  - name: r\n    topics: [t]\n    at: [produce]\n    ‸when: {record: [{path: $.a, equals: b}]}\n"
        "    value: {format: text, fields: [{path: $, mask: keep}]}\n",
        "a value of `format: text` has no fields to compare",
    ),
    "unknown key in when": (with_rule("    when: {‸clients: a, client: topic == 'a'}\n"), "did you mean `client`?"),
    "no part": (HEAD + "  - ‸{name: r, topics: [t], at: [fetch]}\n", "a rule lacks `value`"),
    "key is a list": (with_rule("    key: ‸[]\n"), "`key` is a mapping"),
    "key without fields": (with_rule("    key: ‸{format: text}\n"), "`key` lacks `fields`"),
    "key format": (with_rule("    key: {format: ‸txt, fields: [{path: $, mask: keep}]}\n"), "did you mean `text`?"),
    "member of a text key": (
        with_rule("    key: {format: text, fields: [{path: ‸$.a, mask: keep}]}\n"),
        "a text has no members",
    ),
    "null for a text key": (
        with_rule("    key: {format: text, fields: [{path: $, mask: ‸nullify}]}\n"),
        "a text that becomes null",
    ),
    "key that is never twice the same": (
        with_rule("    reversible: true\n    key: {format: text, fields: [{path: $, mask: {‸encrypt: {key: pii}}}]}\n"),
        "equal keys must stay equal",
    ),
    "key with a list that is never twice the same": (
        with_rule(
            "    reversible: true\n    key: {fields: [{path: $.a, mask: [‸{truncate: 4}, {encrypt: {key: pii}}]}]}\n"
        ),
        "equal keys must stay equal",
    ),
    "key that can be undone": (
        with_rule("    key: {format: text, fields: [{path: $, mask: {‸fpe: {key: pii}}}]}\n"),
        "can be undone with the key; write `reversible: true`",
    ),
    "key in both directions": (
        HEAD + "  - name: r\n    topics: [t]\n    at: [produce, fetch]\n"
        "    key: {format: text, fields: [{path: $, mask: {‸hash: {key: pii}}}]}\n",
        "would hash its own output",
    ),
    "headers is a mapping": (with_rule("    headers: ‸{name: a, mask: redact}\n"), "`headers` is a list"),
    "no headers": (with_rule("    headers: ‸[]\n"), "the list is empty"),
    "header without mask": (with_rule("    headers: [‸{name: a}]\n"), "a header lacks `mask`"),
    "header with path": (with_rule("    headers: [{name: a, ‸path: $, mask: keep}]\n"), "unknown key in a header"),
    "header name": (with_rule("    headers: [{name: ‸7, mask: redact}]\n"), "`name` is the name of a header or a glob"),
    "header set without end": (with_rule("    headers: [{name: 'x-‸[ab', mask: redact}]\n"), "write `]` after it"),
    "header set without members": (with_rule("    headers: [{name: 'x-‸[]', mask: redact}]\n"), "the set is empty"),
    "header twice": (
        with_rule("    headers: [{name: a, mask: keep}, {name: ‸a, mask: redact}]\n"),
        "this name stands already in line 10",
    ),
    "number for a header": (
        with_rule("    headers: [{name: a, mask: {‸fixed: 7}}]\n"),
        "a text stays a text; quote the value",
    ),
    "header that can be undone": (
        with_rule("    headers: [{name: a, mask: {‸fpe: {key: pii}}}]\n"),
        "can be undone with the key",
    ),
    "header in both directions": (
        HEAD + "  - {name: r, topics: [t], at: [produce, fetch], headers: [{name: a, mask: {‸hash: {key: pii}}}]}\n",
        "would hash its own output",
    ),
}

VALUES = {
    "value is a list": (with_value("‸[]"), "`value` is a mapping"),
    "value without fields": (with_value("‸{format: json}"), "`value` lacks `fields`"),
    "no fields": (with_field("").replace("[]", "‸[]"), "the list is empty"),
    "fields is a mapping": (with_value("{fields: ‸{path: $.a}}"), "`fields` is a list"),
    "format avro": (
        with_value("{format: ‸avro, fields: [{path: $.a, mask: keep}]}"),
        "`format: avro` is not supported",
    ),
    "member of a text": (
        with_value("{format: text, fields: [{path: ‸$.a, mask: keep}]}"),
        "a text has no members; write `path: $`",
    ),
    "null for a text": (
        with_value("{format: text, fields: [{path: $, mask: {‸nullify: {whole: true}}}]}"),
        "a text that becomes null is a tombstone",
    ),
    "null for what may be a text": (
        with_value("{format: auto, fields: [{path: $, mask: ‸nullify}]}"),
        "a text that becomes null is a tombstone",
    ),
    "number for a text": (
        with_value("{format: text, fields: [{path: $, mask: {‸fixed: 7}}]}"),
        "a text stays a text; quote the value",
    ),
    "auto without a word for texts": (
        with_value("{format: ‸auto, fields: [{path: $.a, mask: redact}]}"),
        "no field says what happens to a value that is no JSON",
    ),
    "auto in both directions": (
        with_value("{format: ‸auto, fields: [{path: $, mask: redact}]}", "produce, fetch"),
        "may read as JSON at fetch",
    ),
    "format unknown": (with_value("{format: ‸jsn, fields: [{path: $.a, mask: keep}]}"), "did you mean `json`?"),
    "embedded word": (
        with_field("{path: $.a, embedded: ‸jsn, fields: [{path: $.b, mask: keep}]}"),
        "did you mean `json`?",
    ),
    "embedded beside a mask": (
        with_field("‸{path: $.a, mask: redact, embedded: json, fields: [{path: $.b, mask: keep}]}"),
        "exactly one of `mask` and `embedded`",
    ),
    "neither mask nor embedded": (with_field("‸{path: $.a}"), "exactly one of `mask` and `embedded`"),
    "embedded without fields": (with_field("{path: $.a, embedded: ‸json}"), "goes with `fields`"),
    "fields without embedded": (
        with_field("{path: $.a, mask: keep, ‸fields: [{path: $.b, mask: keep}]}"),
        "goes with `embedded`",
    ),
    "unlisted without embedded": (with_field("{path: $.a, mask: keep, ‸unlisted: redact}"), "goes with `embedded`"),
    "fault in an embedded field": (
        with_field("{path: $.a, embedded: json, fields: [{path: $.b, mask: ‸redakt}]}"),
        "unknown mask",
    ),
    "embedded path twice": (
        with_field("{path: $.a, embedded: json, fields: [{path: $.b, mask: keep}, {path: ‸'$[\"b\"]', mask: keep}]}"),
        "this path stands already",
    ),
    "embedded mask that can be undone": (
        with_field("{path: $.a, embedded: json, fields: [{path: $.b, mask: {‸fpe: {key: pii}}}]}"),
        "write `reversible: true`",
    ),
    "embedded mask in both directions": (
        with_field("{path: $.a, embedded: json, fields: [{path: $.b, mask: {‸hash: {key: pii}}}]}", "produce, fetch"),
        "`hash` at produce and fetch",
    ),
    "onMissing word": (with_field("{path: $.a, mask: keep, onMissing: ‸refuse}"), "unknown word for `onMissing`"),
    "onMissing at fetch": (
        with_field("{path: $.a, mask: keep, onMissing: ‸reject}", "fetch"),
        "nothing is rejected at fetch",
    ),
    "onMissing at the root": (with_field("{path: $, mask: keep, onMissing: ‸reject}"), "`$` is never missing"),
    "onMissing in a text": (
        with_value("{format: auto, fields: [{path: ‸$.a, mask: keep, onMissing: reject}, {path: $, mask: redact}]}"),
        "a field is required in JSON alone",
    ),
    "onMissing in an embedded document": (
        with_field("{path: $.a, embedded: json, fields: [{path: $.b, mask: keep, onMissing: ‸reject}]}"),
        "cannot be required yet",
    ),
    "data of an embedded field": (
        with_field("{path: $.a, embedded: json, fields: [{path: $.b, mask: redact, ‸data: pan}]}"),
        "standards do not look into embedded documents",
    ),
    "data of a document": (
        with_field("{path: $.a, ‸data: pan, embedded: json, fields: [{path: $.b, mask: redact}]}"),
        "standards do not look into embedded documents",
    ),
    "embedded too deep": (
        with_field(
            "{path: $.a, embedded: json, fields: [" * 4
            + "{path: $.b, embedded: ‸json, fields: [{path: $.c, mask: keep}]}"
            + "]}" * 4
        ),
        "at most 4 deep",
    ),
    "unlisted is no mask": (with_value("{unlisted: ‸redakt, fields: [{path: $.a, mask: keep}]}"), "unknown mask"),
    "unlisted drop": (with_value("{unlisted: ‸drop, fields: [{path: $.a, mask: keep}]}"), "would take the value whole"),
    "unlisted whole": (
        with_value("{unlisted: {‸nullify: {whole: true}}, fields: [{path: $.a, mask: keep}]}"),
        "would take the value whole",
    ),
    "unlisted beside the root": (
        with_value("{unlisted: ‸redact, fields: [{path: $, mask: nullify}]}"),
        "all is listed by `$`",
    ),
    "unlisted in both directions": (
        with_value("{unlisted: {‸hash: {key: pii}}, fields: [{path: $.a, mask: keep}]}", "produce, fetch"),
        "`hash` at produce and fetch",
    ),
    "field is text": (with_field("‸$.a"), "a field is a mapping"),
    "field by its tag": (with_field("{‸tag: pii, mask: redact}"), "`tag` in a field is not supported yet"),
    "field by path and tag": (
        with_field("{path: $.a, ‸tag: pii, mask: redact}"),
        "`tag` in a field is not supported yet",
    ),
    "field without path": (with_field("‸{mask: keep}"), "exactly one of `path` and `detect`"),
    "field with more": (with_field("{path: $.a, mask: keep, ‸masks: keep}"), "did you mean `mask`?"),
    "detect beside path": (
        with_field("‸{path: $.a, detect: [iban], mask: redact}"),
        "exactly one of `path` and `detect`",
    ),
    "detect no list": (with_field("{detect: ‸iban, mask: redact}"), "`detect` is a list of detectors"),
    "detect nothing": (with_field("{detect: ‸[], mask: redact}"), "the list is empty"),
    "detector no word": (with_field("{detect: [‸7], mask: redact}"), "a detector is a word"),
    "detector mistyped": (with_field("{detect: [card, ‸ibann], mask: redact}"), "did you mean `iban`?"),
    "detector unknown": (with_field("{detect: [‸qqqqqqqq], mask: redact}"), "no such detector; write one of `card`"),
    "detector twice": (with_field("{detect: [card, ‸card], mask: redact}"), "stands in the list already"),
    "detector in two fields": (
        with_field("{detect: [card], mask: redact}, {detect: ‸[card], mask: redact}"),
        "`card` stands already in line",
    ),
    "detect ignoring case": (
        with_field("{detect: [card], ‸ignoreCase: true, mask: redact}"),
        "`ignoreCase` goes with `path`",
    ),
    "detect keep": (with_field("{detect: [card], mask: ‸keep}"), "write `keep` for a path, before it"),
    "detect drop": (with_field("{detect: [card], mask: ‸drop}"), "a part of a text, which stays one; write redact"),
    "detect nullify": (with_field("{detect: [card], mask: ‸nullify}"), "a part of a text, which stays one"),
    "detect fixed number": (with_field("{detect: [card], mask: {‸fixed: 7}}"), "write {fixed: a text}"),
    "detect fixed whole": (with_field("{detect: [card], mask: {‸fixed: {value: x, whole: true}}}"), "delete `whole`"),
    "detect round": (with_field("{detect: [card], mask: {‸round: 10}}"), "this mask is for numbers"),
    "detect list with a mask for numbers": (
        with_field("{detect: [card], mask: [‸{truncate: 3}, {round: 10}]}"),
        "this mask is for numbers",
    ),
    "detect encrypt": (
        with_rule("", "keep").replace("{path: $.a, mask: keep}", "{detect: [card], mask: {‸encrypt: {key: pii}}}"),
        "is not found again, to be undone",
    ),
    "detect date shift": (
        with_field("{detect: [birth-date], mask: {‸date: {shift: 9, key: pii, subject: $.id}}}"),
        "a date that is found is not shifted",
    ),
    "detect unfit email": (with_field("{detect: [card], mask: ‸email}"), "email does not take what `card` finds"),
    "detect unfit token": (
        with_field("{detect: [card, iban], mask: {‸token: {key: pii, format: pan}}}"),
        "token with `format: pan` does not take what `iban` finds",
    ),
    "detect unfit token of an account": (
        with_field("{detect: [card], mask: {‸token: {key: pii, format: iban}}}"),
        "token with `format: iban` does not take what `card` finds",
    ),
    "detect in both directions": (
        with_field("{detect: [card], mask: ‸redact}", "produce, fetch"),
        "`detect` at produce and fetch",
    ),
    "patterns no mapping": (with_patterns("‸[x]"), "`patterns` is a mapping"),
    "pattern name": (
        with_patterns("{‸Big: {regex: x}}"),
        "the name of a pattern has small letters",
    ),
    "pattern named as a detector": (
        with_patterns("{‸card: {regex: x}}"),
        "of this name is built in",
    ),
    "pattern without regex": (
        with_patterns("{p: ‸{}}"),
        "a pattern lacks `regex`",
    ),
    "pattern with an unknown key": (
        with_patterns("{p: {regex: x, ‸ignorecase: true}}"),
        "did you mean `ignoreCase`?",
    ),
    "pattern no text": (
        with_patterns("{p: {regex: ‸7}}"),
        "`regex` is a regular",
    ),
    "pattern with look-around": (
        with_patterns("{p: {regex: ‸'a(?=b)'}}"),
        "RE2, which runs patterns in linear",
    ),
    "pattern with a back-reference": (
        with_patterns("{p: {regex: ‸'(a)\\1'}}"),
        "no back-references",
    ),
    "pattern with an anchor": (
        with_patterns("{p: {regex: ‸'^a'}}"),
        "has no ^, $",
    ),
    "pattern of nothing": (
        with_patterns("{p: {regex: ‸'a*'}}"),
        "takes a character at least",
    ),
    "path twice": (
        with_field("{path: $.a, mask: keep}, {path: ‸\"$['a']\", mask: redact}"),
        "stands already in line 6",
    ),
    "list twice": (
        with_field("{path: \"$['a', 'b']\", mask: keep}, {path: ‸\"$['b','a']\", mask: redact}"),
        "stands already in line 6",
    ),
}

PATHS = {
    "path is a number": (with_path("‸1"), "`path` is a JSONPath"),
    "path is a list": (with_path("‸[a]"), "`path` is a JSONPath"),
    "empty path": (with_path("'‸'"), "a path begins with `$`"),
    "no dollar": (with_path("‸a.b"), "a path begins with `$`"),
    "no dollar in quotes": (with_path('"‸a.b"'), "a path begins with `$`"),
    "dot at the end": (with_path("$.a.‸"), "a name or `*` is missing"),
    "dots at the end": (with_path("$.a..‸"), "missing after `..`"),
    "three dots": (with_path("$..‸.a"), "a name or `*` is missing"),
    "digit first": (with_path("$.‸1a"), "a name or `*` is missing"),
    "hyphen": (with_path("$.x‸-user"), "$['the name']"),
    "space in a name": (with_path("$.a ‸b"), "a step begins with"),
    "trailing space": (with_path("'$.a‸ '"), "does not end with a space"),
    "no step": (with_path("'$‸a'"), "a step begins with"),
    "bare name in brackets": (with_path("'$[‸a]'"), "is quoted"),
    "empty brackets": (with_path("'$[‸]'"), "a selector is missing"),
    "open bracket": (with_path("'$[‸'"), "`]` is missing"),
    "open after a selector": (with_path("'$[0‸'"), "`,` or `]` is missing"),
    "two selectors": (with_path("'$[0‸ 1]'".replace("0‸ 1", "0 ‸1")), "`,` or `]` is missing"),
    "comma at the end": (with_path("'$[0,‸]'"), "a selector is missing"),
    "open quote": (with_path('"$[‸\'a"'), "the quoted name never ends"),
    "open quote after doubled quotes": (with_path("'$[''a''].b[‸\"c'"), "the quoted name never ends"),
    "fault after escapes": (with_path('"$[\\"a\\\\u00e9\\x41\\u00e9\\U0001F600\\"]‸?"'), "a step begins with"),
    "filter": (with_path("'$[‸?@.a]'"), "filters `[?...]` are not supported"),
    "slice step of 0": (with_path("'$[0:2:‸0]'"), "a step of 0 selects nothing"),
    "slice that ends before it begins": (with_path("'$[‸3:2]'"), "this slice selects nothing"),
    "slice of no elements": (with_path("'$[‸:0]'"), "this slice selects nothing"),
    "slice backwards that ends before it begins": (with_path("'$[‸-3:-1:-1]'"), "this slice selects nothing"),
    "slice with a minus alone": (with_path("'$[1:‸-]'"), "an index is 0, 1, 2"),
    "slice with a name": (with_path("'$[1:‸a]'"), "`,` or `]` is missing"),
    "slice with four bounds": (with_path("'$[1:2:1‸:1]'"), "`,` or `]` is missing"),
    "slice bound beyond the limit": (with_path("'$[0:‸2147483648]'"), "an index is at most"),
    "slice bound with a leading zero": (with_path("'$[‸01:2]'"), "no leading zero"),
    "slice that stands twice": (with_path("'$[1:2,‸1:2:1]'"), "stands in the list already"),
    "index far from the end": (with_path("'$[‸-2147483648]'"), "at least -2147483647"),
    "ignoreCase is text": (with_field("{path: $.a, mask: keep, ignoreCase: ‸'yes'}"), "`ignoreCase` is true or false"),
    "ignoreCase of a rule is text": (with_rule("    ignoreCase: ‸sure\n"), "`ignoreCase` is true or false"),
    "names that differ in case alone": (
        with_value("{fields: [{path: $.a, mask: keep, ignoreCase: true}, {path: ‸$.A, mask: keep, ignoreCase: true}]}"),
        "this path stands already in line",
    ),
    "negative zero": (with_path("'$[‸-0]'"), "an index is 0, 1, 2"),
    "lone minus": (with_path("'$[‸-]'"), "an index is 0, 1, 2"),
    "leading zero": (with_path("'$[‸01]'"), "no leading zero"),
    "huge index": (with_path("'$[‸2147483648]'"), "at most 2147483647"),
    "selector twice": (with_path("\"$['a',‸'a']\""), "stands in the list already"),
    "escape unknown": (with_path("'$[\"a‸\\q\"]'"), "unknown escape"),
    "escape of the other quote": (with_path("'$[\"a‸\\''\"]'"), "unknown escape"),
    "escape short": (with_path("'$[\"‸\\u12\"]'"), "four hexadecimal digits"),
    "escape half": (with_path("'$[\"‸\\ud83d\"]'"), "half of a surrogate pair"),
    "escape two halves of a kind": (with_path("'$[\"‸\\ud83d\\ud83d\"]'"), "half of a surrogate pair"),
    "control character": (with_path("\"$['a‸\\t']\""), "written as an escape"),
    "long path": (with_path("‸$." + "a" * 1024), "this text is longer than 1024"),
    "many steps": (with_path("$" + ".a" * 64 + "‸.a"), "at most 64 steps"),
    "path over two lines": (with_field('{path: ‸"$.a\n        .b[", mask: keep}'), "`]` is missing"),
}

MASKS = {
    "mask is a number": (with_mask("‸1"), "unknown mask"),
    "mask is true": (with_mask("‸true"), "unknown mask"),
    "unknown mask": (with_mask("‸scramble"), "unknown mask; write one of `keep`"),
    "mistyped mask": (with_mask("‸partail"), "did you mean `partial`?"),
    "mistyped mask with arguments": (with_mask("{‸Hash: {key: pii}}"), "did you mean `hash`?"),
    "two masks in one": (with_mask("‸{keep: {}, redact: {}}"), "one word with its arguments"),
    "no mask": (with_mask("‸{}"), "one word with its arguments"),
    "no masks": (with_mask("‸[]"), "the list of masks is empty"),
    "keep in a list": (with_mask("[‸keep, redact]"), "`keep` leaves nothing for the other masks"),
    "drop in a list": (with_mask("[redact, ‸drop]"), "`drop` leaves nothing for the other masks"),
    "list in a list": (with_mask("[redact, [‸redact, pattern]]"), "a list stands within a list"),
    "nine masks": (with_mask("[" + "redact, " * 8 + "‸redact]"), "at most 8 masks"),
    "list both ways": (with_mask("[‸redact, pattern]", "produce, fetch"), "a list of masks at produce and fetch"),
    "keep takes nothing": (with_mask("{keep: {‸whole: true}}"), "unknown key in the mask `keep`; it takes none"),
    "redact takes no whole": (with_mask("{redact: {‸whole: true}}"), "unknown key in the mask `redact`"),
    "redact text is a number": (with_mask("{redact: {text: ‸7}}"), "`text` is a text; quote it"),
    "redact is text": (with_mask("{redact: ‸x}"), "the mask `redact` is a mapping"),
    "redact text is long": (with_mask("{redact: {text: ‸" + "x" * 1025 + "}}"), "longer than 1024"),
    "fixed without value": (with_mask("{fixed: ‸{whole: true}}"), "lacks `value`"),
    "fixed bare": (with_mask("‸fixed"), "lacks `value`"),
    "fixed null": (with_mask("{fixed: ‸null}"), "write that"),
    "fixed list": (with_mask("{fixed: {value: ‸[1]}}"), "`value` is a text, a number"),
    "fixed long number": (with_mask("{fixed: ‸" + "1" * 1025 + "}"), "longer than 1024"),
    "whole is text": (with_mask("{fixed: {value: a, whole: ‸yes}}"), "`whole` is true or false"),
    "nullify whole is a number": (with_mask("{nullify: {whole: ‸1}}"), "`whole` is true or false"),
    "drop takes nothing": (with_mask("{drop: {‸whole: true}}"), "unknown key in the mask `drop`; it takes none"),
    "drop the root": (with_field("{path: $, mask: ‸drop}"), "would leave no value"),
    "partial has no such argument": (with_mask("{partial: {‸keepLst: 4}}"), "did you mean `keepLast`?"),
    "partial negative": (with_mask("{partial: {keepLast: ‸-1}}"), "from 0 to 65535"),
    "partial too many": (with_mask("{partial: {keepFirst: ‸65536}}"), "from 0 to 65535"),
    "partial many digits": (with_mask("{partial: {keepFirst: ‸" + "9" * 500 + "}}"), "from 0 to 65535"),
    "partial fraction": (with_mask("{partial: {keepFirst: ‸1.5}}"), "from 0 to 65535"),
    "partial text": (with_mask("{partial: {keepFirst: ‸'4'}}"), "from 0 to 65535"),
    "partial char of two": (with_mask("{partial: {char: ‸'**'}}"), "exactly one printable character"),
    "partial char of none": (with_mask("{partial: {char: ‸''}}"), "exactly one printable character"),
    "partial char of two code points": (with_mask("{partial: {char: ‸'e\u0301'}}"), "exactly one printable character"),
    "partial char invisible": (with_mask('{partial: {char: ‸"\\u200b"}}'), "exactly one printable character"),
    "partial separators": (with_mask("{partial: {separators: ‸'-a'}}"), "none is a letter or digit"),
    "partial many separators": (with_mask("{partial: {separators: ‸'" + "-" * 33 + "'}}"), "longer than 32"),
    "partial hides nothing": (with_mask("{partial: {hideFirst: ‸0}}"), "from 1 to 65535"),
    "partial keeps and hides": (
        with_mask("{partial: {hideFirst: 1, keepLast: ‸4}}"),
        "`keepLast` does not go with `hideFirst` and `hideLast`",
    ),
    "partial hides a fixed length": (
        with_mask("{partial: {hideLast: 1, fixedLength: ‸4}}"),
        "`fixedLength` does not go with `hideFirst`",
    ),
    "partial that hides both ways": (
        with_mask("{‸partial: {hideFirst: 1, char: '-'}}", "produce, fetch"),
        "with a `char` that is a separator",
    ),
    "partial as": (with_mask("{partial: {as: ‸text}}"), "unknown word for `as`"),
    "hash without key": (with_mask("{hash: ‸{length: 16}}"), "lacks `key`"),
    "hash bare": (with_mask("‸hash"), "lacks `key`"),
    "hash of an undeclared key": (with_mask("{hash: {key: ‸other}}"), "declare it under `keys`"),
    "hash of a mistyped key": (with_mask("{hash: {key: ‸ppii}}"), "did you mean `pii`?"),
    "hash key is a reference": (with_mask("{hash: {key: ‸{env: PII}}}"), "`key` is the name of a key"),
    "hash short": (with_mask("{hash: {key: pii, length: ‸15}}"), "from 16 to 64"),
    "hash long": (with_mask("{hash: {key: pii, length: ‸65}}"), "from 16 to 64"),
    "hash short base64url": (with_mask("{hash: {key: pii, encoding: base64url, length: ‸10}}"), "from 11 to 43"),
    "hash long base64url": (with_mask("{hash: {key: pii, encoding: base64url, length: ‸44}}"), "from 11 to 43"),
    "hash negative": (with_mask("{hash: {key: pii, length: ‸-64}}"), "from 16 to 64"),
    "hash encoding": (with_mask("{hash: {key: pii, encoding: ‸base64}}"), "did you mean `base64url`?"),
    "hash short crockford": (with_mask("{hash: {key: pii, encoding: crockford, length: ‸12}}"), "from 13 to 52"),
    "redact number": (with_mask("{redact: {number: ‸'1'}}"), "`number` is a number of at most 40 characters"),
    "redact boolean": (with_mask("{redact: {boolean: ‸1}}"), "`boolean` is true or false"),
    "partial fixed length 0": (with_mask("{partial: {fixedLength: ‸0}}"), "from 1 to 1024"),
    "truncate bare": (with_mask("‸truncate"), "lacks `length`"),
    "truncate negative": (with_mask("{truncate: ‸-1}"), "from 0 to 1000000"),
    "truncate text": (with_mask("{truncate: ‸x}"), "from 0 to 1000000"),
    "pattern takes": (with_mask("{pattern: {‸upper: A}}"), "unknown key in the mask `pattern`"),
    "email local drop": (with_mask("{email: {local: ‸drop}}"), "makes text of text"),
    "email unknown part": (with_mask("{email: {domain: ‸scramble}}"), "unknown mask"),
    "email both ways": (with_mask("{‸email: {local: {hash: {key: pii}}}}", "produce, fetch"), "no address in its own"),
    "email with @ both ways": (
        with_mask("{‸email: {domain: {redact: {text: a@b}}}}", "produce, fetch"),
        "no address in",
    ),
    "bucket bare": (with_mask("‸bucket"), "lacks `size`"),
    "bucket size 0": (with_mask("{bucket: {size: ‸0}}"), "a number above 0"),
    "bucket size text": (with_mask("{bucket: {size: ‸'10'}}"), "a number above 0"),
    "bucket long": (with_mask("{bucket: {size: ‸" + "1" * 41 + "}}"), "at most 40 characters"),
    "bucket ends": (with_mask("{bucket: {size: 1, lowest: 5, highest: ‸4}}"), "`highest` is below `lowest`"),
    "round negative": (with_mask("{round: ‸-5}"), "a number above 0"),
    "round direction": (with_mask("{round: {to: 5, direction: ‸upp}}"), "did you mean `up`?"),
    "range bounds": (with_mask("{range: {bounds: ‸5}}"), "`bounds` is a list"),
    "range empty": (with_mask("{range: {bounds: ‸[]}}"), "the list is empty"),
    "range order": (with_mask("{range: {bounds: [1, ‸1]}}"), "put them in order"),
    "range bound text": (with_mask("{range: {bounds: [1, ‸a]}}"), "a bound is a number"),
    "range bounds without end": (
        with_mask(f"{{range: {{bounds: [{', '.join(map(str, range(1000)))}, ‸1000]}}}}"),
        "there are at most 1000 bounds; delete this one",
    ),
    "range labels no list": (with_mask("{range: {bounds: [1], labels: ‸a}}"), "`labels` is a list of texts"),
    "range labels": (with_mask("{range: {bounds: [1, 2], labels: ‸[a, b]}}"), "one label more than bounds"),
    "range label": (with_mask("{range: {bounds: [1], labels: [a, ‸2]}}"), "a label is a text"),
    "range labels both ways": (
        with_mask("{‸range: {bounds: [1], labels: [a, b]}}", "produce, fetch"),
        "would meet its own labels",
    ),
    "age top": (with_mask("{age: {top: ‸0}}"), "from 1 to 150"),
    "date bare": (with_mask("‸date"), "`date` has exactly one of `to` and `shift`"),
    "date with both": (with_mask("{‸date: {to: year, shift: 3}}"), "exactly one of `to` and `shift`"),
    "date shift without key": (with_mask("{‸date: {shift: 3, subject: $.id}}"), "a shift has a `key` and a `subject`"),
    "date shift of nothing": (
        with_mask("{date: {shift: ‸0, key: pii, subject: $.id}}"),
        "`shift` is a whole number from 1 to 36500",
    ),
    "date subject": (with_mask("{date: {shift: 3, key: pii, subject: ‸id}}"), "begins with `$`"),
    "date subject is everything": (with_mask("{date: {shift: 3, key: pii, subject: ‸$}}"), "write its path"),
    "date subject is no text": (with_mask("{date: {shift: 3, key: pii, subject: ‸7}}"), "`subject` is a text"),
    "date subject without shift": (with_mask("{date: {to: year, ‸subject: $.id}}"), "`subject` belongs to a shift"),
    "date format": (with_mask("{date: {to: year, format: '%d.%m.‸%y'}}"), "unknown directive"),
    "date format twice": (
        with_mask("{date: {to: year, format: '%Y %m ‸%B'}}"),
        "the month stands in this form already",
    ),
    "date format without year": (with_mask("{date: {to: year, format: '‸%d.%m.'}}"), "a form has a year"),
    "date format without day": (
        with_mask("{date: {shift: 3, key: pii, subject: $.id, format: ‸'%m.%Y'}}"),
        "cannot be shifted by days",
    ),
    "date shift in a list": (
        with_mask("[{truncate: 10}, {‸date: {shift: 3, key: pii, subject: $.id}}]"),
        "takes no output of a mask; write it alone",
    ),
    "date shift of a text": (
        with_value("{format: text, fields: [{path: $, mask: {‸date: {shift: 3, key: pii, subject: $.id}}}]}"),
        "a text has no other field",
    ),
    "date shift in both directions": (
        with_mask("{‸date: {shift: 3, key: pii, subject: $.id}}", "produce, fetch"),
        "would shift its own output",
    ),
    "date precision": (with_mask("{date: ‸week}"), "write one of `year`, `quarter`, `month`, `day`"),
    "date unit": (with_mask("{date: {to: year, numbers: ‸minutes}}"), "unknown word for `numbers`"),
    "zip3 restricted": (with_mask("{zip3: {restricted: ['036', ‸'03601']}}"), "the first three digits"),
    "zip3 restricted no list": (with_mask("{zip3: {restricted: ‸'036'}}"), "`restricted` is a list of three digits"),
    "zip3 restricted number": (with_mask("{zip3: {restricted: [‸36]}}"), "three digits are a text"),
    "ip all bits": (with_mask("{ip: {v4: ‸32}}"), "from 0 to 31"),
    "ip v6": (with_mask("{ip: {v6: ‸128}}"), "from 0 to 127"),
    "ip key and prefix": (with_mask("{ip: {key: pii, ‸v4: 8}}"), "with a key all bits are masked"),
    "ip domain alone": (with_mask("{ip: {‸domain: a}}"), "`domain` belongs to a key"),
    "ip key both ways": (with_mask("{‸ip: {key: pii}}", "produce, fetch"), "`ip` with a key"),
    "token without key": (with_mask("‸token"), "lacks `key`"),
    "token format": (with_mask("{token: {key: pii, format: ‸card}}"), "unknown word for `format`"),
    "token both ways": (with_mask("{‸token: {key: pii}}", "produce, fetch"), "would token its own output"),
    "pseudonym words": (with_mask("{pseudonym: {key: pii, words: ‸names}}"), "unknown word for `words`"),
    "pseudonym words in a mapping": (
        with_mask("{pseudonym: {key: pii, words: ‸{a: b}}}"),
        "`words` is the name of a list, or a list of texts",
    ),
    "pseudonym one word": (with_mask("{pseudonym: {key: pii, words: ‸[a]}}"), "so that there is a choice"),
    "pseudonym word twice": (with_mask("{pseudonym: {key: pii, words: [a, ‸A]}}"), "stands in the list already"),
    "pseudonym number": (with_mask("{pseudonym: {key: pii, words: [a, ‸1]}}"), "a word is a text"),
    "noise both": (with_mask("{‸noise: {key: pii, within: 1, percent: 1}}"), "exactly one of `within` and `percent`"),
    "noise neither": (with_mask("{‸noise: {key: pii}}"), "exactly one of `within` and `percent`"),
    "noise percent": (with_mask("{noise: {key: pii, percent: ‸101}}"), "at most 100"),
    "noise step": (with_mask("{noise: {key: pii, within: 1, step: ‸2}}"), "`step` is more than `within`"),
    "noise zero": (with_mask("{noise: {key: pii, within: ‸0}}"), "a number above 0"),
    "fpe unasked": (with_mask("{‸fpe: {key: pii}}"), "write `reversible: true` in the rule"),
    "encrypt unasked": (with_mask("{‸encrypt: {key: pii}}"), "write `reversible: true` in the rule"),
    "encrypt in a list unasked": (
        with_mask("[‸pattern, {encrypt: {key: pii}}]"),
        "write `reversible: true` in the rule",
    ),
    "encrypt in an address unasked": (
        with_mask("{‸email: {local: {encrypt: {key: pii}}}}"),
        "write `reversible: true`",
    ),
    "reversible denied": (
        with_rule("    reversible: false\n", mask="{‸fpe: {key: pii}}"),
        "write `reversible: true` in the rule",
    ),
    "reversible no switch": (with_rule("    reversible: ‸sure\n"), "`reversible` is true or false"),
    "reversible in an irreversible ruleset": (
        with_rule("    reversible: ‸true\n").replace("{name: t}", "{name: t, irreversible: true}"),
        "the ruleset is `irreversible`",
    ),
    "fpe in an irreversible ruleset": (
        with_mask("{‸fpe: {key: pii}}").replace("{name: t}", "{name: t, irreversible: true}"),
        "the ruleset is `irreversible`; write token or hash",
    ),
    "irreversible no switch": (RULE.replace("{name: t}", "{name: t, irreversible: ‸sure}"), "is true or false"),
    "fpe alphabet": (
        with_rule("    reversible: true\n", mask="{fpe: {key: pii, alphabet: ‸digit}}"),
        "did you mean `digits`?",
    ),
    "hash domain": (with_mask("{hash: {key: pii, domain: ‸'e mail'}}"), "`domain` has letters"),
    "hash domain empty": (with_mask("{hash: {key: pii, domain: ‸''}}"), "leave it out for none"),
    "hash both ways": (with_mask("{‸hash: {key: pii}}", "produce, fetch"), "would hash its own output"),
    "partial both ways": (
        with_mask("{‸partial: {keepLast: 1, char: '-'}}", "produce, fetch"),
        "with a `char` that is a separator",
    ),
    "drop by index both ways": (
        with_field("{path: '$.a[0]', mask: ‸drop}", "produce, fetch"),
        "`drop` of an array element",
    ),
    "drop beside an index both ways": (
        with_field("{path: '$.a[1]', mask: keep}, {path: '$.a[*]', mask: ‸drop}", "produce, fetch"),
        "`drop` of an array element",
    ),
}

TESTS = {
    "tests is a mapping": (with_rule("    tests: ‸{in: 1, out: 1}\n"), "`tests` is a list"),
    "no tests": (with_rule("    tests: ‸[]\n"), "the list is empty"),
    "test is text": (with_rule("    tests: [‸a]\n"), "a test is a mapping"),
    "test without in": (with_rule("    tests: [‸{out: 1}]\n"), "a test lacks `in`"),
    "test without out": (with_rule("    tests: [‸{in: 1}]\n"), "exactly one of `out`, `rejected: true`"),
    "test with two ends": (with_rule("    tests: [‸{in: 1, rejected: true, omitted: true}]\n"), "exactly one of"),
    "omitted false": (with_rule("    tests: [{in: 1, omitted: ‸false}]\n"), "write `out` instead"),
    "omitted at produce": (with_rule("    tests: [{in: 1, ‸omitted: true}]\n"), "the record is not omitted"),
    "unknown part": (with_rule("    tests: [{part: ‸keys, in: 1, out: 1}]\n"), "did you mean `key`?"),
    "key differs": (
        with_rule(
            "    key: {format: text, fields: [{path: $, mask: redact}]}\n    tests: [{part: key, in: k, out: ‸k}]\n"
        ),
        "differs here",
    ),
    "headers that are none": (
        with_rule("    headers: [{name: a, mask: redact}]\n    tests: [{part: headers, in: ‸a, out: a}]\n"),
        "headers are a mapping",
    ),
    "header that is no text": (
        with_rule("    headers: [{name: a, mask: redact}]\n    tests: [{part: headers, in: {a: ‸1}, out: {}}]\n"),
        "the value of a header is a text",
    ),
    "headers differ": (
        with_rule("    headers: [{name: a, mask: redact}]\n    tests: [{part: headers, in: {a: x}, out: {a: ‸x}}]\n"),
        "differs here",
    ),
    "rejected at fetch": (
        with_value("{fields: [{path: $.a, mask: partial}]}, onUnmaskable: omit", "fetch").removesuffix("}\n")
        + ", tests: [{in: {a: 1}, ‸rejected: true}]}\n",
        "the record is omitted (number where the mask takes text)",
    ),
    "test with both": (with_rule("    tests: [‸{in: 1, out: 1, rejected: true}]\n"), "exactly one of `out`"),
    "test with more": (with_rule("    tests: [{in: 1, out: 1, ‸outs: 1}]\n"), "did you mean `out`?"),
    "rejected false": (with_rule("    tests: [{in: 1, rejected: ‸false}]\n"), "write `out` instead"),
    "rejected text": (with_rule("    tests: [{in: 1, rejected: ‸yes}]\n"), "`rejected` is true or false"),
    "text differs": (
        with_rule("    tests: [{in: {a: x, b: y}, out: {a: ‸y, b: y}}]\n"),
        "the rule's own test fails: the masked value differs here",
    ),
    "number for text": (with_rule("    tests: [{in: {a: '1'}, out: {a: ‸1}}]\n"), "differs here"),
    "boolean for text": (with_rule("    tests: [{in: {a: 'true'}, out: {a: ‸true}}]\n"), "differs here"),
    "null for text": (with_rule("    tests: [{in: {a: 'null'}, out: {a: ‸null}}]\n"), "differs here"),
    "text for number": (with_rule("    tests: [{in: {a: 1}, out: {a: ‸'1'}}]\n"), "differs here"),
    "one for true": (with_rule("    tests: [{in: {a: true}, out: {a: ‸1}}]\n"), "differs here"),
    "other number": (with_rule("    tests: [{in: {a: 1.01}, out: {a: ‸1.010001}}]\n"), "differs here"),
    "number beyond decimals": (
        with_rule("    tests: [{in: {a: 1e99999999999999999999}, out: {a: ‸1e99999999999999999998}}]\n"),
        "differs here",
    ),
    "list for mapping": (with_rule("    tests: [{in: {a: {}}, out: {a: ‸[]}}]\n"), "differs here"),
    "mapping for list": (with_rule("    tests: [{in: {a: []}, out: {a: ‸{}}}]\n"), "differs here"),
    "member missing": (with_rule("    tests: [{in: {a: 1}, out: {a: 1, ‸b: 1}}]\n"), "no such member"),
    "member too many": (with_rule("    tests: [{in: {a: 1, b: 1}, out: ‸{a: 1}}]\n"), "more members here"),
    "elements": (with_rule("    tests: [{in: [1, 2], out: ‸[1]}]\n"), "has 2 elements here"),
    "rejected unawares": (
        with_rule("    tests: [{in: {a: 1}, ‸out: {a: 1}}]\n", mask="partial"),
        "the record is rejected (number where the mask takes text)",
    ),
    "number as a text value": (
        with_value("{format: text, fields: [{path: $, mask: keep}]}").removesuffix("}\n")
        + ", tests: [{in: ‸1, out: x}]}\n",
        "values of `format: text` are texts",
    ),
    "text value differs": (
        with_value("{format: text, fields: [{path: $, mask: keep}]}").removesuffix("}\n")
        + ", tests: [{in: x, out: ‸y}]}\n",
        "differs here",
    ),
    "JSON expected of a text": (
        with_value("{format: auto, fields: [{path: $, mask: keep}]}").removesuffix("}\n")
        + ", tests: [{in: x, out: ‸[y]}]}\n",
        "differs here",
    ),
    "not rejected": (with_rule("    tests: [{in: {a: x}, ‸rejected: true}]\n"), "the record is not rejected"),
}

CONDITIONS = {
    "no text": (with_client("‸true"), "`client` is a CEL expression; quote it"),
    "empty": (with_client("'‸'"), "ends too early"),
    "too long": (with_client("‸'" + "x" * 4097 + "'"), "longer than 4096"),
    "NUL": (with_client('"true‸\\0 && topic"'), "a control character"),
    "unknown name": (with_client('\'topic == "a" && ‸principl == "b"\''), "did you mean `principal`?"),
    "name in another form": (with_client("'‸client_id == \"b\"'"), "did you mean `clientId`?"),
    "name far from all": (with_client("'‸xyz == 1'"), "write one of `principal`, `clientId`, `topic`, `listener`"),
    "name with a dot": (with_client("'true || ‸request.user == \"b\"'"), "there is no such name"),
    "after a quote written twice": (with_client("'topic == ''a'' || ‸foo'"), "there is no such name"),
    "after escapes": (with_client('"topic == \\"\\u00e9\\" || ‸foo"'), "there is no such name"),
    "after an emoji": (with_client("'topic == \"😀\" || ‸foo'"), "there is no such name"),
    "unknown function": (with_client("'principal.‸startswith(\"a\")'"), "did you mean `startsWith`?"),
    "wrong argument": (with_client("'principal.startsWith‸(1)'"), "does not take (string, int)"),
    "number and text": (with_client("'principal ‸== 1'"), "does not take (string, int)"),
    "member of a text": (with_client("'principal‸.name == \"a\"'"), "a text has no members"),
    "text as result": (with_client("'‸principal'"), "neither"),
    "unchecked result": (with_client("'‸dyn(true)'"), "neither"),
    "one equals sign": (with_client("'principal ‸= \"a\"'"), "write `==`"),
    "and as a word": (with_client("'true ‸and false'"), "write `&&`"),
    "not as a word": (with_client("'true && not ‸false'"), "this is no CEL"),
    "open quote": (with_client("'principal == ‸\"a'"), "close the quote"),
    "open bracket": (with_client("'(principal == \"a\"‸'"), "ends too early"),
    "bare name": (with_client("'User‸:alice'"), "this is no CEL"),
    "brackets without end": (with_client("‸" + "(" * 100 + "true" + ")" * 100), "nests too deeply"),
    "what no rule is for": (with_client("'has(‸principal)'"), "CEL does not take this here"),
    "several lines": (with_client("‸>\n        topic == 'a' ||\n        foo\n", close=""), "there is no such name"),
}

PATTERN_FILE = START + "patterns: {p: {regex: x}}\n"
DIGEST = "ab" * 32
WIDE = "$" + "..*" * 12 + "..a" + ".*" * 14
ALLOWED = START.replace("{name: t}", f"{{name: t, ‸allowWeaker: {{from: {DIGEST}, reason: x}}}}")


def rules_of(*rules: tuple[str, str, str]) -> str:
    """A file of rules: each has its name, its topics, and its value, for fetch."""
    lines = [f"  - {{name: {name}, topics: {topics}, at: [fetch], value: {value}}}\n" for name, topics, value in rules]
    return HEAD + "".join(lines)


FILES = {
    "name of another ruleset": (
        {"a.yaml": RULE, "b.yaml": START.replace("name: t", "name: ‸u") + "keys: {pii: {env: PII}}\n"},
        "all files of a ruleset have one name; write `t`",
    ),
    "key twice": (
        {"a.yaml": HEAD + RULE_LINE, "b.yaml": START + "keys: {‸pii: {env: PII}}\n"},
        "a key of this name is declared at a.yaml:4",
    ),
    "pattern twice": (
        {"a.yaml": PATTERN_FILE, "b.yaml": PATTERN_FILE.replace("{p", "{‸p"), "c.yaml": RULE},
        "a pattern of this name is declared at a.yaml:4",
    ),
    "permission twice": (
        {
            "a.yaml": ALLOWED.replace("‸", "") + RULE.removeprefix(START),
            "b.yaml": ALLOWED + "keys: {o: {env: OTHER}}\n",
        },
        "another file has `allowWeaker` already",
    ),
    "markers twice": (
        {
            "a.yaml": RULE.replace("t}", "t, markers: {text: gone}}", 1),
            "b.yaml": START.replace("t}", "t, ‸markers: {text: x}}") + "keys: {pii: {env: PII}}\n",
        },
        "another file has `markers` already",
    ),
    "no rules in any": (
        {"a.yaml": "‸" + START + "keys: {o: {env: OTHER}}\n", "b.yaml": START + "keys: {pii: {env: PII}}\n"},
        "no file of the ruleset has `rules`",
    ),
    "long together": (
        {f"{number}.yaml": "‸"[number:] + "#" * 1_000_000 for number in range(5)},
        "all files together are longer than 4194304 characters",
    ),
    "paths that multiply": (
        rules_of(("‸wide", "[t]", f"{{fields: [{{path: {WIDE}, mask: redact}}, {{path: {WIDE}.c, mask: keep}}]}}")),
        "the paths of this rule multiply",
    ),
    "paths that multiply together": (
        rules_of(
            ("‸narrow", "[pay.cards]", f"{{fields: [{{path: $..a{'.*' * 10}, mask: redact}}]}}"),
            ("wide", "['pay.*']", f"{{fields: [{{path: $..b{'.*' * 10}, mask: nullify}}]}}"),
        ),
        "the paths of all rules for one of these topics multiply",
    ),
    "formats that meet": (
        rules_of(
            ("texts", "['t*']", "{format: text, fields: [{path: $, mask: redact}]}"),
            ("‸json", "[ty]", "{fields: [{path: $.a, mask: redact}]}"),
        ),
        "some of the rules for one topic have `format: text`, others not",
    ),
    "detectors without end": (
        with_patterns(f"{{{', '.join(f'p{number}: {{regex: x}}' for number in range(33))}}}").replace(
            RULE_LINE,
            "  - {name: ‸r, topics: [t], at: [fetch], value: {fields: ["
            + ", ".join(f"{{detect: [p{number}], mask: redact}}" for number in range(33))
            + "]}}\n",
        ),
        "more than 32 fields with `detect` meet on one of these topics",
    ),
}

CASES: dict[str, tuple[str | dict[str, str], str]] = {
    f"{section}: {name}": case
    for section, cases in {
        "yaml": YAML, "head": HEADS, "markers": MARKERS, "keys": KEYS, "rule": RULES, "value": VALUES, "path": PATHS, "mask": MASKS,
        "test": TESTS, "when": CONDITIONS, "files": FILES,
    }.items()
    for name, case in cases.items()
}  # fmt: skip


@pytest.mark.parametrize(("marked", "message"), CASES.values(), ids=CASES)
def test_reports_one_fault_at_its_place(marked: str | dict[str, str], message: str) -> None:
    assert_one_fault(marked, message, resolve)
