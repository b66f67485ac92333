"""What a board hands out: differences to publish and whole tables, in the shapes of docs/formats.md section 6.

Without what is the same for a whole revision (schema, system, revision, definition): the publisher adds that.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct, field

from index.outline import Outline, Places
from index.rank import Ranks
from index.tables import TableMove, Tables, optional, reasons
from index.updates import Update


class TableKey(NamedTuple):
    """Names one table. `path` is its message key without the system: `ranking/period[/scope]`."""

    ranking: str
    period: str
    scope: str | None

    @property
    def path(self) -> str:
        """`ranking/period` or `ranking/period/scope`."""
        return f"{self.ranking}/{self.period}" if self.scope is None else f"{self.ranking}/{self.period}/{self.scope}"


class Diff(Struct):
    """One revision's worth of differences.

    `updates`: dicts entity, kind, period, status, value, coverage, nodes, growth, days, why; by period, then row. The
    `why` dicts are shared: do not change them. `removed`: keys `entity/period` that are no longer published. `deltas`:
    dicts ranking, period, scope, size, moved, shifted; at most one per table. `dirty`: tables that differ from before
    in rows, change or left_out.
    """

    updates: list[Update] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    deltas: list[dict[str, Any]] = field(default_factory=list)
    dirty: dict[TableKey, None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything to publish."""
        return bool(self.updates or self.removed or self.deltas or self.dirty)


def delta_of(outline: Outline, period: str, move: TableMove) -> dict[str, Any]:
    """The message of `ranking-deltas` for one table."""
    return {
        "ranking": outline.ranking.name,
        "period": period,
        "scope": outline.scopes[move.scope],
        "size": move.size,
        "moved": {"entity": move.entity, "was": move.was, "rank": move.rank, "value": move.value},
        "shifted": move.shifted,
    }


def table_of(
    outline: Outline,
    period: str,
    scope: int,
    tables: Tables | None,
    before: Tables | None,
    year_ago: Tables | None = None,
) -> dict[str, Any]:
    """The message of `rankings` for one table.

    `tables`: of the period, None if it has no cell; `before`: of its predecessor; `year_ago`: of the year before.
    """
    ranking = outline.ranking
    message: dict[str, Any] = {
        "ranking": ranking.name,
        "period": period,
        "scope": outline.scopes[scope],
        "measure": ranking.measure,
        "node": ranking.node,
        "rows": {"entity": [], "rank": [], "value": [], "change": [], "change_year": []},
        "left_out": {"entity": [], "reason": []},
    }
    if tables is None:
        return message
    start, end = outline.starts[scope : scope + 2].tolist()
    ranks = tables.ranks()
    order = ranks.order[start:end]  # by rank, then code; those left out last, in code order
    size = int(np.count_nonzero(ranks.rank[start:end]))
    listed, left_out = order[:size], order[size:]
    codes = outline.codes
    message["rows"] = {
        "entity": [codes[place] for place in listed.tolist()],
        "rank": ranks.rank[listed].tolist(),
        "value": optional(tables.values[listed]),
        "change": _rises(before, ranks, listed),
        "change_year": _rises(year_ago, ranks, listed),
    }
    why = tables.why[left_out]
    message["left_out"] = {"entity": [codes[place] for place in left_out.tolist()], "reason": reasons(why)}
    return message


def _rises(before: Tables | None, ranks: Ranks, listed: Places) -> list[int | None]:
    """By how many ranks these places rose since an earlier table; None where they were not in it."""
    if before is None:
        return [None] * len(listed)
    was = before.ranks().rank[listed]
    rises = (was - ranks.rank[listed]).tolist()
    return [rise if there else None for rise, there in zip(rises, (was > 0).tolist(), strict=True)]


def delta_between(before: dict[str, Any] | None, after: dict[str, Any]) -> dict[str, Any] | None:
    """The delta that leads from one whole table to another of the same ranking, period and scope; None if they rank
    alike.

    For when a board is replaced by one with other rows, members or measures (a new catalogue or definition), whose own
    deltas could not tell of rows that it does not have. `before`: None if there was no such table. All rows that differ
    are moved, none shifted.
    """
    old, new = _rows_by_entity(before), _rows_by_entity(after)
    entities = [e for e in sorted(old.keys() | new.keys()) if old.get(e) != new.get(e)]
    if not entities:
        return None
    absent = (None, None)
    return {
        "ranking": after["ranking"],
        "period": after["period"],
        "scope": after["scope"],
        "size": len(new),
        "moved": {
            "entity": entities,
            "was": [old.get(e, absent)[0] for e in entities],
            "rank": [new.get(e, absent)[0] for e in entities],
            "value": [new.get(e, absent)[1] for e in entities],
        },
        "shifted": [],
    }


def _rows_by_entity(table: dict[str, Any] | None) -> dict[str, tuple[int, float]]:
    if table is None:
        return {}
    rows = table["rows"]
    return {e: (r, v) for e, r, v in zip(rows["entity"], rows["rank"], rows["value"], strict=True)}
