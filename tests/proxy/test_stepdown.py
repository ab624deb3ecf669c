"""Rules that mask less than those at work, or than those of the baseline: refused, unless they are allowed by name."""

import io
import json

import pytest

from wiremask.proxy import log, metrics
from wiremask.proxy.health import Health
from wiremask.proxy.reload import RulesConfig, RuleSource
from wiremask.proxy.stepdown import CHANGES_TOLD, Ruleset, take_step
from wiremask.rules import RuleSetInvalid
from wiremask.rules.language.ruleset import digest_of

STRONG, WEAK = "redact", "{partial: {keepLast: 4}}"
REASON = "the auditors asked for the last digits"


def ruleset(mask=STRONG, *, allow=None):
    allowed = f', allowWeaker: {{from: "{allow}", reason: {REASON}}}' if allow else ""
    return (
        f"apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {{name: test{allowed}}}\n"
        f"rules: [{{name: r, topics: [t], at: [produce], value: {{fields: [{{path: $.a, mask: {mask}}}]}}}}]\n"
    )


def digest(text):
    return digest_of({"a.yaml": text})


@pytest.fixture
def rules(tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(ruleset())
    return tmp_path / "rules" / "a.yaml"


@pytest.fixture
def stream():
    stream = io.StringIO()
    log.configure(log.LogConfig(level="info"), stream)
    yield stream
    log.configure(log.LogConfig())


@pytest.fixture
def health():
    return Health()


@pytest.fixture
def start(rules, health, stream):
    def start(baseline=None):
        return RuleSource(RulesConfig(path=rules.parent, baseline=baseline), json_depth=64, health=health, env={})

    return start


def events(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def counted(outcome):
    return metrics.ruleset_weaker.labels(outcome).value


async def test_a_reload_that_masks_less_is_refused_and_the_old_rules_stay(start, rules, stream, health):
    source, counts = start(), counted("refused")
    rules.write_text(ruleset(WEAK))

    outcomes = [await source.reload(), await source.reload()]

    assert outcomes == ["refused", "unchanged"]
    assert source.current.digest == digest(ruleset())
    assert counted("refused") == counts + 1
    told = "masks less: $.a of t at produce: redact -> partial {keepLast: 4} (rule r)"
    assert health.detail()["refusedChange"][0] == f"{rules.parent}:1:1: {told}"
    assert f'allowWeaker: {{from: "{digest(ruleset())}", reason: ...}}' in health.detail()["refusedChange"][1]
    assert [event["event"] for event in events(stream)[-3:]] == ["rules refused", "rules refused", "rules kept"]
    assert told in events(stream)[-3]["error"]


async def test_a_reload_that_masks_as_much_or_more_is_applied(start, rules):
    source = start()

    for mask in ("{redact: {text: x}}", "nullify", "drop"):
        rules.write_text(ruleset(mask))
        assert await source.reload() == "applied"


async def test_less_may_be_masked_where_the_new_rules_name_those_at_work(start, rules, stream, health):
    source, counts = start(), counted("allowed")
    rules.write_text(ruleset(WEAK, allow=digest(ruleset())))

    outcome = await source.reload()

    assert outcome == "applied"
    assert counted("allowed") == counts + 1
    assert health.detail()["refusedChange"] == []
    *_, allowed, _ = events(stream)
    assert (allowed["event"], allowed["level"]) == ("weaker rules allowed", "warning")
    assert (allowed["previous_digest"], allowed["reason"]) == (digest(ruleset()), REASON)


async def test_a_permission_holds_for_one_step(start, rules):
    source = start()
    permitted = ruleset(WEAK, allow=digest(ruleset()))
    rules.write_text(permitted)
    first = await source.reload()

    rules.write_text(ruleset("keep", allow=digest(ruleset())))
    second = await source.reload()

    assert (first, second) == ("applied", "refused")
    assert source.current.digest == digest(permitted)


async def test_a_permission_from_other_rules_is_none(start, rules):
    source = start()
    rules.write_text(ruleset(WEAK, allow="0" * 64))

    assert await source.reload() == "refused"


async def test_the_first_start_makes_the_baseline_and_reloads_keep_it_up(start, rules, tmp_path, stream):
    baseline = tmp_path / "state" / "baseline.json"
    baseline.parent.mkdir()
    source = start(baseline)
    made = json.loads(baseline.read_text())
    rules.write_text(ruleset("drop"))

    outcome = await source.reload()

    assert made["digest"] == digest(ruleset())
    assert outcome == "applied"
    assert json.loads(baseline.read_text())["files"] == {"a.yaml": ruleset("drop")}
    assert [path.name for path in baseline.parent.iterdir()] == ["baseline.json"]
    assert events(stream)[0]["event"] == "baseline made"


def test_a_start_that_masks_less_than_the_baseline_is_refused(start, rules, tmp_path):
    start(tmp_path / "baseline.json")
    rules.write_text(ruleset(WEAK))

    with pytest.raises(RuleSetInvalid, match=r"masks less: \$\.a of t") as refused:
        start(tmp_path / "baseline.json")

    assert digest(ruleset()) in str(refused.value)
    assert json.loads((tmp_path / "baseline.json").read_text())["digest"] == digest(ruleset())


def test_a_start_may_mask_less_than_the_baseline_if_it_names_it(start, rules, tmp_path, stream):
    start(tmp_path / "baseline.json")
    permitted = ruleset(WEAK, allow=digest(ruleset()))
    rules.write_text(permitted)

    again = [start(tmp_path / "baseline.json").current.digest for _ in range(2)]

    assert again == [digest(permitted)] * 2
    assert sum(event["event"] == "weaker rules allowed" and "reason" in event for event in events(stream)) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-20],
        lambda text: text.replace("redact", "keep"),
        lambda text: text.replace("Baseline", "Base"),
        lambda _: "",
        lambda _: "[]",
        lambda _: '{"kind": "Baseline", "digest": "", "files": {}}',
        lambda _: '{"kind": "Baseline", "digest": "", "files": {"a": 1}}',
        lambda _: '{"kind": "Baseline", "digest": "", "files": {"a": "\\ud800"}}',
        lambda _: "[" * 100_000,
    ],
    ids=["cut", "changed", "other kind", "empty", "list", "no files", "no text", "surrogate", "deep"],
)
def test_a_damaged_baseline_refuses_to_start(start, tmp_path, damage):
    baseline = tmp_path / "baseline.json"
    start(baseline)
    baseline.write_text(damage(baseline.read_text()))

    with pytest.raises(RuleSetInvalid, match=r"baseline\.json:1:1: the baseline is damaged"):
        start(baseline)


def test_a_baseline_that_cannot_be_read_refuses_to_start(start, tmp_path):
    with pytest.raises(RuleSetInvalid, match="the baseline cannot be read"):
        start(tmp_path)


def test_a_baseline_that_cannot_be_written_refuses_to_start(start, tmp_path):
    with pytest.raises(RuleSetInvalid, match="the baseline cannot be written"):
        start(tmp_path / "nowhere" / "baseline.json")


async def test_rules_that_the_baseline_cannot_remember_are_not_applied_until_it_can(start, rules, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    source = start(state / "baseline.json")
    state.rename(tmp_path / "away")
    rules.write_text(ruleset("drop"))
    without = await source.reload()

    (tmp_path / "away").rename(state)
    again = await source.reload()

    assert (without, again) == ("refused", "applied")


def test_rules_that_this_release_cannot_read_are_never_proven_weaker():
    old = Ruleset(digest="0" * 64, texts={"a.yaml": "apiVersion: wiremask.dev/v0"})
    new, permitted = ({"a.yaml": ruleset(allow=allow)} for allow in (None, "0" * 64))

    refused = take_step(old, Ruleset(digest=digest_of(new), texts=new))
    allowed = take_step(old, Ruleset(digest=digest_of(permitted), texts=permitted))

    assert refused.is_refused
    assert "cannot read the ruleset before" in refused.weaker[0]
    assert not allowed.is_refused


def test_a_long_list_of_what_is_masked_less_is_cut():
    fields = ", ".join(f"{{path: $.a{number}, mask: {STRONG}}}" for number in range(CHANGES_TOLD + 5))
    old = ruleset().replace(f"{{path: $.a, mask: {STRONG}}}", fields)
    new = old.replace(f"mask: {STRONG}", "mask: keep")

    step = take_step(*(Ruleset(digest=digest(text), texts={"a.yaml": text}) for text in (old, new)))

    assert len(step.weaker) == CHANGES_TOLD + 1
    assert step.weaker[-1] == "masks less: 5 fields more; wiremask diff tells them all"
