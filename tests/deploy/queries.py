"""PromQL as the rules and panels hold it: which metrics and labels an expression names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.deploy.deployed import DEPLOY, METRIC, base_of, read

DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
# Prometheus adds job and instance; histograms have le; a recording rule keeps those that it is grouped by.
ADDED = {"job", "instance", "le"}
SELECTOR = re.compile(r"\b(tidewatch_[a-z_]+)(?:\{([^}]*)\})?")
GROUPED = re.compile(r"\b(?:by|on) \(([^)]*)\)")


def rules() -> Iterator[tuple[str, dict[str, Any]]]:
    """File name and rule, of all files."""
    for path in RULES:
        for group in read(path)["groups"]:
            yield from ((path.stem, rule) for rule in group["rules"])


def alerts() -> dict[str, dict[str, Any]]:
    """The alerting rules by name."""
    return {rule["alert"]: rule for _, rule in rules() if "alert" in rule}


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Dashboard's file name and panel; rows are left out."""
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            if panel["type"] != "row":
                yield path.stem, panel


def queries() -> list[tuple[str, str]]:
    """Where it stands, and the query, of all panels."""
    return [
        (f"{board}/{panel['title']}/{target['refId']}", target["expr"])
        for board, panel in panels()
        for target in panel["targets"]
    ]


def unknown(expression: str, known: dict[str, set[str]]) -> list[str]:
    """Metrics and labels that an expression names and docs/metrics.md does not."""
    text = expression.replace("$__rate_interval", "5m")
    found, allowed = [], set(ADDED)
    for name, matchers in SELECTOR.findall(text):
        metric = base_of(name, known)
        if metric not in known:
            found.append(name)
            continue
        allowed |= known[metric]
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
            if label not in known[metric] | ADDED:
                found.append(f"{name}{{{label}}}")
    if METRIC.search(text):
        grouped = {label.strip() for labels in GROUPED.findall(text) for label in labels.split(",") if label.strip()}
        found += sorted(f"by ({label})" for label in grouped - allowed)
    return found
