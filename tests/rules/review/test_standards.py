"""What the standards refuse, each with its clause, and what they let pass."""

from __future__ import annotations

import pytest

from support.rule_faults import assert_one_fault
from wiremask.rules import RuleSetInvalid, compile_ruleset
from wiremask.rules.model.datakinds import BRANDS, KINDS, kind_by_name
from wiremask.rules.model.selector import read_path
from wiremask.rules.review.findings import find
from wiremask.rules.review.readers import are_disjoint
from wiremask.rules.review.standards import TRUNCATION

ALL = "[pci-dss, hipaa-safe-harbor]"


def ruleset(*rules: str, standards: str = "[pci-dss]") -> str:
    return (
        f"apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {{name: t, standards: {standards}}}\n"
        "keys: {k: {env: K}}\nrules:\n" + "".join(rules)
    )


def rule(
    data: str, mask: str, *, name: str = "r", topics: str = "[t]", at: str = "[produce]", more: str = "", mark: str = ""
) -> str:
    field = f"{{path: {mark}$.v, data: {data}, mask: {mask}}}"
    return f"  - {{name: {name}, topics: {topics}, at: {at}, {more}value: {{fields: [{field}]}}, reversible: true}}\n"


def client(condition: str) -> str:
    return f"when: {{client: '{condition}'}}, "


def finding(detect: str, mask: str, *, at: str = "[produce]", mark: str = "‸", data: str = "") -> str:
    field = f"{{detect: {mark}[{detect}], {data}mask: {mask}}}"
    return f"  - {{name: f, topics: [t], at: {at}, value: {{fields: [{field}]}}}}\n"


def header(data: str, mask: str) -> str:
    return f"  - {{name: h, topics: [t], at: [produce], headers: [{{name: ‸a, data: {data}, mask: {mask}}}]}}\n"


FRAUD, OTHERS = client('principal == "User:fraud"'), client('principal != "User:fraud"')

ALLOWED = {
    "card redacted": rule("pan", "redact"),
    "card truncated": rule("pan", "{partial: {keepFirst: 6, keepLast: 4}}"),
    "card cut": rule("pan", "{truncate: 6}"),
    "visa truncated": rule("{pan: [visa]}", "{partial: {keepFirst: 8, keepLast: 4}}"),
    "card hashed": rule("pan", "{hash: {key: k}}"),
    "card hashed to 128 bits": rule("pan", "{hash: {key: k, length: 32}}"),
    "card hashed, then cut": rule("pan", "[{hash: {key: k}}, {truncate: 20}]"),
    "card as token": rule("pan", "{token: {key: k, format: pan, keepFirst: 6, keepLast: 4}}"),
    "card encrypted": rule("pan", "{encrypt: {key: k}}"),
    "card by fpe": rule("pan", "{fpe: {key: k}}"),
    "card pattern": rule("pan", "pattern"),
    "card seen by who needs it": rule("pan", "keep", at="[fetch]", more=FRAUD),
    "code dropped": rule("cvv", "drop"),
    "code fixed": rule("cvv", "{fixed: x}"),
    "code cut to nothing": rule("cvv", "{truncate: 0}"),
    "code in history": rule("cvv", "redact", name="a") + rule("cvv", "drop", name="b", at="[fetch]"),
    "code removed at produce for some topics, and for all": rule("cvv", "redact", name="a", topics='["*"]')
    + rule("cvv", "drop", name="b", topics='["t*"]', at="[fetch]", more=FRAUD),
    "hash and truncation of one field": rule("pan", "{hash: {key: k}}", name="a", at="[fetch]", more=FRAUD)
    + rule("pan", "{partial: {keepLast: 4}}", name="b", at="[fetch]"),
    "hash and truncation for others": rule("pan", "{hash: {key: k}}", name="a", at="[fetch]", more=FRAUD)
    + rule("pan", "{partial: {keepLast: 4}}", name="b", topics="[u]", at="[fetch]", more=OTHERS),
    "hash and hash": rule("pan", "{hash: {key: k}}", name="a")
    + rule("pan", "{hash: {key: k}}", name="b", topics="[u]"),
    "card that is found and truncated": finding("card, jwt", "{partial: {keepFirst: 6, keepLast: 4}}", mark=""),
    "visa that is found and truncated": finding(
        "card", "{partial: {keepFirst: 8, keepLast: 4}}", mark="", data="data: {pan: [visa]}, "
    ),
    "what is found is of another standard": finding("us-ssn", "{partial: {keepLast: 4}}", mark=""),
    "code in a header dropped": header("cvv", "drop").replace("‸", ""),
    "data that no standard speaks of here": rule("ssn", "{partial: {keepLast: 4}}"),
}


@pytest.mark.parametrize("text", ALLOWED.values(), ids=ALLOWED)
def test_pci_dss_lets_pass(text: str) -> None:
    assert compile_ruleset({"r.yaml": ruleset(text)}, None).metadata.standards == {"pci-dss"}


REFUSED = {
    "card that is found": (finding("card", "{partial: {keepFirst: 8, keepLast: 4}}"), "at most the first 6 and last 4"),
    "card that is found among others": (finding("email, card, iban", "{truncate: 7}"), "PCI DSS 3.5.1 (FAQ 1091)"),
    "card that is found and hashed, and cut elsewhere": (
        finding("card", "{hash: {key: k}}", mark="") + rule("pan", "{partial: {keepLast: 4}}", topics="[u]", mark="‸"),
        "(FAQ 1308): rule f shows a hash of card numbers",
    ),
    "card that is found by some, and cut by who finds none": (
        finding("card", "{hash: {key: k}}", mark="", at="[fetch]")
        + rule("pan", "{partial: {keepLast: 4}}", at="[fetch]", mark="‸"),
        "(FAQ 1308): rule f shows a hash of card numbers",
    ),
    "card in a header": (header("pan", "{partial: {keepFirst: 7}}"), "FAQ 1091"),
    "code in a header": (header("cvv", "{hash: {key: k}}"), "3.3.1: cvv is not kept"),
    "card stored in clear": (rule("pan", "keep", mark="‸"), "PCI DSS 3.5.1: a card number is not stored in clear"),
    "card shown to everybody": (rule("pan", "keep", at="[fetch]", mark="‸"), "PCI DSS 3.4.1: nobody sees a whole card"),
    "card of any brand": (
        rule("pan", "{partial: {keepFirst: 8, keepLast: 4}}", mark="‸"),
        "at most the first 6 and last 4 digits stay; write keepFirst: 6, keepLast: 4, or name the brands",
    ),
    "card of two brands": (
        rule("{pan: [amex, visa]}", "{partial: {keepFirst: 8, keepLast: 4}}", mark="‸"),
        "(FAQ 1091): of this card number at most the first 6 and last 4",
    ),
    "visa beyond its table": (
        rule("{pan: [visa]}", "{partial: {keepFirst: 9, keepLast: 4}}", mark="‸"),
        "at most the first 8 and last 4 digits stay; write keepFirst: 8, keepLast: 4",
    ),
    "card's last five": (rule("pan", "{partial: {keepLast: 5}}", at="[fetch]", mark="‸"), "PCI DSS 3.4.1 (FAQ 1091)"),
    "card cut too late": (rule("pan", "{truncate: 7}", mark="‸"), "PCI DSS 3.5.1 (FAQ 1091)"),
    "card cut in a list": (rule("pan", "[{truncate: 12}, pattern]", mark="‸"), "PCI DSS 3.5.1 (FAQ 1091)"),
    "token that keeps too much": (rule("pan", "{token: {key: k, keepLast: 6}}", mark="‸"), "FAQ 1091"),
    "hash of a part": (
        rule("pan", "[{truncate: 6}, {hash: {key: k}}]", mark="‸"),
        "PCI DSS 3.5.1.1: a hash is of the entire card number",
    ),
    "short hash": (rule("pan", "{hash: {key: k, length: 31}}", mark="‸"), "3.5.1.1: a hash of a card number has at"),
    "no way to hide a card": (rule("pan", "{round: 1000}", mark="‸"), "none that makes a card number unreadable"),
    "code kept": (rule("cvv", "keep", mark="‸"), "PCI DSS 3.3.1: cvv is not kept"),
    "code masked": (rule("cvv", "{partial: {keepLast: 1}}", mark="‸"), "3.3.1: cvv is not kept"),
    "code hashed": (rule("pin", "{hash: {key: k}}", mark="‸"), "3.3.1: pin is not kept"),
    "track encrypted": (rule("track", "{encrypt: {key: k}}", mark="‸"), "3.3.1: track is not kept"),
    "code stored": (rule("cvv", "drop", at="[fetch]", mark="‸"), "3.3.1: cvv is not stored, whoever sends it"),
    "code stored for some": (rule("cvv", "drop", more=OTHERS, mark="‸"), "3.3.1: cvv is not stored"),
    "code stored in some topics": (
        rule("cvv", "drop", name="a") + rule("cvv", "drop", name="b", topics='["t*"]', at="[fetch]", mark="‸"),
        "3.3.1: cvv is not stored",
    ),
    "hash and truncation": (
        rule("pan", "{hash: {key: k}}", name="a")
        + rule("pan", "{partial: {keepLast: 4}}", name="b", topics="[u]", mark="‸"),
        "(FAQ 1308): rule a shows a hash of card numbers",
    ),
    "hash and truncation for readers that may be one": (
        rule("pan", "{hash: {key: k}}", name="a", at="[fetch]", more=client('principal.startsWith("User:a")'))
        + rule("pan", "{partial: {keepLast: 4}}", name="b", topics="[u]", at="[fetch]", more=OTHERS, mark="‸"),
        "FAQ 1308",
    ),
}

HIPAA_ALLOWED = [
    ("zip", "zip3"),
    ("zip", "redact"),
    ("date", "{date: year}"),
    ("birth-date", "redact"),
    ("age", "age"),
    ("age", "{age: {top: 80}}"),
    ("age", "{bucket: {size: 10, highest: 90}}"),
    ("age", "{range: {bounds: [0, 18, 90]}}"),
    ("ssn", "drop"),
    ("name", "[{truncate: 3}, redact]"),
]


@pytest.mark.parametrize(("data", "mask"), HIPAA_ALLOWED)
def test_safe_harbor_lets_pass(data: str, mask: str) -> None:
    compile_ruleset({"r.yaml": ruleset(rule(data, mask), standards="[hipaa-safe-harbor]")}, None)


HIPAA_REFUSED = [
    ("zip", "{partial: {keepFirst: 3}}", "(B)"),
    ("zip", "keep", "(B)"),
    ("address", "{truncate: 3}", "(B)"),
    ("date", "{date: quarter}", "(C)"),
    ("date", "{truncate: 7}", "(C)"),
    ("birth-date", "{date: year}", "(C)"),
    ("age", "keep", "(C)"),
    ("age", "{age: {top: 95}}", "(C)"),
    ("age", "{bucket: {size: 10}}", "(C)"),
    ("age", "{range: {bounds: [0, 18, 95]}}", "(C)"),
    ("name", "{pseudonym: {key: k, words: cities}}", "(A)"),
    ("ssn", "{hash: {key: k}}", "(G)"),
    ("pan", "{partial: {keepLast: 4}}", "(J)"),
    ("ip", "ip", "(O)"),
    ("identifier", "{encrypt: {key: k}}", "(R)"),
]

FAULTS = {
    "unknown kind": ("‸panne", "did you mean `pan`?"),
    "list": ("‸[pan]", "`data` is a word such as pan"),
    "unknown key": ("{pan: [visa], ‸pane: [visa]}", "did you mean `pan`?"),
    "unknown brand": ("{pan: [‸viza]}", "did you mean `visa`?"),
    "brands no list": ("{pan: ‸visa}", "`pan` is a list of card brands"),
}

FOUND_REFUSED = [
    ("us-ssn", "{partial: {keepLast: 4}}", "(G)"),
    ("email", "{hash: {key: k}}", "(F)"),
    ("phone", "pattern", "(D)"),
    ("ipv4", "ip", "(O)"),
    ("mac", "{truncate: 8}", "(M)"),
    ("iban", "{token: {key: k, format: iban}}", "(J)"),
    ("us-zip", "{truncate: 4}", "(B)"),
    ("birth-date", "{date: year}", "(C)"),
]

CASES = {
    **{f"PCI DSS: {name}": (ruleset(text), message) for name, (text, message) in REFUSED.items()},
    **{
        f"Safe Harbor: {data} {mask}": (
            ruleset(rule(data, mask, mark="‸"), standards="[hipaa-safe-harbor]"),
            f"45 CFR 164.514(b)(2)(i){letter}: ",
        )
        for data, mask, letter in HIPAA_REFUSED
    },
    **{
        f"Safe Harbor: found {detect} {mask}": (
            ruleset(finding(detect, mask), standards="[hipaa-safe-harbor]"),
            f"45 CFR 164.514(b)(2)(i){letter}: ",
        )
        for detect, mask, letter in FOUND_REFUSED
    },
    **{f"data: {name}": (ruleset(rule(data, "redact")), message) for name, (data, message) in FAULTS.items()},
}


@pytest.mark.parametrize(("marked", "message"), CASES.values(), ids=CASES)
def test_refuses_and_cites_the_clause(marked: str, message: str) -> None:
    assert_one_fault(marked, message)


def test_without_a_standard_nothing_is_judged() -> None:
    text = ruleset(rule("cvv", "keep"), rule("ssn", "keep", name="s")).replace(", standards: [pci-dss]", "")

    assert compile_ruleset({"r.yaml": text}, None).rules[0].fields[0].data is not None


def test_both_standards_are_judged_together() -> None:
    text = ruleset(rule("pan", "keep"), standards=ALL)

    with pytest.raises(RuleSetInvalid) as refused:
        compile_ruleset({"r.yaml": text}, None)

    assert [error.message.split(":")[0] for error in refused.value.errors] == [
        "45 CFR 164.514(b)(2)(i)(J)",
        "PCI DSS 3.5.1",
    ]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("$.card.cvv", "cvv"),
        ("$.cards[*].card_number", "pan"),
        ("$..SSN", "ssn"),
        ("$.date-of-birth", "birth-date"),
        ("$['a','zip']", "zip"),
        ("$.spending", None),
        ("$[*]", None),
    ],
)
def test_a_name_tells_what_a_field_probably_holds(path: str, kind: str | None) -> None:
    written = "$['date-of-birth']" if "date-of" in path else path

    assert kind_by_name(read_path(written)) == kind


@pytest.mark.parametrize("mask", ["redact", "zip3"])
def test_safe_harbor_lets_pass_what_is_found_and_removed(mask: str) -> None:
    compile_ruleset({"r.yaml": ruleset(finding("us-zip", mask, mark=""), standards="[hipaa-safe-harbor]")}, None)


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("key: {fields: [{path: $.ssn, mask: {hash: {key: k}}}]}", "key $.ssn"),
        ("headers: [{name: SSN, mask: pattern}]", "header SSN"),
        ('headers: [{name: "ssn*", mask: pattern}, {name: "*", mask: pattern}]', None),
    ],
    ids=["key", "header", "globs"],
)
def test_check_warns_of_keys_and_headers_that_a_standard_probably_speaks_of(part: str, name: str | None) -> None:
    text = ruleset(f"  - {{name: r, topics: [t], at: [fetch], {part}}}\n", standards="[hipaa-safe-harbor]")

    found = [one.message for one in find(compile_ruleset({"r.yaml": text}, None)) if one.code == "data"]

    assert [message.split(" of rule")[0] for message in found] == ([f"by its name, {name}"] if name else [])


def test_check_warns_of_a_field_that_a_standard_speaks_of_and_that_does_not_say_so() -> None:
    text = ruleset(rule("pan", "redact").replace("$.v, data: pan", "$.card.cvv"))

    (finding,) = find(compile_ruleset({"r.yaml": text}, None))

    assert (finding.kind, finding.code, finding.line) == ("warning", "data", 6)
    assert "may be a card's verification code; write `data: cvv`, so that pci-dss is checked" in finding.message
    assert find(compile_ruleset({"r.yaml": text.replace("[pci-dss]", "[hipaa-safe-harbor]")}, None)) == ()


@pytest.mark.parametrize(
    ("one", "other", "disjoint"),
    [
        ('principal == "a"', 'principal == "b"', True),
        ('principal == "a"', 'principal == "a"', False),
        ('principal == "a"', 'principal != "a"', True),
        ('principal != "a"', 'principal != "b"', False),
        ('principal in ["a", "b"]', "principal == 'c'", True),
        ('principal in ["a", "b"]', '!(principal in ["a", "b", "c"])', True),
        ('principal in ["a", "b"]', '!(principal in ["a"])', False),
        ('principal == "a" || true', 'principal == "b"', False),
        ('principal == "a"', None, False),
    ],
)
def test_two_conditions_are_known_to_mean_different_readers(one: str, other: str | None, disjoint: bool) -> None:
    assert are_disjoint(one, other) is disjoint
    assert are_disjoint(other, one) is disjoint


def test_tables_name_the_same_brands_and_every_letter_of_the_rule() -> None:
    assert set(TRUNCATION) == set(BRANDS)
    assert {kind.letter for kind in KINDS.values() if kind.letter} == set("ABCDEFGHIJKLMNOPQR")
