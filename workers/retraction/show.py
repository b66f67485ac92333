"""A plan for people (a table and what cannot be done) and for machines."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

from rich.console import Console

from workers.output import people_table
from workers.retraction.changes import DONE, Row
from workers.retraction.plan import Plan
from workers.retraction.selection import compensator
from workers.retraction.send import Found, instant_text

SHOWN = 40


def as_json(found: Found, sent: int) -> dict[str, Any]:
    """One object; `sent`: how many events were. Amounts are decimal texts in the indicator's unit, null where nothing
    would stand.
    """
    plan, selection = found.plan, found.selection
    return {
        "source": selection.source,
        "compensator": compensator(selection.source),
        "indicator": selection.indicator,
        "from": instant_text(selection.begin_us),
        "to": instant_text(selection.end_us),
        "ends": {str(p): end for p, end in sorted(found.ends.items())},
        "known": found.known,
        "events": plan.events,
        "compensating": plan.compensating,
        "sent": sent,
        "missing": sum(row.after is None for row in plan.of(DONE)),
        "refused": dict(Counter(row.outcome for row in plan.refused)),
        "periods": sorted({row.period for row in plan.rows}),
        "rows": [
            {
                "city": row.city,
                "indicator": row.indicator,
                "industry": row.industry,
                "period": row.period,
                "events": row.events,
                "now": amount(row.now, row),
                "after": amount(row.after, row),
                "outcome": row.outcome,
            }
            for row in plan.rows
        ],
    }


def amount(units: int | None, row: Row) -> str | None:
    """In the indicator's unit, with all its decimals."""
    return None if units is None else format(Decimal(units).scaleb(-row.decimals), "f")


def render(found: Found, console: Console, limit: int = SHOWN) -> None:
    """The table, the sums, and what cannot be done."""
    plan = found.plan
    if not plan.rows:
        console.print(nothing(found), markup=False, highlight=False)
        return
    columns = ("city", "indicator", "industry", "period", "events", "now", "without them", "")
    table = people_table(*columns, title=f"retract {found.selection.source}")
    for row in plan.rows[: limit or None]:
        cells = (row.city, row.indicator, row.industry, row.period, f"{row.events:,}")
        now, after = (amount(each, row) or "-" for each in (row.now, row.after))
        table.add_row(*cells, now, after, "as if never sent" if row.outcome == DONE else row.outcome)
    console.print(table)
    for line in said(plan, limit):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def nothing(found: Found) -> str:
    """Why there is nothing to do."""
    if not found.known:
        return f"no accepted event is of source {found.selection.source}; check its spelling"
    return "nothing is left to take back"


def said(plan: Plan, limit: int = SHOWN) -> list[str]:
    """The sums, a line each."""
    rows = plan.rows
    lines = [f"... and {len(rows) - limit:,} more; all of them with --limit 0"] if limit and len(rows) > limit else []
    cities, periods = {row.city for row in rows}, sorted({row.period for row in rows})
    lines.append(
        f"{plan.events:,} events in {len(rows):,} cells of {len(cities):,} cities, periods {', '.join(periods)}; "
        f"{plan.compensating:,} compensating events"
    )
    missing = sum(row.after is None for row in plan.of(DONE))
    if missing:
        lines.append(f"{missing:,} cells will be missing: nobody else has sent anything for them")
    for reason, n in sorted(Counter(row.outcome for row in plan.refused).items()):
        lines.append(f"{n:,} cells cannot be compensated: the events would be rejected, {reason}{_hint(reason)}")
    return lines


def _hint(reason: str) -> str:
    if reason == "not-allowed":
        return " (let the compensating source write it: a line in sources.csv, then tidewatch catalogue publish)"
    if reason.startswith("unknown-") or reason == "bad-period":
        return " (the catalogue in force no longer has it, so it counts nowhere)"
    if reason == "overflow":
        return " (without them the sum would leave the bound `cell`)"
    return ""
