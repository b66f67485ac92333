"""What a dashboard is made of: panels with their queries, laid out in rows of 24 columns, as Grafana's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SOURCE = {"type": "prometheus", "uid": "tidewatch-prometheus"}  # provisioning/datasources/prometheus.yaml
COLUMNS, HEIGHT = 24, 8
SCHEMA = 39  # of Grafana's dashboard JSON, 10.4 and newer


@dataclass(frozen=True)
class Panel:
    """One panel. `queries`: (PromQL, legend) pairs; `unit`: Grafana's name of a unit; `wide`: of 24 columns.

    `tells`: what one sees in it, and from when on it is bad.
    """

    title: str
    tells: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    wide: int = 8
    stacked: bool = False
    red_above: float | None = None

    def to_json(self, number: int, x: int, y: int) -> dict[str, Any]:
        """The panel at column `x`, row `y`."""
        steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
        if self.red_above is not None:
            steps.append({"color": "red", "value": self.red_above})
        defaults: dict[str, Any] = {"unit": self.unit, "thresholds": {"mode": "absolute", "steps": steps}}
        options: dict[str, Any]
        if self.kind == "timeseries":
            defaults["custom"] = {
                "lineWidth": 1,
                "fillOpacity": 25 if self.stacked else 5,
                "showPoints": "never",
                "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
                "thresholdsStyle": {"mode": "off" if self.red_above is None else "line"},
            }
            options = {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        else:
            options = {
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
                "colorMode": "value",
                "textMode": "value_and_name" if len(self.queries) > 1 or self.queries[0][1] else "value",
            }
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.tells,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.wide, "h": HEIGHT},
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": options,
            "targets": [
                {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": expr, "legendFormat": legend,
                 "instant": self.kind == "stat", "range": self.kind != "stat"}
                for place, (expr, legend) in enumerate(self.queries)
            ],
        }  # fmt: skip


@dataclass(frozen=True)
class Variable:
    """A choice above the dashboard: the values that a label has."""

    name: str
    label: str
    metric: str

    def to_json(self) -> dict[str, Any]:
        """All values are chosen at first."""
        query = f"label_values({self.metric}, {self.name})"
        return {
            "name": self.name,
            "label": self.label,
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": query, "refId": "variable"},
            "definition": query,
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".+",
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        }


def dashboard(
    uid: str, title: str, tells: str, variables: tuple[Variable, ...], rows: Mapping[str, tuple[Panel, ...]]
) -> dict[str, Any]:
    """The JSON of a dashboard. `rows`: title of each row, and its panels, which break where a line is full."""
    panels: list[dict[str, Any]] = []
    y = 0
    for name, held in rows.items():
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": name, "collapsed": False, "panels": [],
             "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1}}
        )  # fmt: skip
        x, y = 0, y + 1
        for panel in held:
            if x + panel.wide > COLUMNS:
                x, y = 0, y + HEIGHT
            panels.append(panel.to_json(len(panels) + 1, x, y))
            x += panel.wide
        y += HEIGHT
    return {
        "uid": uid,
        "title": title,
        "description": tells,
        "tags": ["tidewatch"],
        "timezone": "browser",
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-3h", "to": "now"},
        "links": [{"type": "dashboards", "tags": ["tidewatch"], "title": "Tidewatch", "asDropdown": False,
                   "icon": "external link", "includeVars": True, "keepTime": True, "targetBlank": False}],
        "templating": {"list": [each.to_json() for each in variables]},
        "annotations": {"list": []},
        "panels": panels,
    }  # fmt: skip
