"""Growth to date of the root (docs/formats.md section 4): the first n days of an open period and of its predecessor.

From the tables of system.py and `days_<suffix>`; the sums of days are integers, in SQL.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import numpy as np

from workers.verify.amounts import table
from workers.verify.grid import Bools, fetch
from workers.verify.nodes import World, evaluate
from workers.verify.numbers import Maybe, Numbers, finite
from workers.verify.periods import Period
from workers.verify.tree import ROOT


def to_date(
    con: duckdb.DuckDBPyConnection, suffix: str, world: World, numbers: Numbers, gone: Bools
) -> dict[tuple[str, Period], Maybe]:
    """(entity, period) -> growth or reason, for all. `gone` (slots, entities): merged away."""
    asked = [] if world.definition.relative else [p for p in numbers.slots if p in numbers.open and numbers.days[p]]
    without, values = _sides(con, suffix, world, numbers, asked, gone)
    found: dict[tuple[str, Period], Maybe] = {}
    for period in numbers.slots:
        for entity in numbers.entities:
            key = entity, period
            reason = _reason(world, numbers, entity, period)
            if reason is None and key in without:
                reason = "no-days"
            found[key] = (None, reason) if reason else _divided(values, entity, period)
    return found


def _reason(world: World, numbers: Numbers, entity: str, period: Period) -> str | None:
    if numbers.v(entity, ROOT, period) is None:
        return "no-value"
    if period not in numbers.open:
        return "closed"
    if world.definition.relative:
        return "relative"
    if numbers.days[period] == 0:
        return "no-complete-day"
    return "no-predecessor" if numbers.v(entity, ROOT, period.predecessor) is None else None


def _divided(values: Mapping[tuple[str, Period, Period], float], entity: str, period: Period) -> Maybe:
    now, then = values.get((entity, period, period)), values.get((entity, period, period.predecessor))
    if now is None:
        return None, "no-value"
    if then is None:
        return None, "no-predecessor"
    return (None, "zero-predecessor") if then == 0 else finite(now / then - 1.0)


def _sides(
    con: duckdb.DuckDBPyConnection, suffix: str, world: World, numbers: Numbers, asked: list[Period], gone: Bools
) -> tuple[set[tuple[str, Period]], dict[tuple[str, Period, Period], float]]:
    """(entity, P) that have no days; and (entity, P, P or its predecessor) -> value of the first n days."""
    sides = [(of, period) for of in asked for period in (of, of.predecessor)]
    if not sides:
        return set(), {}
    days = [
        (slot, day.isoformat(), i < numbers.days[of])
        for slot, (of, period) in enumerate(sides)
        for i, day in enumerate(period.days)
    ]
    table(
        con,
        "side",
        {"slot": "INT", "period": "VARCHAR"},
        ((slot, period.name) for slot, (_, period) in enumerate(sides)),
    )
    table(con, "side_day", {"slot": "INT", "date": "VARCHAR", "counts": "BOOL"}, days)
    # Of whole indicators only: day cells have no industries.
    con.execute(f"""
        CREATE OR REPLACE TABLE day_amount AS
        SELECT side_day.slot, member.id AS entity, col.col, CAST(sum(d.s) AS HUGEINT) AS x_all,
               CAST(sum(d.s) FILTER (side_day.counts) AS HUGEINT) AS x_first
        FROM days_{suffix} d JOIN side_day USING (date)
        LEFT JOIN home ON (home.code, home.period) = (d.city, d.month)
        JOIN member ON member.city = coalesce(home.city, d.city)
        JOIN col ON col.name = d.indicator WHERE col.flow GROUP BY ALL""")
    query = """
        SELECT slot, entity, col, x_first AS x FROM day_amount WHERE x_first IS NOT NULL
        UNION ALL
        SELECT side.slot, entity, col, x FROM amount JOIN side USING (period) JOIN col USING (col) WHERE NOT flow"""
    rows = con.execute("""
        SELECT DISTINCT side.slot, a.entity
        FROM amount a JOIN side USING (period) JOIN col USING (col) LEFT JOIN day_amount d USING (slot, entity, col)
        WHERE col.flow AND col.counts AND a.x <> coalesce(d.x_all, 0)""").fetchall()
    names = list(numbers.entities)
    without = {(names[entity], sides[slot][0]) for slot, entity in rows}

    # A period whose predecessor holds nothing at all has no slot of its own: nobody is merged away among nobody.
    none = np.zeros(len(names), np.bool_)
    away = np.array([gone[numbers.slots[p]] if p in numbers.slots else none for _, p in sides])
    root = evaluate(world, fetch(con, query, len(sides), len(names)), away).nodes[ROOT]
    return without, {
        (names[entity], *sides[slot]): float(root.v[slot, entity]) for slot, entity in np.argwhere(root.ok).tolist()
    }
