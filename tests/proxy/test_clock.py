"""A wall clock that jumps: nothing that the proxy decides on its own asks it."""

from __future__ import annotations

import ast
import itertools
import os
import re
import time
from pathlib import Path

import pytest

from support.batches import read_batches, write_batch
from support.requests import fetch_frame, plain_frame, produce_frame, read_fetched, read_produced
from support.rulefolder import RuleFolder, rule, ruleset
from support.scripted import fetched, produced, proxied, rules_text
from wiremask.proxy.health import Health
from wiremask.proxy.reload import RulesConfig, RuleSource

ROOT = Path(__file__).resolve().parents[2]
YEARS_S = 10 * 365 * 24 * 3600
SSN = b"123-45-6789"
LIST_GROUPS = 16

WALL_CLOCK = {
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "localtime"),
    ("time", "gmtime"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
}
COMPILED = {".pyx", ".pxd", ".h"}
CLOCK_IN_C = re.compile(r"\b(time|ctime|clock|gettimeofday|clock_gettime)\(|\bc?import (date)?time\b|libc\.time")
READERS = {
    "proxy/health.py": "since when rules are at work, as /readyz shows it",
    "proxy/reload.py": "the same",
    "proxy/tls.py": "how long a certificate still lasts, as a metric",
    "proxy/sasl/bearer.py": "how long an access token still lasts, which its issuer says in wall time",
    "proxy/webhook/certificates.py": "from when to when the webhook's own certificate is valid",
}


def reads_wall_clock(path: Path) -> bool:
    """Whether a Python file calls one of these."""
    return any(
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in WALL_CLOCK
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )


def test_only_what_shows_time_or_judges_a_token_reads_the_wall_clock() -> None:
    files = [path for folder in ("protocol", "rules", "proxy") for path in (ROOT / folder).rglob("*.py")]

    assert {str(path.relative_to(ROOT)) for path in files if reads_wall_clock(path)} == set(READERS)


def test_compiled_files_read_no_clock() -> None:
    files = [path for folder in ("protocol", "rules") for path in (ROOT / folder).rglob("*") if path.suffix in COMPILED]

    assert len(files) > 5
    assert [path.name for path in files if CLOCK_IN_C.search(path.read_text(encoding="utf-8"))] == []


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the wall clock is ten years before or after the one before."""
    jumps = itertools.cycle([0, YEARS_S, -YEARS_S])
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))


@pytest.mark.usefixtures("jumping")
async def test_connections_and_masks_go_on_while_the_clock_jumps() -> None:
    records = write_batch([b'{"ssn":"123-45-6789"}'])
    async with proxied(rules_text("produce, fetch"), idle_seconds=600, login_seconds=600) as stage:
        client = await stage.connect()

        for _ in range(20):
            await client.send(produce_frame("payments", records))
            asked = await stage.broker.asked()
            await stage.broker.answer(asked, produced(9, {"payments": {0: 0}}))
            told = await client.read()
            await client.send(fetch_frame("payments", version=11))
            await stage.broker.answer(await stage.broker.asked(), fetched(11, {"payments": {0: records}}))
            read = await client.read()

            assert told is not None
            assert read is not None
            assert read_produced(told, 9)[0].error_code == 0
            assert SSN not in asked.frame
            (batch,) = read_batches(read_fetched(read, 11)[0].records)
            assert batch.records[0].value == b'{"ssn":"[redacted]"}'
        assert len(stage.shared.open) == 1


@pytest.mark.usefixtures("jumping")
async def test_an_idle_connection_is_closed_after_its_time_and_not_before() -> None:
    async with proxied(idle_seconds=0.4) as stage:
        client = await stage.connect()

        await client.send(plain_frame(LIST_GROUPS, 2))
        await stage.broker.answer(await stage.broker.asked(), b"\x00" * 10)
        answer = await client.read()
        ended = await client.read()

        assert answer is not None
        assert ended is None


@pytest.mark.parametrize("age_s", [YEARS_S, -YEARS_S], ids=["older", "from the future"])
async def test_rules_are_taken_whatever_time_their_file_has(age_s: int, tmp_path: Path) -> None:
    rules = RuleFolder(tmp_path / "rules")
    rules.write(ruleset(rule("one", "one", {"$.ssn": "redact"})))
    source = RuleSource(RulesConfig(path=rules.path), json_depth=64, health=Health(), env={})

    rules.write(
        ruleset(rule("one", "one", {"$.ssn": "redact"}), rule("two", "two", {"$.ssn": "redact"})), name="rules.yaml"
    )
    then = time.time() - age_s
    os.utime(rules.path / "rules.yaml", (then, then))

    assert await source.reload() == "applied"
    assert len(source.current.plan.rules) == 2
