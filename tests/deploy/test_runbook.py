"""docs/runbook.md: every alert has its heading, every heading an alert; what it tells people to type is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.deploy.deployed import METRIC, base_of, commands, metrics, variables
from tests.deploy.queries import alerts
from workers.settings import REPOSITORY, Settings

PATH = REPOSITORY / "docs" / "runbook.md"
TEXT = PATH.read_text(encoding="utf-8")
SYSTEM, INDICES = "Alerts of the system itself", "Alerts on the indices"


def sections(title: str) -> dict[str, str]:
    """Heading -> text of the `###` headings below the `##` heading `title`."""
    (part,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S)
    return dict(re.findall(r"^### ([^\n]+)\n(.*?)(?=^### |\Z)", part, re.M | re.S))


def anchor(heading: str) -> str:
    """As links to a heading end: small letters, blanks as hyphens, no punctuation."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_every_alert_of_the_system_has_a_heading_and_every_heading_an_alert() -> None:
    assert sorted(sections(SYSTEM)) == sorted(alerts())
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{anchor(name)}"


@pytest.mark.parametrize("name", sorted(alerts()))
def test_it_says_what_it_means_and_what_to_do(name: str) -> None:
    text = sections(SYSTEM)[name]
    assert "**Means**" in text
    assert "**Do**" in text


def test_every_rule_stands_below_its_type() -> None:
    rules = tomllib.loads((REPOSITORY / "systems" / "alerts.toml").read_text(encoding="utf-8"))["rule"]
    held = sections(INDICES)
    assert sorted(held) == sorted({f"Alert: {rule['type']}" for rule in rules})
    below = {name: set(re.findall(r"^\*\*`([\w-]+)`\*\* means", text, re.M)) for name, text in held.items()}
    asked: dict[str, set[str]] = {}
    for rule in rules:
        asked.setdefault(f"Alert: {rule['type']}", set()).add(rule["name"])
    assert below == asked
    # An alert's link is the setting `runbook`, `#alert-` and its type.
    assert Settings.model_fields["runbook"].default == "docs/runbook.md"
    assert {anchor(name) for name in held} == {f"alert-{rule['type']}" for rule in rules}


def test_links_end_somewhere() -> None:
    anchors = {anchor(heading) for heading in re.findall(r"^#+ (.+)$", TEXT, re.M)}
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        file, _, place = target.partition("#")
        if not file:
            assert place in anchors, target
            continue
        other = Path(PATH.parent / file).resolve()
        assert other.exists(), target
        if place:
            there = {anchor(heading) for heading in re.findall(r"^#+ (.+)$", other.read_text(encoding="utf-8"), re.M)}
            assert place in there, target


def test_commands_variables_and_metrics_that_it_names_are_there() -> None:
    told = set(re.findall(r"(?<!-n )\btidewatch ((?:dlq|catalogue|define|alerts) [a-z]+|[a-z][a-z-]*)", TEXT))
    assert told - commands() == set()
    assert set(re.findall(r"\bTIDEWATCH_\w+", TEXT)) <= variables()
    listed = metrics()
    assert {base_of(name, listed) for name in METRIC.findall(TEXT)} <= set(listed)
