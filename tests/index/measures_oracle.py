"""The slow oracle of rankings: every table from the published values, as docs/formats.md section 5 says it.

Plain Python that shares no code with index/. It is given what a reader of index-updates knows (`measures_facts`).
"""

from __future__ import annotations

import math
from typing import Any

from tests.index.measures_facts import Facts, positions
from tests.index.measures_rows import Cell
from tests.index.oracle import grain, shift, year_ago


def tables(facts: Facts) -> dict[tuple[str, str, str | None], dict[str, Any]]:
    """Every table that exists, by ranking, period, scope."""
    return {
        (r["name"], period, scope): table(facts, r, period, scope)
        for r in facts.rankings
        for period in facts.open
        if grain(period) in r.get("grains", facts.grains)
        for scope in facts.scopes(r)
        if facts.rows(r, scope)
    }


def table(facts: Facts, r: dict[str, Any], period: str, scope: str | None) -> dict[str, Any]:
    values, left_out, ranks = ranked(facts, r, period, scope)
    was, was_year = (
        ranked(facts, r, p, scope)[2] if p in facts.open else {} for p in (shift(period, -1), year_ago(period))
    )
    listed = sorted(ranks, key=lambda row: (ranks[row], row))
    return {
        "rows": {
            "entity": listed,
            "rank": [ranks[row] for row in listed],
            "value": [values[row] for row in listed],
            "change": [was[row] - ranks[row] if row in was else None for row in listed],
            "change_year": [was_year[row] - ranks[row] if row in was_year else None for row in listed],
        },
        "left_out": {"entity": list(left_out), "reason": list(left_out.values())},
    }


def ranked(
    facts: Facts, r: dict[str, Any], period: str, scope: str | None
) -> tuple[dict[str, float], dict[str, str], dict[str, int]]:
    values: dict[str, float] = {}
    left_out: dict[str, str] = {}
    for row in facts.rows(r, scope):
        value, why = Cell(facts, r, period, scope, row).measure()
        if value is not None and not math.isfinite(value):
            value, why = None, "not-finite"
        if value is None:
            assert why is not None
            left_out[row] = why
        else:
            values[row] = value
    decimals = r.get("rank_decimals")
    keys = {row: v if decimals is None else float(round(v * 10.0**decimals)) for row, v in values.items()}
    return values, left_out, positions(keys, rising=r.get("order") == "rising")
