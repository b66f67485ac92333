"""deploy/prometheus and deploy/alertmanager: every rule is whole, names metrics that exist, is tried both ways."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest

from tests.deploy.deployed import DEPLOY, METRIC, base_of, metrics, read, tool
from tests.deploy.queries import alerts, rules, unknown
from workers.settings import REPOSITORY

KNOWN = metrics()
ALERTS = alerts()
PROMETHEUS = DEPLOY / "prometheus"
UNIT_TESTS = sorted((REPOSITORY / "tests" / "deploy" / "promtool").glob("*.yml"))
WHY = "Debian's package prometheus brings it"
SEVERITIES = {"page", "warn", "info"}


def test_every_metric_and_label_of_a_rule_is_listed() -> None:
    wrong = {rule.get("alert") or rule["record"]: unknown(rule["expr"], KNOWN) for _, rule in rules()}
    assert {name: found for name, found in wrong.items() if found} == {}


def test_what_is_recorded_is_asked_for_as_it_is_named() -> None:
    recorded = {rule["record"] for _, rule in rules() if "record" in rule}
    asked = {name for rule in ALERTS.values() for name in re.findall(r"\btidewatch:[\w:]+", rule["expr"])}
    assert asked <= recorded


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_says_how_bad_what_and_where_to_read_on(name: str) -> None:
    rule = ALERTS[name]
    assert re.fullmatch(r"Tidewatch[A-Z]\w+", name)
    assert rule["labels"]["severity"] in SEVERITIES
    assert set(rule["annotations"]) == {"summary", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"


def test_every_alert_is_tried_firing_and_quiet() -> None:
    tried: dict[str, set[bool]] = {name: set() for name in ALERTS}
    for path in UNIT_TESTS:
        for test in read(path)["tests"]:
            for case in test["alert_rule_test"]:
                tried[case["alertname"]].add(bool(case["exp_alerts"]))
    always = {"TidewatchWatchdog"}  # it is never quiet
    assert {name for name, ways in tried.items() if ways != {True, False} and name not in always} == set()
    assert tried["TidewatchWatchdog"] == {True}


def test_series_of_the_unit_tests_are_those_of_the_workers() -> None:
    """A unit test with a label that no worker sends proves nothing."""
    for path in UNIT_TESTS:
        for test in read(path)["tests"]:
            for each in test["input_series"]:
                if METRIC.match(each["series"]):
                    name = base_of(re.split(r"[{]", each["series"])[0], KNOWN)
                    given = set(re.findall(r"(\w+)=", each["series"]))
                    assert given - {"job", "instance", "le"} <= KNOWN[name], each["series"]


def test_promtool_accepts_configuration_and_rules() -> None:
    promtool = tool("promtool", why=WHY)
    ran = subprocess.run(
        [promtool, "check", "config", str(PROMETHEUS / "prometheus.yml")], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_promtool_runs_the_unit_tests() -> None:
    promtool = tool("promtool", why=WHY)
    ran = subprocess.run(
        [promtool, "test", "rules", *map(str, UNIT_TESTS)], capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("SUCCESS") == len(UNIT_TESTS)


# --- Alertmanager ---

CONFIG = DEPLOY / "alertmanager" / "alertmanager.yml"


def test_amtool_accepts_the_configuration() -> None:
    amtool = tool("amtool", why="Debian's package prometheus-alertmanager brings it")
    ran = subprocess.run([amtool, "check-config", str(CONFIG)], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("receiver", "labels"),
    [
        ("page", {"alertname": "TidewatchIndexLag", "severity": "page", "system": "dti-2023"}),
        ("warn", {"alertname": "TidewatchNoStandby", "severity": "warn"}),
        ("info", {"alertname": "TidewatchRedisNoLimit", "severity": "info"}),
        ("watchdog", {"alertname": "TidewatchWatchdog", "severity": "info"}),
        ("page", {"alertname": "drop", "severity": "page", "system": "dti-2023", "entity": "330100", "kind": "city"}),
        ("warn", {"alertname": "growth", "severity": "warn", "system": "dti-2023", "entity": "330100"}),
        ("info", {"alertname": "rank-fall", "severity": "info", "system": "dti-2023", "entity": "330000"}),
    ],
)
def test_alerts_reach_who_should_hear_them(receiver: str, labels: dict[str, str]) -> None:
    amtool = tool("amtool", why="Debian's package prometheus-alertmanager brings it")
    ran = subprocess.run(
        [amtool, "config", "routes", "test", f"--config.file={CONFIG}", *(f"{k}={v}" for k, v in labels.items())],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == [receiver]


def test_what_inhibits_and_what_is_inhibited_exists() -> None:
    config: Any = read(CONFIG)
    named = set(re.findall(r"\bTidewatch\w+", CONFIG.read_text(encoding="utf-8")))
    assert named <= set(ALERTS)
    assert {each["name"] for each in config["receivers"]} == {"page", "warn", "info", "watchdog"}
