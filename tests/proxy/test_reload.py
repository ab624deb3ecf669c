import asyncio
import contextlib
import hashlib
import io
import json
import os
import shutil

import pytest

from wiremask.proxy import log, metrics
from wiremask.proxy.health import Health
from wiremask.proxy.reload import RulesConfig, RuleSource
from wiremask.proxy.rulefiles import read_rule_files
from wiremask.rules import RuleSetInvalid

CANARY = "canary-4111111111111111"


def ruleset(*, name="r", text="[a]", key=None, more=""):
    mask = f"{{hash: {{key: k, domain: {name}}}}}" if key else f'{{redact: {{text: "{text}"}}}}'
    keys = f"keys: {{k: {{file: {key}}}}}\n" if key else more
    return (
        f"apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {{name: test}}\n{keys}"
        f"rules:\n  - name: {name}\n    topics: [t]\n    at: [produce]\n"
        f"    value: {{format: json, fields: [{{path: $.a, mask: {mask}}}]}}\n"
    )


def key_text(seed):
    return "hex:" + hashlib.sha256(seed.encode()).hexdigest()


INVALID = ruleset().replace("topics: [t]", "topic: [t]")


@pytest.fixture
def rules(tmp_path):
    directory = tmp_path / "rules"
    directory.mkdir()
    (directory / "a.yaml").write_text(ruleset())
    return directory


@pytest.fixture
def health():
    return Health()


@pytest.fixture
def stream():
    stream = io.StringIO()
    log.configure(log.LogConfig(level="info"), stream)
    yield stream
    log.configure(log.LogConfig())


@pytest.fixture
def source(rules, health, stream):
    return RuleSource(RulesConfig(path=rules), json_depth=64, health=health, env={})


@contextlib.asynccontextmanager
async def watching(source):
    task = asyncio.get_running_loop().create_task(source.watch())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition):
    """Waits for something that has no event of its own."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def generation(source, wanted):
    """Waits until the source is at a generation."""
    await until(lambda: source.current.generation >= wanted)


def events(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def replace_link(link, target):
    """As an atomic writer does: a new link beside, renamed over the old."""
    beside = link.with_name(link.name + "_tmp")
    beside.symlink_to(target)
    beside.replace(link)


def test_loads_the_rules_when_it_is_made(source, health):
    assert source.current.generation == 1
    assert source.current.digest == source.current.plan.digest
    assert health.rules.digest == source.current.digest
    assert health.rules.rules == 1
    assert metrics.ruleset_generation.value == 1


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: (path / "a.yaml").write_text(INVALID), "rules/a.yaml:5:5: "),
        (lambda path: (path / "a.yaml").unlink(), "rules:1:1: holds no *.yaml or *.yml file"),
        (shutil.rmtree, "rules:1:1: cannot be read (No such file or directory)"),
        (lambda path: (path / "a.yaml").write_bytes(b"a: b\nc: d\xff\n"), "rules/a.yaml:2:5: is not UTF-8 here"),
        (lambda path: os.mkfifo(path / "b.yaml"), "rules/b.yaml:1:1: cannot be read: it is not a regular file"),
        (lambda path: (path / "b.yaml").symlink_to("nowhere"), "rules/b.yaml:1:1: cannot be read: No such file"),
        (lambda path: (path / "b.yaml").symlink_to("b.yaml"), "rules/b.yaml:1:1: cannot be read: Too many levels"),
        (
            lambda path: (path / "b.yaml").write_bytes(b"#" * (5 << 20)),
            "rules/b.yaml:1:1: cannot be used: it is longer",
        ),
    ],
    ids=["invalid", "empty", "missing", "not UTF-8", "pipe", "dangling link", "circular link", "huge"],
)
def test_refuses_to_start_without_valid_rules(rules, health, prepare, message):
    prepare(rules)

    with pytest.raises(RuleSetInvalid) as refused:
        RuleSource(RulesConfig(path=rules), json_depth=64, health=health, env={})

    assert message in str(refused.value)
    assert not health.ready


def test_reads_one_file_as_well_as_a_directory(rules):
    files = read_rule_files(rules / "a.yaml")

    assert list(files.texts) == ["a.yaml"]
    assert files.directory == rules


def test_reads_yaml_files_only_and_no_hidden_ones(rules):
    for name in ("b.yml", ".c.yaml", "..d.yaml", "e.txt", "f.yaml~"):
        (rules / name).write_text("x")
    (rules / "g.yaml").mkdir()

    files = read_rule_files(rules)

    assert list(files.texts) == ["a.yaml", "b.yml"]


async def test_swaps_the_snapshot_when_the_rules_changed(source, rules, stream, health):
    before = source.current
    (rules / "a.yaml").write_text(ruleset(text="[b]"))

    outcome = await source.reload()

    assert outcome == "applied"
    assert source.current.generation == 2
    assert source.current.digest != before.digest
    assert before.generation == 1
    assert health.rules.generation == 2
    told = events(stream)[-1]
    assert (told["event"], told["previous_digest"], told["digest"], told["rules"]) == (
        "rules applied",
        before.digest,
        source.current.digest,
        1,
    )


async def test_keeps_the_snapshot_when_the_files_read_the_same(source, rules):
    before = source.current
    (rules / "a.yaml").write_text(ruleset())

    outcome = await source.reload()

    assert outcome == "unchanged"
    assert source.current is before


async def test_keeps_the_rules_when_the_new_ones_are_invalid(source, rules, stream, health):
    before = source.current
    refused = metrics.ruleset_reloads.labels("refused").value
    (rules / "a.yaml").write_text(INVALID)

    outcomes = [await source.reload(), await source.reload()]

    assert outcomes == ["refused", "unchanged"]
    assert source.current is before
    assert len(health.refused) == 2
    assert health.refused[0].startswith(f"{rules}/a.yaml:5:5: ")
    assert metrics.ruleset_reloads.labels("refused").value == refused + 1
    told = [line["error"] for line in events(stream) if line["event"] == "rules refused"]
    assert told == list(health.refused)


async def test_keeps_the_rules_when_the_files_are_gone(source, rules, health):
    before = source.current
    shutil.rmtree(rules)

    outcomes = [await source.reload(), await source.reload()]

    assert outcomes == ["refused", "unchanged"]
    assert source.current is before
    assert "cannot be read" in health.refused[0]


async def test_forgets_the_refusal_when_the_files_are_back_to_the_rules_at_work(source, rules, health):
    before = source.current
    (rules / "a.yaml").write_text(INVALID)
    await source.reload()
    (rules / "a.yaml").write_text(ruleset())

    outcome = await source.reload()

    assert outcome == "unchanged"
    assert source.current is before
    assert health.refused == ()


async def test_applies_valid_rules_after_a_refusal(source, rules, health):
    (rules / "a.yaml").write_text(INVALID)
    await source.reload()
    (rules / "a.yaml").write_text(ruleset(text="[c]"))

    outcome = await source.reload()

    assert outcome == "applied"
    assert source.current.generation == 2
    assert health.refused == ()


async def test_reloads_when_a_key_file_changed(rules, health, stream, tmp_path):
    key = tmp_path / "pii"
    key.write_text(key_text("one"))
    (rules / "a.yaml").write_text(ruleset(key=key))
    source = RuleSource(RulesConfig(path=rules), json_depth=64, health=health, env={})
    key.write_text(key_text("two"))

    outcome = await source.reload()

    assert outcome == "applied"
    assert source.current.generation == 2
    assert events(stream)[-1]["reason"] == "key files changed"


async def test_refuses_rules_whose_key_is_gone_and_takes_them_when_it_is_there(rules, health, source, tmp_path):
    key = tmp_path / "pii"
    (rules / "a.yaml").write_text(ruleset(more=f"keys: {{k: {{file: {key}}}}}\n"))

    missing = await source.reload()
    refused = health.refused
    key.write_text(key_text("one"))
    there = await source.reload()

    assert (missing, there) == ("refused", "applied")
    assert "No such file" in refused[0]


async def test_no_text_of_rule_or_key_files_is_told(source, rules, health, stream, tmp_path):
    key = tmp_path / "pii"
    key.write_text(CANARY)
    texts = [
        ruleset(key=key),
        ruleset(text=CANARY).replace("redact", "redcat"),
        f"a: [{CANARY}",
        ruleset() + f"    when: {{client: '{CANARY}'}}\n",
        f"{CANARY}: {CANARY}\n",
    ]

    for text in texts:
        (rules / "a.yaml").write_text(text)
        assert await source.reload() == "refused"

    assert CANARY not in stream.getvalue()
    assert CANARY not in json.dumps(health.detail())


async def test_watch_applies_a_file_that_is_written_in_place(source, rules):
    async with watching(source):
        (rules / "a.yaml").write_text(ruleset(text="[b]"))
        await generation(source, 2)

        (rules / "b.yaml").write_text(ruleset(name="second"))
        await generation(source, 3)

    assert len(source.current.plan.rules) == 2


async def test_watch_applies_a_configmap_swap(tmp_path, health):
    mount = tmp_path / "mount"
    for version, text in (("..v1", "[1]"), ("..v2", "[2]"), ("..v3", "[3]")):
        (mount / version).mkdir(parents=True)
        (mount / version / "a.yaml").write_text(ruleset(text=text))
    (mount / "..data").symlink_to("..v1")
    (mount / "a.yaml").symlink_to("..data/a.yaml")
    source = RuleSource(RulesConfig(path=mount), json_depth=64, health=health, env={})

    async with watching(source):
        replace_link(mount / "..data", "..v2")
        shutil.rmtree(mount / "..v1")
        await generation(source, 2)
        replace_link(mount / "..data", "..v3")
        shutil.rmtree(mount / "..v2")
        await generation(source, 3)

    assert health.refused == ()


async def test_watch_applies_keys_of_a_mounted_secret_that_is_swapped(tmp_path, rules, health):
    mount = tmp_path / "secret"
    for version in ("..v1", "..v2"):
        (mount / version).mkdir(parents=True)
        (mount / version / "pii").write_text(key_text(version))
    (mount / "..data").symlink_to("..v1")
    (mount / "pii").symlink_to("..data/pii")
    (rules / "a.yaml").write_text(ruleset(key=mount / "pii"))
    source = RuleSource(RulesConfig(path=rules), json_depth=64, health=health, env={})
    before = source.current.plan.rules

    async with watching(source):
        replace_link(mount / "..data", "..v2")
        shutil.rmtree(mount / "..v1")
        await generation(source, 2)

    assert (
        source.current.digest
        == RuleSource(RulesConfig(path=rules), json_depth=64, health=health, env={}).current.digest
    )
    assert [rule.masks for rule in source.current.plan.rules] != [rule.masks for rule in before]
    assert health.refused == ()


async def test_watch_applies_a_directory_that_is_swapped_by_its_link(tmp_path, health):
    for version in ("v1", "v2", "v3"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "a.yaml").write_text(ruleset(text=version))
    (tmp_path / "current").symlink_to("v1")
    source = RuleSource(RulesConfig(path=tmp_path / "current"), json_depth=64, health=health, env={})

    async with watching(source):
        replace_link(tmp_path / "current", "v2")
        await generation(source, 2)
        (tmp_path / "v2" / "a.yaml").write_text(ruleset(text="in the directory that the link leads to now"))
        await generation(source, 3)


async def test_watch_finds_changes_that_nothing_told(tmp_path, rules, health, monkeypatch):
    async def deaf(_self, _directories):
        return False

    monkeypatch.setattr("wiremask.proxy.watch.DirectoryWatch.follow", deaf)
    source = RuleSource(RulesConfig(path=rules, rescan_seconds=0.05), json_depth=64, health=health, env={})

    async with watching(source):
        (rules / "a.yaml").write_text(ruleset(text="[b]"))
        await generation(source, 2)


async def test_watch_answers_a_request_to_reload(source, rules, stream):
    unchanged = metrics.ruleset_reloads.labels("unchanged").value

    async with watching(source):
        source.request_reload()
        await until(lambda: "rules unchanged" in stream.getvalue())

    assert metrics.ruleset_reloads.labels("unchanged").value == unchanged + 1


async def test_watch_survives_a_directory_that_goes_and_comes_back(rules, health):
    source = RuleSource(RulesConfig(path=rules, rescan_seconds=0.2), json_depth=64, health=health, env={})

    async with watching(source):
        shutil.rmtree(rules)
        await until(lambda: health.refused)
        rules.mkdir()
        (rules / "a.yaml").write_text(ruleset(text="[b]"))
        await generation(source, 2)

    assert health.refused == ()


async def test_watch_goes_on_after_a_fault_of_its_own(rules, health, stream, monkeypatch):
    source = RuleSource(RulesConfig(path=rules, rescan_seconds=0.05), json_depth=64, health=health, env={})

    def faulty(*_arguments, **_options):
        raise KeyError(CANARY)

    async with watching(source):
        with monkeypatch.context() as patched:
            patched.setattr("wiremask.proxy.reload.read_rule_files", faulty)
            await until(lambda: health.refused)
        (rules / "a.yaml").write_text(ruleset(text="[b]"))
        await generation(source, 2)

    assert "reload failed" in stream.getvalue()
    assert CANARY not in stream.getvalue()
    assert health.refused == ()


async def test_reload_leaves_the_event_loop_free(source, rules, monkeypatch):
    turns = 0
    (rules / "a.yaml").write_text(ruleset(text="[b]"))

    def slowly(*arguments, **options):
        # Waits on the worker thread for the loop to turn; would wait in vain on the loop's own thread.
        seen = turns
        for _ in range(1000):
            if turns > seen + 3:
                return compile_files(*arguments, **options)
            release.wait(0.005)
        raise AssertionError("the event loop stood still")

    from threading import Event

    from wiremask.proxy.loading import compile_files

    release = Event()
    monkeypatch.setattr("wiremask.proxy.reload.compile_files", slowly)
    reload = asyncio.ensure_future(source.reload())
    while not reload.done():
        turns += 1
        await asyncio.sleep(0)

    assert reload.result() == "applied"
