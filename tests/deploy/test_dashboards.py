"""deploy/grafana as files: what the generator makes, laid out without overlap, of metrics that there are."""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter

import pytest

from tests.deploy.deployed import DEPLOY, metrics, read
from tests.deploy.queries import DASHBOARDS, panels, queries, unknown

GRAFANA = DEPLOY / "grafana"
KNOWN = metrics()


def test_what_is_kept_is_what_the_generator_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(GRAFANA))
    before = set(sys.modules)
    made = importlib.import_module("make").texts()
    for name in set(sys.modules) - before:
        del sys.modules[name]
    assert made == {path.name: path.read_text(encoding="utf-8") for path in DASHBOARDS}, "run deploy/grafana/make.py"


def test_there_are_three() -> None:
    titles = [json.loads(path.read_text(encoding="utf-8"))["title"] for path in DASHBOARDS]
    assert titles == ["Index movement", "Pipeline health", "Data quality"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_have_a_place_of_their_own_and_say_what_they_show(path: object) -> None:
    board = json.loads(path.read_text(encoding="utf-8"))  # type: ignore[attr-defined]
    taken: Counter[tuple[int, int]] = Counter()
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        taken.update((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"]))
        if panel["type"] != "row":
            assert panel["description"]
            assert panel["targets"]
    assert max(taken.values()) == 1
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    used = {name for name in ("system", "grain") if f'"${name}"' in json.dumps(board).replace('\\"', '"')}
    assert used == {each["name"] for each in board["templating"]["list"]}


def test_every_metric_and_label_of_a_panel_is_listed() -> None:
    wrong = {where: unknown(query, KNOWN) for where, query in queries()}
    assert {where: found for where, found in wrong.items() if found} == {}


def test_panels_ask_the_data_source_that_is_provisioned() -> None:
    (source,) = read(GRAFANA / "provisioning" / "datasources" / "prometheus.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090", "the service of compose.yaml"
    for where, panel in panels():
        assert panel["datasource"] == {"type": "prometheus", "uid": source["uid"]}, where
    (provider,) = read(GRAFANA / "provisioning" / "dashboards" / "tidewatch.yaml")["providers"]
    mounts = read(DEPLOY / "compose.yaml")["services"]["grafana"]["volumes"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in mounts
