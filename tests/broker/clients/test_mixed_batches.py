"""A batch of good and bad records is refused as a whole, by a broker too; what each client is told of each record.

On the broker the bad record is one without a key for a compacted topic; in the proxy one that a rule cannot read.
"""

from __future__ import annotations

import itertools
import os
import re
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
MIXED = ("aiokafka", "confluent", "kafka-python-3", "kafka-python-2.3", "java-4.4", "java-4.3", "java-3.9")
BAD = 2
RECORDS = [record(number) for number in range(4)]
RECORDS[BAD] = record(BAD, key=None, value="this is no JSON")

Mix = Callable[[Program, str], list[list[str]]]

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def mix(kafka: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mix]:
    """Has a program send the records, `direct` or `through` a proxy; each once."""
    rules = ruleset(rule("reads-json", "mixed-*", {"$.ssn": "redact"}))
    proxy = ProxyProcess(home=tmp_path_factory.mktemp("mixing"), upstream=kafka.bootstrap, rules=rules)

    @cache
    def run(program: Program, way: str) -> list[list[str]]:
        stem, config = ("compacted", {"cleanup_policy": "compact"}) if way == "direct" else ("mixed", {})
        topic = kafka.create_topic(f"{stem}-{program.name}-{os.getpid()}-{next(_numbers)}", **config)
        bootstrap = kafka.bootstrap if way == "direct" else proxy.bootstrap
        (told,) = program.run(bootstrap, [{"do": "mix", "topic": topic, "records": RECORDS}])
        assert kafka.segments(topic)[0] == b"", "something of the batch was stored"
        return [list(outcome) for outcome in told]

    try:
        proxy.start()
        yield run
        assert proxy.terminate() == 0
    finally:
        proxy.dispose()


@pytest.mark.parametrize("name", MIXED)
def test_a_client_is_told_of_each_record_what_a_broker_would_tell_it(
    name: str, available: Callable[[str], Program], mix: Mix
) -> None:
    program = available(name)

    by_broker, by_proxy = mix(program, "direct"), mix(program, "through")

    assert len(by_proxy) == len(RECORDS)
    assert "ok" not in {error for error, _ in by_broker}
    assert [error for error, _ in by_proxy] == [error for error, _ in by_broker]
    assert points_to_the_bad_one(by_proxy) == points_to_the_bad_one(by_broker)


@pytest.mark.parametrize("name", MIXED)
def test_the_readme_tells_what_each_client_is_told(name: str, available: Callable[[str], Program], mix: Mix) -> None:
    told = mix(available(name), "through")

    good, bad = told[0][0], told[BAD][0]
    assert told_in_readme()[name] == (f"`{good}`", f"`{bad}`", "yes" if points_to_the_bad_one(told) else "no")


def points_to_the_bad_one(told: list[list[str]]) -> bool:
    """Whether name or text of its error sets the bad record apart from all others, which are told alike."""
    others = [outcome for place, outcome in enumerate(told) if place != BAD]
    return told[BAD] not in others and all(outcome == others[0] for outcome in others)


def told_in_readme() -> dict[str, tuple[str, str, str]]:
    """The rows of the table on mixed batches, by the names of the programs."""
    _, _, text = README.read_text(encoding="utf-8").partition("| client | the good records |")
    rows = {}
    for line in text.partition("\n\n")[0].splitlines():
        names, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3:
            rows.update(dict.fromkeys(re.findall(r"`([^`]+)`", names), tuple(cells)))
    return rows
