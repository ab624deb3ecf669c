"""Alerts and dashboard, read by Prometheus' own engine: they name what is there, and fire when they should."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from support import kubetools
from support.chart import FOLDER, ROOT
from wiremask.proxy import measures, metrics
from wiremask.proxy.webhook import server

Json = dict[str, Any]

ALERTS = FOLDER / "files" / "alerts.yaml"
OWN = {metric.name: metric.label_names for metric in measures.METRICS}
OTHERS = {
    "process_resident_memory_bytes": (),
    "apiserver_admission_webhook_rejection_count": ("name", "error_type"),
}
OF_THE_SCRAPE = {"namespace", "pod", "instance", "job"}
ENDS = "wiremask_certificate_expires_timestamp_seconds"
REJECTED = "apiserver_admission_webhook_rejection_count"

SCENARIOS: dict[str, tuple[list[str], list[str]]] = {
    "WiremaskRulesRefused": (
        ['wiremask_ruleset_reloads_total{outcome="refused",pod="a"} 0x10 1x30'],
        ['wiremask_ruleset_reloads_total{outcome="applied",pod="a"} 0+1x40'],
    ),
    "WiremaskRecordsRefused": (
        ['wiremask_refused_values_total{at="produce",pod="a"} 0+3x40'],
        ['wiremask_refused_values_total{at="produce",pod="a"} 0x40'],
    ),
    "WiremaskNotReady": (['wiremask_ready{pod="a"} 1x10 0x30'], ['wiremask_ready{pod="a"} 0x2 1x40']),
    "WiremaskMemoryFull": (
        ['wiremask_frames_waiting{pod="a"} 0x10 2x30'],
        ['wiremask_frames_waiting{pod="a"} 0x10 2x2 0x30'],
    ),
    "WiremaskWithoutMasking": (
        ['wiremask_received_bytes_total{pod="a"} 0+1000x120'],
        [
            'wiremask_received_bytes_total{pod="a"} 0+1000x120',
            'wiremask_masked_fields_total{pod="a",rule="r",at="produce"} 0+5x120',
        ],
    ),
    "WiremaskNodesOutsideRange": (
        ['wiremask_nodes_outside_range_total{listener="default"} 0x10 1x30'],
        ['wiremask_nodes_outside_range_total{listener="default"} 0x40'],
    ),
    "WiremaskNodesUnknown": (["wiremask_nodes_unknown_total 0x10 1x30"], ["wiremask_nodes_unknown_total 0x40"]),
    "WiremaskMasksLess": (
        ['wiremask_ruleset_weaker_total{outcome="allowed"} 0x10 1x30'],
        ['wiremask_ruleset_weaker_total{outcome="allowed"} 0x40'],
    ),
    "WiremaskFilesRefused": (
        ['wiremask_file_reloads_total{use="default",outcome="refused"} 0x10 1x30'],
        ['wiremask_file_reloads_total{use="default",outcome="applied"} 0+1x40'],
    ),
    # In seconds since the same beginning as the minutes.
    "WiremaskCertificateEnds": ([f'{ENDS}{{use="default"}} 90000x40'], [f'{ENDS}{{use="default"}} 9000000x40']),
    "WiremaskAdmissionsFail": (
        [f'{REJECTED}{{name="inject.wiremask.dev",error_type="calling_webhook_error"}} 0+1x40'],
        [
            f'{REJECTED}{{name="inject.wiremask.dev",error_type="no_error"}} 0+1x40',
            f'{REJECTED}{{name="other.example",error_type="calling_webhook_error"}} 0+1x40',
        ],
    ),
}
"""For each alert, series by which it fires at some time, and series by which it never does."""


@pytest.fixture(scope="session")
def promql() -> Path:
    return kubetools.program("promql")


@pytest.fixture(scope="module")
def alerts() -> dict[str, Json]:
    """The rules of the alerts, by name."""
    groups = YAML(typ="safe", pure=True).load(ALERTS.read_text("utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def ask(program: Path, **question: Any) -> list[Json]:
    """What the expressions name, and what they give over the series."""
    asked = {"rules": "", "series": [], "minutes": [], **question}
    done = subprocess.run([program], input=json.dumps(asked), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    answers: list[Json] = json.loads(done.stdout)
    return answers


def of_the_dashboard() -> list[str]:
    """Its expressions, with Grafana's variables filled in."""
    board = json.loads((FOLDER / "files" / "dashboard.json").read_text("utf-8"))
    texts = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    return [text.replace("$__rate_interval", "5m").replace("$namespace", ".*") for text in texts]


def test_alerts_and_dashboard_name_metrics_and_labels_that_there_are(promql: Path, alerts: dict[str, Json]) -> None:
    assert {metrics.ready.name, server.admissions.name} <= set(OWN)
    known = {**OWN, **OTHERS}

    answers = ask(
        promql,
        rules=ALERTS.read_text("utf-8"),
        expressions=[*(rule["expr"] for rule in alerts.values()), *of_the_dashboard()],
    )

    for answer in answers:
        assert answer["metrics"]
        assert set(answer["metrics"]) <= set(known)
        labels = {label for name in answer["metrics"] for label in known[name]}
        assert set(answer["labels"]) <= labels | OF_THE_SCRAPE


def minutes(text: str) -> int:
    """A duration of minutes or hours."""
    number, unit = re.fullmatch(r"(\d+)([mh])", text).groups()  # type: ignore[union-attr]
    return int(number) * {"m": 1, "h": 60}[unit]


@pytest.mark.parametrize("name", SCENARIOS)
def test_alert_fires_when_it_should_and_not_otherwise(name: str, promql: Path, alerts: dict[str, Json]) -> None:
    rule = alerts[name]
    firing, quiet = SCENARIOS[name]
    length = minutes(rule.get("for", "0m")) + 1
    asked = list(range(1, 40 + length))

    fired, silent = (
        [bool(given) for given in ask(promql, series=series, expressions=[rule["expr"]], minutes=asked)[0]["given"]]
        for series in (firing, quiet)
    )

    def held(given: list[bool]) -> bool:
        return any(all(given[start : start + length]) for start in range(len(given) - length + 1))

    assert held(fired)
    assert not held(silent)


def test_every_alert_has_a_scenario_and_words_for_whoever_is_woken(alerts: dict[str, Json]) -> None:
    assert set(alerts) == set(SCENARIOS)
    for rule in alerts.values():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"]["summary"]


def test_alerts_for_prometheus_alone_are_those_of_the_chart() -> None:
    deployed = ROOT / "deploy" / "prometheus" / "alerts.yaml"

    assert deployed.resolve() == ALERTS
    assert (ROOT / "deploy" / "grafana" / "dashboard.json").resolve() == FOLDER / "files" / "dashboard.json"


@pytest.mark.parametrize("metric", [metrics.ruleset_reloads, metrics.ruleset_weaker, metrics.refused_values])
def test_counter_that_wakes_somebody_is_told_before_its_first_time(metric: measures.Metric) -> None:
    told = dict(metric.samples())

    assert ("refused",) in told or ("produce",) in told
