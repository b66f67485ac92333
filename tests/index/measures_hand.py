"""The small figures of the measures' tests by hand, and a table over them.

Amounts are values here (`normalise = "none"`, 100 units are 1); the index of a city is pay + ai, 2021Q1 to 2022Q1:

    pay  c1 10 20 30 -- 40    ai  c1  2  2  6 -- 10
         c2 20 20 10 -- 60        c2  6  6  6 -- 20
         c3 30 20 20 -- --        c3  4
         c4 40 20 80 -- 10        c4 (none)

prov:a holds c1, c2, c3; prov:b c4 and c5 (no data); circle:y c2, c3, c5.
"""

from __future__ import annotations

from typing import Any

from index.diff import TableKey
from tests.index.measures_world import Measured
from tests.index.oracle import Event, first_day, start_us

NONE = 'normalise = "none"\nscale = 1'
TREE = """
[tree]
children = ["pay", "ai"]
aggregate = "sum"
[[grade]]
code = "top"
title = "Top"
at_least = 30
[[grade]]
code = "low"
title = "Low"
at_least = 10
"""
PAY = {"c1": [10, 20, 30, None, 40], "c2": [20, 20, 10, None, 60], "c3": [30, 20, 20], "c4": [40, 20, 80, None, 10]}
AI = {"c1": [2, 2, 6, None, 10], "c2": [6, 6, 6, None, 20], "c3": [4]}
MONTHS = ["2021-01", "2021-04", "2021-07", "2021-10", "2022-01"]


def cell(city: str, indicator: str, month: str, value: float) -> Event:
    return Event(0, "s", 0, city, indicator, "all", int(value * 100), start_us(first_day(month)))


def table(
    period: str,
    measure: str,
    *,
    scope: str | None = None,
    until: str | None = "2023-01",
    tree: str = TREE,
    head: str = "",
    column: str = "value",
    **keys: Any,
) -> dict[str, float | str]:
    """What one ranking says of its rows: a value (or another column), or the reason of those left out."""
    ranking = {"name": "r", "rows": "city", "measure": measure, "grains": ["quarter"]} | keys
    engine = Measured([{k.rstrip("_"): v for k, v in ranking.items()}], f"{NONE}\n{head}", tree)
    engine.send(
        [
            cell(city, indicator, month, value)
            for indicator, cities in (("pay", PAY), ("ai", AI))
            for city, values in cities.items()
            for month, value in zip(MONTHS, values, strict=False)
            if value is not None
        ]
    )
    engine.set_watermark(None if until is None else start_us(first_day(until)) + 3_600_000_000)
    engine.board.diff()
    whole = engine.board.table(TableKey("r", period, scope))
    rows, left_out = whole["rows"], whole["left_out"]
    found = dict(zip(rows["entity"], rows[column], strict=True))
    return found | dict(zip(left_out["entity"], left_out["reason"], strict=True))
