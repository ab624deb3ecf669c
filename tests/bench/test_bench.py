"""The bench itself: that both sides do the same, that the relay relays, and that the figures are what they are called."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.record import default_records

from bench import __main__ as command
from bench import (
    codecs,
    detectors,
    haproxy,
    kernel,
    keyed,
    latency,
    masks,
    records,
    report,
    rows,
    scale,
    stage,
    traffic,
    wire,
)
from bench.stats import spread
from support import ports
from support.wait import eventually
from support.ways import Owner
from wiremask.protocol.batch import Batch
from wiremask.protocol.compression import Codec
from wiremask.proxy.budget import Budget
from wiremask.proxy.masking import Allowance, Work, mask_produced
from wiremask.rules.detect.detectors import DETECTORS

RELAY = Path(kernel.__file__).with_name("relay.py")


@pytest.mark.parametrize("count", [1, 15, 200])
def test_both_sides_give_the_same_masked_records(count: int) -> None:
    original = kernel.build_batch(records.values(count))

    ours = kernel.mask_by_kernel(kernel.compile_plan(), original)

    theirs = kernel.mask_in_python(original)
    assert kernel.read_values(ours) == kernel.read_values(theirs)
    assert len(kernel.read_values(ours)) == count


def test_all_four_fields_are_masked_and_no_others() -> None:
    (value,) = records.values(1)
    original = kernel.build_batch([value])

    (masked,) = kernel.read_values(kernel.mask_by_kernel(kernel.compile_plan(), original))

    before, after = json.loads(value), json.loads(masked)
    assert after["customer"].pop("ssn") == "*******1000"
    assert after["customer"].pop("phone") == "*" * (len(before["customer"].pop("phone")) - 3) + "000"
    assert after["customer"].pop("email") == "[redacted]"
    assert after["card"].pop("number") == "4111 1*********1111"
    del before["customer"]["ssn"], before["customer"]["email"], before["card"]["number"]
    assert after == before


@pytest.mark.parametrize("count", [1, 15, 1_000])
def test_our_side_gives_the_bytes_that_the_proxy_would_send(count: int) -> None:
    original, plan = kernel.build_batch(records.values(count)), kernel.compile_plan()
    budget = Budget(1 << 30)
    work = Work(Allowance(limit_bytes=1 << 30, is_final=True, charge=lambda size: budget.charge(size, Owner())))

    ours = kernel.mask_by_kernel(plan, original)

    assert mask_produced(memoryview(original), plan, work) == [ours]


@pytest.mark.parametrize("text", ["", "1", "1234", "12345", "1234567890", "12345678901"])
def test_both_sides_hide_short_values_alike(text: str) -> None:
    document = {"customer": {"ssn": text, "phone": text, "email": text}, "card": {"number": text}}
    original = kernel.build_batch([json.dumps(document, separators=(",", ":")).encode()])

    ours = kernel.mask_by_kernel(kernel.compile_plan(), original)

    assert kernel.read_values(ours) == kernel.read_values(kernel.mask_in_python(original))


def test_refuses_to_compare_sides_that_mask_differently() -> None:
    masked = kernel.mask_in_python(kernel.build_batch(records.values(2)))
    other = kernel.mask_in_python(kernel.build_batch(records.values(3)[1:]))

    with pytest.raises(kernel.NothingToCompareWith):
        kernel.require_equal(masked, other)


def test_refuses_to_compare_sides_that_do_not_mask() -> None:
    clear = kernel.build_batch(records.values(2))

    with pytest.raises(kernel.NothingToCompareWith):
        kernel.require_equal(clear, clear)


def test_refuses_to_compare_with_an_aiokafka_that_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "DefaultRecordBatchBuilder", default_records._DefaultRecordBatchBuilderPy)

    with pytest.raises(kernel.NothingToCompareWith, match="C extension"):
        kernel.require_compiled_aiokafka()


def test_measures_the_kernel_and_writes_the_figures(tmp_path: Path) -> None:
    table = kernel.rows(kernel.measure("16 KB", pairs=3, pair_s=0.005))

    report.write_json(tmp_path / "out" / "bench.json", rows=table, failed=[])
    theirs, ours = json.loads((tmp_path / "out" / "bench.json").read_text())["rows"]
    assert theirs["ratio"]["count"] == 3
    assert theirs["ratio"]["low"] <= theirs["ratio"]["median"] <= theirs["ratio"]["high"]
    assert theirs["passed"] == (theirs["ratio"]["low"] >= kernel.BAR)
    assert ours["passed"]


@pytest.mark.parametrize(
    ("kind", "limit", "met"),
    [("at most", 1.0, True), ("at most", 0.9, False), ("at least", 1.0, True), ("at least", 1.1, False)],
)
def test_a_bar_is_met_by_the_lower_end_of_the_interval(kind: Any, limit: float, met: bool) -> None:
    bar = rows.Bar(kind=kind, limit=limit)

    assert bar.is_met(spread([1.0, 2.0, 4.0])) == met


def test_a_part_that_fails_is_reported_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> list[rows.Row]:
        raise traffic.BadRun("nothing came")

    row = rows.Row(part="masks", name="a mask", unit="ns", figure=spread([1.0]))
    monkeypatch.setitem(command.PARTS, "kernel", fail)
    monkeypatch.setitem(command.PARTS, "masks", lambda _: [row])

    code = command.main(["kernel", "masks", "--json", str(tmp_path / "bench.json")])

    said = capsys.readouterr().out
    assert code == 1
    assert "NOT MEASURED: kernel: BadRun: nothing came" in said
    assert "a mask" in said


@pytest.mark.parametrize(("required", "code"), [(None, 0), ("1", 1)], ids=["on a laptop", "required"])
def test_a_lane_that_this_machine_lacks_is_said_and_fails_only_where_it_is_required(
    required: str | None,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv(haproxy.REQUIRED, raising=False)
    if required is not None:
        monkeypatch.setenv(haproxy.REQUIRED, required)
    lane = stage.missing_lane(stage.HAPROXY, haproxy.HaproxyUnavailable("there is no apt-get here"))
    row = rows.Row(part="masks", name="a mask", unit="ns", figure=spread([1.0]))

    def measured(run: Any) -> list[rows.Row]:
        run.failed.append(lane)
        return [row]

    monkeypatch.setitem(command.PARTS, "masks", measured)

    ended = command.main(["masks", "--json", str(tmp_path / "bench.json")])

    assert ended == code
    assert "NOT MEASURED: lane haproxy: there is no apt-get here" in capsys.readouterr().out


def test_a_lane_that_does_not_start_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(haproxy.REQUIRED, raising=False)

    lane = stage.missing_lane(stage.HAPROXY, RuntimeError("it ended with 1"))

    assert not lane.is_excused


def test_a_missed_bar_is_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = rows.Bar(kind="at most", limit=1)
    row = rows.Row(part="masks", name="a mask", unit="ns", figure=spread([1.0]), ratio=spread([2.0]), bar=bar)
    monkeypatch.setitem(command.PARTS, "masks", lambda _: [row])

    code = command.main(["masks", "--json", str(tmp_path / "bench.json")])

    assert code == 1
    assert "MISSED" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "a", "a=b", "a=b:1", "a=b:1,x", "=b:1,2"])
def test_refuses_a_target_in_another_form(text: str) -> None:
    with pytest.raises(ValueError, match="name=host:port,pid"):
        stage.Target.parse(text)


def test_every_mask_of_the_reference_is_measured() -> None:
    table = masks.measure(rounds=1, at_least_s=0.001)

    assert {row.name for row in table} == set(masks.examples())
    assert {"redact", "{partial: {keepLast: 4}}"} <= set(masks.examples())


def test_keyed_masks_are_measured_next_to_libffx() -> None:
    table = keyed.measure(rounds=1, at_least_s=0.001)

    assert {row.name for row in table if row.to == "3 us a value"} == set(keyed.CASES)
    assert sum(row.name.startswith("libffx") for row in table) == len(keyed.BESIDE_LIBFFX)


def test_detectors_are_measured_with_a_hit_and_without() -> None:
    table = detectors.measure(rounds=1, at_least_s=0.001)

    assert {row.name for row in table} == {f"{name}, {what}" for name in DETECTORS for what in ("a hit", "no hit")} | {
        "all detectors, no hit"
    }


def test_records_without_a_hit_have_none_and_are_as_long() -> None:
    values = [detectors.without_finds(value) for value in records.values(300)]

    outcome = detectors.detecting(DETECTORS).mask(*detectors.lay_out(values))

    assert outcome.changed == 0
    assert {len(value) for value in values} == {records.VALUE_BYTES}


@pytest.mark.parametrize("name", DETECTORS)
def test_each_detector_is_measured_with_a_text_that_it_finds_next_to_plain_words(name: str) -> None:
    values = [json.dumps({"note": text}).encode() for text in (detectors.HITS[name], detectors.WORDS)]

    outcome = detectors.detecting((name,)).mask(*detectors.lay_out(values))

    assert outcome.changed == 1
    assert outcome.spans[2] < 0


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD], ids=lambda codec: codec.name)
def test_a_packed_batch_is_masked_as_a_plain_one(codec: Codec) -> None:
    plain, plan = kernel.build_batch(records.values(3)), kernel.compile_plan()

    masked = kernel.mask_by_kernel(plan, codecs.pack(plain, codec))

    whole = Batch.read(masked, 0, len(masked), limit_bytes=1 << 20, dense_offsets=True)
    assert bytes(memoryview(whole.section)) == kernel.mask_by_kernel(plan, plain)[codecs.HEADER_BYTES :]


def test_interval_of_nine_runs_from_the_second_least_to_the_second_greatest() -> None:
    found = spread([9.0, 1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0, 5.0])

    assert (found.minimum, found.low, found.median, found.high, found.maximum) == (1, 2, 5, 8, 9)
    assert found.confidence == pytest.approx(1 - 2 * (1 + 9) / 2**9)


def test_interval_of_too_few_runs_says_how_little_it_is_worth() -> None:
    found = spread([3.0, 1.0])

    assert (found.low, found.high, found.confidence) == (1, 3, 0.5)


def test_clock_counts_the_cpu_of_the_process_and_not_its_sleep() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass\ntime.sleep(0.5)\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        clock = traffic.CpuClock(process.pid)

        used = clock.read()
        process.communicate(b"\n")

    assert 0.3 <= used < 0.3 + 0.5


def test_reads_the_size_of_stored_batches_from_their_heads(tmp_path: Path) -> None:
    whole, rest = kernel.build_batch(records.values(15)), kernel.build_batch(records.values(2))
    segment = tmp_path / "00000000000000000000.log"
    segment.write_bytes(whole + whole + rest)

    mean = traffic.mean_batch_bytes([segment])

    assert mean == len(whole)
    assert traffic.holds(segment, wire.SECRET)
    assert not traffic.holds(segment, b"no such text")


@pytest.fixture
def relayed() -> Iterator[tuple[socket.socket, int]]:
    """A listening socket behind a relay, and the relay's port."""
    block = ports.reserve()
    port = block.take()
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        command = [sys.executable, str(RELAY), str(port), str(upstream.getsockname()[1])]
        with subprocess.Popen(command) as process:
            try:
                eventually(lambda: _connects(port), what="the relay listening")
                upstream.accept()[0].close()
                yield upstream, port
            finally:
                process.terminate()
    block.release()


def _connects(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


def test_relay_gives_every_byte_to_a_slow_reader_and_the_answer_back(relayed: tuple[socket.socket, int]) -> None:
    upstream, port = relayed
    data = os.urandom(1 << 20) * 24
    received = hashlib.sha256()

    def read_slowly() -> None:
        connection, _ = upstream.accept()
        with connection:
            while piece := connection.recv(1_000):
                received.update(piece)
            connection.sendall(received.digest())

    reader = threading.Thread(target=read_slowly)
    reader.start()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = client.makefile("rb").read()
    reader.join(20)

    assert answer == hashlib.sha256(data).digest()


def test_relay_ends_a_connection_whose_other_side_is_gone(relayed: tuple[socket.socket, int]) -> None:
    upstream, port = relayed

    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        upstream.accept()[0].close()

        rest = client.recv(1)

    assert rest == b""


@pytest.mark.broker
@pytest.mark.timeout(400)
def test_measures_the_proxy_next_to_the_relay_on_a_real_broker(tmp_path: Path) -> None:
    loads = (wire.Load(name="1 MB", batch_bytes=1_000_000, count=20_000),)
    told: list[str] = []

    with stage.running_stage(tmp_path) as running:
        running.lanes[:] = [lane for lane in running.lanes if lane.name != stage.HAPROXY]
        results, failed = wire.measure(running, loads=loads, rounds=1, progress=told.append)
        delays = latency.measure(running, rounds=1, requests=20)
        growing = scale.measure(running, rounds=1, value_bytes=1_000_000)

    assert sorted((row.direction, row.lane) for row in results) == [
        (direction, lane) for direction in ("fetch", "produce") for lane in ("no rule", "relay", "rule")
    ]
    assert failed == []
    assert all(row.cpu_per_gb.minimum > 0 for row in results)
    assert all(row.ratio.median == 1 for row in results if row.lane == "relay")
    assert len(told) == wire.count_runs(loads, 1, 3)
    assert {row.part for row in wire.rows(results, {"1 MB": 1.0})} == {"wire"}
    assert all(row.figure.count == 1 for row in (*delays, *growing))
