"""The demo from end to end, as a user in a pipe sees it, and what it finds when something is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

import wiremask
from support.kafka import KafkaCluster
from support.wait import eventually
from wiremask.proxy.demo.journey import Journey, find_faults, first_records

HANG_S = 120
"""No statement about its speed, which `make bench` reports: only a demo that hangs takes so long."""

SENT = first_records()[0]
STORED = SENT.replace(b"987-65-4320", b"***-**-4320").replace(b"4111 1111 1111 1111", b"**** **** **** 1111")
READ = STORED.replace(b"Ada Example", b"A** *******").replace(b"ada@example.com", b"[redacted]")


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "wiremask", "demo", *arguments]


def _environment(folder: Path) -> dict[str, str]:
    # A user's own settings, of a proxy and of colours, must not matter; temporary files go where the test can look.
    clean = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
    return {**clean, "TMPDIR": str(folder), "WIREMASK_ADMIN__ADDRESS": "127.0.0.1:1", "PYTHONIOENCODING": "utf-8"}


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        encoding="utf-8",
        env=_environment(folder),
        timeout=HANG_S,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def _processes_of(folder: Path) -> list[int]:
    """Processes that have a path in `folder` on their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(folder) in argument for argument in process.cmdline()):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One run of the demo in a pipe; `folder` is where its temporary files were."""

    run: subprocess.CompletedProcess[str]
    folder: Path


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """The demo on its embedded broker."""
    folder = tmp_path_factory.mktemp("demo")
    return Shown(run=_run(folder, *_command()), folder=folder)


def test_shows_records_masked_on_the_broker_and_for_the_reader(shown: Shown) -> None:
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.run.stdout.splitlines() if "│" in line]

    assert ["name", "Ada Example", "Ada Example", "A** *******"] in rows
    assert ["e-mail", "ada@example.com", "ada@example.com", "[redacted]"] in rows
    assert ["ssn", "987-65-4320", "***-**-4320", "***-**-4320"] in rows
    assert ["card", "4111 1111 1111 1111", "**** **** **** 1111", "**** **** **** 1111"] in rows
    assert ["amount", "1250.00", "1250.00", "1250.00"] in rows


def test_shows_a_changed_rule_acting_while_the_proxy_runs(shown: Shown) -> None:
    before, _, after = shown.run.stdout.partition("A rule changes")

    assert "│ ssn    │ 987-65-4322          │ ***-**-4322 " in before
    assert "│ ssn    │ 987-65-4323          │ [redacted] " in after


def test_ends_well_and_says_what_it_verified(shown: Shown) -> None:
    assert (shown.run.returncode, shown.run.stderr) == (0, "")
    assert "Verified on 4 records" in shown.run.stdout


def test_writes_no_colours_into_a_pipe_and_leaves_nothing_behind(shown: Shown) -> None:
    assert "\x1b" not in shown.run.stdout
    assert list(shown.folder.iterdir()) == []
    assert _processes_of(shown.folder) == []


def test_rules_that_it_shows_can_be_saved_and_used(shown: Shown, tmp_path: Path) -> None:
    text = shown.run.stdout.partition("The rules\n")[2].partition("\n\n")[0]
    (tmp_path / "demo.yaml").write_text("\n".join(line[2:] for line in text.splitlines()))

    masking = wiremask.load(tmp_path)

    masked = masking.mask("customers", "produce", None, b'{"customer": {"ssn": "987-65-4320"}}', [])
    assert masked.value == b'{"customer": {"ssn": "***-**-4320"}}'


def test_clears_away_when_it_is_stopped_halfway(tmp_path: Path) -> None:
    with subprocess.Popen(_command(), stdout=subprocess.PIPE, text=True, env=_environment(tmp_path)) as demo:
        assert demo.stdout is not None
        assert any("The rules" in line for line in demo.stdout)
        eventually(lambda: _processes_of(tmp_path), what="a proxy of the demo")

        demo.send_signal(signal.SIGTERM)
        demo.stdout.read()

    assert demo.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
    assert _processes_of(tmp_path) == []


def test_says_what_to_install_where_the_embedded_broker_is_missing(tmp_path: Path) -> None:
    hidden = (
        "import sys; sys.modules['confluent_kafka'] = None; from wiremask.proxy.demo import main; sys.exit(main(None))"
    )

    run = _run(tmp_path, sys.executable, "-c", hidden)

    assert run.returncode == 1
    assert 'pip install "wiremask[demo]"' in run.stderr
    assert "--bootstrap" in run.stderr
    assert "Traceback" not in run.stderr


def test_says_that_a_cluster_does_not_answer(tmp_path: Path) -> None:
    run = _run(tmp_path, *_command("--bootstrap", "127.0.0.1:1"))

    assert run.returncode == 1
    assert run.stderr.startswith("demo: ")
    assert "127.0.0.1:1" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.broker
def test_shows_it_on_a_real_cluster_in_a_topic_of_its_own(kafka: KafkaCluster, tmp_path: Path) -> None:
    run = _run(tmp_path, *_command("--bootstrap", kafka.bootstrap))

    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("This creates topic wiremask-demo-")
    assert "Verified on 4 records" in run.stdout
    eventually(
        lambda: not any(name.startswith("wiremask-demo-") for name in kafka.admin.list_topics(timeout=10).topics),
        what="the topic deleted",
    )


def test_finds_no_fault_where_all_is_masked_and_nothing_else_changed() -> None:
    journey = Journey(sent=SENT, stored=STORED, read=READ)

    faults = find_faults(journey)

    assert faults == []


@pytest.mark.parametrize(
    ("journey", "fault"),
    [
        pytest.param(
            Journey(sent=SENT, stored=SENT, read=READ), "stored on the broker, ssn is in clear", id="stored in clear"
        ),
        pytest.param(
            Journey(sent=SENT, stored=STORED, read=STORED),
            "read by the consumer, e-mail is in clear",
            id="read in clear",
        ),
        pytest.param(
            Journey(sent=SENT, stored=STORED.replace(b"1250.00", b"1250.0"), read=READ),
            "stored on the broker, a byte changed that no rule names",
            id="a number written anew",
        ),
        pytest.param(
            Journey(sent=SENT, stored=STORED, read=READ.replace(b'": "', b'":"', 1)),
            "read by the consumer, a byte changed that no rule names",
            id="white space lost",
        ),
        pytest.param(
            Journey(sent=SENT, stored=STORED, read=READ[:-1]),
            "read by the consumer, the value is not what it was",
            id="cut short",
        ),
    ],
)
def test_finds_what_is_wrong_without_quoting_it(journey: Journey, fault: str) -> None:
    faults = find_faults(journey)

    assert fault in faults
    assert not any("987-65" in found or "ada@" in found for found in faults)
