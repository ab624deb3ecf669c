"""What becomes of a producer after a refused record: through the proxy the same as directly on a broker, for each client.

On the broker a record without a key is refused by a compacted topic; in the proxy one that a rule cannot read. Both are
INVALID_RECORD. What a library then does is its own affair, and not always what its user hopes; README.md tells it, and the
last test here holds the README to it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from support.kafka import KafkaCluster
from support.programs import Program
from support.proxy import ProxyProcess
from support.rulefolder import rule, ruleset
from support.workload import record

pytestmark = [pytest.mark.broker, pytest.mark.timeout(1200)]

README = Path(__file__).parents[3] / "README.md"
MODES = ("plain", "idempotent", "transactional")
GOOD, BAD = record(1), record(2, key=None, value="this is no JSON")

Outcomes = dict[str, dict[str, str]]
"""For each kind of producer what came of each attempt."""

Refuse = Callable[[Program, str], Outcomes]

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def refuse(kafka: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refuse]:
    """Has a program send `BAD` between good records, `direct` or `through` a proxy; each once."""
    rules = ruleset(rule("reads-json", "refused-*", {"$.ssn": "redact"}))
    proxy = ProxyProcess(home=tmp_path_factory.mktemp("refusing"), upstream=kafka.bootstrap, rules=rules)

    @cache
    def run(program: Program, way: str) -> Outcomes:
        stem, config = ("compacted", {"cleanup_policy": "compact"}) if way == "direct" else ("refused", {})
        topic = kafka.create_topic(f"{stem}-{program.name}-{os.getpid()}-{next(_numbers)}", **config)
        steps = [
            {"do": "refuse", "mode": mode, "topic": topic, "good": GOOD, "bad": BAD, "id": f"{topic}-{mode}"}
            for mode in MODES
        ]
        told = program.run(kafka.bootstrap if way == "direct" else proxy.bootstrap, steps)
        return {mode: dict(outcomes) for mode, outcomes in zip(MODES, told, strict=True)}

    try:
        proxy.start()
        yield run
        assert proxy.terminate() == 0
    finally:
        proxy.dispose()


@pytest.mark.parametrize("mode", MODES)
def test_a_producer_fares_the_same_after_a_refusal_by_the_proxy_and_by_a_broker(
    program: Program, mode: str, refuse: Refuse
) -> None:
    by_broker, by_proxy = refuse(program, "direct")[mode], refuse(program, "through")[mode]

    assert by_broker["before"] == "ok"
    assert by_broker["refused"] != "ok"
    assert by_broker["new producer"] == "ok"
    assert by_proxy == by_broker


def test_the_readme_tells_how_each_client_fares(program: Program, refuse: Refuse) -> None:
    outcomes = refuse(program, "through")

    verdicts = [_verdict(outcomes["plain"]), _verdict(outcomes["idempotent"]), _verdict(outcomes["transactional"])]

    assert _told_in_readme()[program.name] == verdicts


def _verdict(outcomes: dict[str, str]) -> str:
    """One line for the README."""
    if "commit" not in outcomes:
        fine = outcomes["after"] == outcomes["after that"] == "ok"
        return "goes on" if fine else "needs a new producer"
    fine = outcomes["next transaction"] == "ok"
    if outcomes["commit"] == "ok":
        return "commits the others" if fine and outcomes["after"] == "ok" else "commits, then needs a new producer"
    assert outcomes["abort"] == "ok"
    if fine:
        return "must abort, then goes on"
    return "must abort twice, then goes on" if outcomes["one more"] == "ok" else "must abort, then needs a new producer"


def _told_in_readme() -> dict[str, list[str]]:
    """The rows of the table, by the names of the programs."""
    lines = README.read_text("utf-8").splitlines()
    start = lines.index("| client | plain producer | idempotent producer | transaction |")
    rows = {}
    for line in itertools.takewhile(bool, lines[start + 2 :]):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for name in cells[0].split("`")[1::2]:
            rows[name] = cells[1:]
    return rows
