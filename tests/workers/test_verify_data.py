"""A catalogue and a definition small enough to check by hand, and messages for them."""

import json
from datetime import UTC, datetime
from typing import Any

SYSTEM = "tiny"
LIMITS = {
    "window": 8,
    "jump": 1000,
    "cell": 10**6,
    "future_s": 86_400,
    "message_bytes": 4000,
    "event_bytes": 400,
}


def catalogue(version: int = 1, **changes: Any) -> dict[str, Any]:
    """Three cities, two groups that overlap, a flow with industries, a flow without, a stock."""
    cities = [{"code": code, "kind": "city", "name": code} for code in ("a", "b", "c")]
    groups = [{"code": f"{kind}:{slug}", "kind": kind, "name": slug} for kind, slug in (("area", "ab"), ("all", "X"))]
    indicators = [("pay", "flow", 2, "trade"), ("run", "flow", 0, ""), ("cap", "stock", 1, "")]
    return {
        "name": "tiny",
        "version": version,
        "timezone": "Asia/Shanghai",
        "base_kind": "city",
        "years": [1990, 2100],
        "limits": {**LIMITS, **changes},
        "entities": cities + groups,
        "members": {"area:ab": ["a", "b"], "all:X": ["a", "b", "c"]},
        "indicators": [
            {"code": c, "name": c, "name_en": c, "kind": k, "unit": "", "decimals": d, "industries": i}
            for c, k, d, i in indicators
        ],
        "industries": [{"set": "trade", "code": code, "name": code} for code in ("food", "toys")],
        "sources": [
            {"source": "pay-*", "indicator": "pay"},
            {"source": "*-east", "indicator": "run"},
            {"source": "mute", "indicator": ""},
        ],
    }


def catalogue_record(version: int = 1, **changes: Any) -> bytes:
    """As it stands in the log."""
    return json.dumps({"catalogue": catalogue(version, **changes)}, separators=(",", ":")).encode()


DEFINITION = """
system = "tiny"
version = 1
title = "tiny"
base = "2021Q1"
scale = 100
grains = ["quarter", "year"]
groups = ["area", "all"]
nation = "all:X"
grace_s = 86400
renormalise = true
min_coverage = 0.5
mean_yoy_from = "2022Q1"

[tree]
children = ["flows", "cap"]
weights = [0.7, 0.3]
[tree.flows]
children = ["pay", "run"]
panel = [[1, 3], [2, 2]]

[[ranking]]
name = "cities"
rows = "city"
measure = "value"
[[ranking]]
name = "growth"
rows = "city"
measure = "growth"
[[ranking]]
name = "within"
rows = "city"
scope = "area"
measure = "share"
[[ranking]]
name = "rounded"
rows = "city"
node = "flows"
measure = "value"
rank_decimals = 0
grains = ["quarter"]
"""


def event(number: int, **changes: Any) -> dict[str, Any]:
    """A good event; `changes` with the value `...` take a field away."""
    good = {
        "source": "s",
        "seq": number,
        "city": "a",
        "indicator": "run",
        "op": "add",
        "value": 5,
        "at": "2021-02-03T08:00:00+08:00",
        **changes,
    }
    return {key: value for key, value in good.items() if value is not ...}


def us(text: str) -> int:
    """Microseconds of an ISO time."""
    return round(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 1_000_000
