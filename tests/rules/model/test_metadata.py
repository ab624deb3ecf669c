from __future__ import annotations

import pytest

from support.rule_faults import assert_one_fault
from wiremask.rules import compile_ruleset
from wiremask.rules.model.metadata import AllowWeaker

RULES = "rules: [{name: r, topics: [t], at: [produce], value: {fields: [{path: $.a, mask: redact}]}}]\n"
DIGEST = "ab" * 32


def ruleset(metadata: str) -> str:
    return f"apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {metadata}\n{RULES}"


FAULTS = {
    "standards no list": ("{name: t, standards: ‸pci-dss}", "`standards` is a list"),
    "unknown standard": ("{name: t, standards: [‸pcidss]}", "did you mean `pci-dss`?"),
    "standard twice": ("{name: t, standards: [pci-dss, ‸pci-dss]}", "stands in the list already"),
    "permission no mapping": ("{name: t, allowWeaker: ‸true}", "`allowWeaker` is a mapping"),
    "permission without reason": (f"{{name: t, allowWeaker: ‸{{from: {DIGEST}}}}}", "lacks `reason`"),
    "permission with an empty reason": (f'{{name: t, allowWeaker: {{from: {DIGEST}, reason: ‸" "}}}}', "is empty"),
    "permission with a number for a reason": (
        f"{{name: t, allowWeaker: {{from: {DIGEST}, reason: ‸7}}}}",
        "`reason` is a text that says why less is masked; quote it",
    ),
    "permission from no digest": ("{name: t, allowWeaker: {from: ‸abc, reason: x}}", "`from` is the digest"),
    "mistyped": (f"{{name: t, ‸allowWeeker: {{from: {DIGEST}, reason: x}}}}", "did you mean `allowWeaker`?"),
    "mistyped within": (f"{{name: t, allowWeaker: {{‸form: {DIGEST}, from: {DIGEST}, reason: x}}}}", "mean `from`?"),
}

CASES = {name: (ruleset(metadata), message) for name, (metadata, message) in FAULTS.items()}


@pytest.mark.parametrize(("marked", "message"), CASES.values(), ids=CASES)
def test_reports_a_fault_of_the_metadata_at_its_place(marked: str, message: str) -> None:
    assert_one_fault(marked, message)


def test_metadata_of_all_files_counts_together() -> None:
    files = {
        "a.yaml": ruleset("{name: t, standards: [pci-dss]}"),
        "b.yaml": ruleset(
            f"{{name: t, irreversible: true, standards: [hipaa-safe-harbor], allowWeaker: {{from: {DIGEST}, reason: x}}}}"
        ).replace("name: r,", "name: s,"),
    }

    metadata = compile_ruleset(files, None).metadata

    assert metadata.name == "t"
    assert metadata.irreversible
    assert metadata.standards == {"pci-dss", "hipaa-safe-harbor"}
    assert metadata.allow_weaker == AllowWeaker(digest=DIGEST, reason="x")
