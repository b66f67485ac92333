"""Ranking tables: the whole ones on `rankings`, what `ranking-deltas` make of them, and what the values say they should
be.

Three ways to the same rows: a table with the deltas behind its revision; all deltas from nothing, where the topic still
holds them all; the recomputed ranks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workers.verify.published import Published
from workers.verify.ranks import Range, Table
from workers.verify.report import Report, TableKey

COLUMNS = ("entity", "rank", "value", "change", "change_year")
Rows = dict[str, tuple[int, float]]  # entity -> rank, value


def compare_tables(
    report: Report, published: Published, recomputed: Mapping[TableKey, Table], measures: Mapping[str, tuple[str, str]]
) -> None:
    """Every rank, value, change and row left out. `measures`: ranking -> (measure, node) of the definition."""
    for key in sorted(recomputed.keys() | published.tables.keys(), key=lambda key: (key[0], key[1], key[2] or "")):
        name = "/".join(part for part in key if part is not None)
        table, mine = published.tables.get(key), recomputed.get(key) or Table()
        if table is None:
            if key not in published.moved_on:
                report.same("tables", "table", name, None, f"{len(mine.rows)} rows, {len(mine.left_out)} left out")
            continue
        report.compared["tables"] += 1
        if key[0] not in measures:
            report.differ("table", name, "published", "no such ranking in the definition")
            continue
        report.same("labels", "label", f"{name} measure, node", (table["measure"], table["node"]), measures[key[0]])
        _compare(report, name, table, published.deltas.get(key, []), mine)
        if published.whole:
            replayed: Rows = {}
            for delta in published.deltas.get(key, []):
                if _starts_anew(delta):
                    replayed = {}
                _apply(report, name, replayed, delta)
            _rows(report, "delta", f"{name} from all deltas", replayed, mine)


def _compare(
    report: Report, name: str, table: Mapping[str, Any], deltas: Iterable[Mapping[str, Any]], mine: Table
) -> None:
    columns = table["rows"]
    held = [columns.get(column, []) for column in COLUMNS]
    if len({len(column) for column in held}) > 1:
        report.differ("table", name, f"columns of {[len(column) for column in held]} rows", "equally long ones")
        return
    listed = list(zip(*held, strict=True))
    later = [delta for delta in deltas if delta["revision"] > table["revision"]]
    rows: Rows = {entity: (rank, value) for entity, rank, value, *_ in listed}
    if len(rows) < len(listed):
        report.differ("rank", name, "an entity stands twice", None)
    if listed != sorted(listed, key=lambda row: (row[1], row[0])):
        report.differ("rank", name, "not listed by rank, then entity", None)
    for delta in later:
        _apply(report, name, rows, delta)
    _rows(report, "rank", name, rows, mine)
    if not report.at_rest:
        return  # changes and rows left out come with the next whole table, within a second
    if later:
        report.differ(
            "table", name, f"of revision {table['revision']}, deltas up to {later[-1]['revision']}", "at rest: whole"
        )
        return
    for entity, _, _, change, change_year in listed:
        row = mine.rows.get(entity)
        if row is not None:
            _whole(report, mine, "changes", "change", f"{name} {entity}", change, row.change, row.changes)
            where = f"{name} {entity} change_year"
            _whole(report, mine, "changes", "change", where, change_year, row.change_year, row.changes_year)
    left_out = dict(zip(table["left_out"]["entity"], table["left_out"]["reason"], strict=True))
    for entity in sorted(left_out.keys() | mine.left_out.keys()):
        report.same("left out", "left-out", f"{name} {entity}", left_out.get(entity), mine.left_out.get(entity))


def _rows(report: Report, kind: str, name: str, rows: Rows, mine: Table) -> None:
    for entity in sorted(rows.keys() | mine.rows.keys()):
        rank, value = rows.get(entity, (None, None))
        row = mine.rows.get(entity)
        my_rank, ranks, my_value = (row.rank, row.ranks, row.value) if row else (None, (0, 0), None)
        _whole(report, mine, "ranks", kind, f"{name} {entity} rank", rank, my_rank, ranks)
        same = report.same if mine.exact else report.near
        same("ranked values", kind, f"{name} {entity} value", value, my_value)


def _whole(
    report: Report, mine: Table, what: str, kind: str, key: str, said: Any, recomputed: int | None, within: Range
) -> None:
    """A rank or a change: equal; of a table that is not exact, within what the tolerance of its values leaves open."""
    if not mine.exact and recomputed is not None:
        report.by_tolerance += 1
        if type(said) is int and within[0] <= said <= within[1]:
            recomputed = said
    report.same(what, kind, key, said, recomputed)


def _starts_anew(delta: Mapping[str, Any]) -> bool:
    """A first delta: it holds every row, and none was there before."""
    moved = delta["moved"]
    return all(was is None for was in moved["was"]) and delta["size"] == sum(rank is not None for rank in moved["rank"])


def _apply(report: Report, name: str, rows: Rows, delta: Mapping[str, Any]) -> None:
    """Apply one delta to `rows`, and note where it does not fit them."""
    where = f"{name} revision {delta['revision']}"
    moved = delta["moved"]
    columns = list(zip(moved["entity"], moved["was"], moved["rank"], moved["value"], strict=True))
    entities = {entity for entity, *_ in columns}
    for entity, was, _, _ in columns:
        held = rows.get(entity, (None, None))[0]
        if was != held:
            report.differ("delta", f"{where} {entity} was", was, held)
    for entity, (rank, value) in list(rows.items()):
        if entity not in entities:
            for first, last, by in delta["shifted"]:
                if first <= rank <= last:
                    rows[entity] = rank + by, value
                    break
    for entity, _, rank, value in columns:
        if rank is None:
            rows.pop(entity, None)
        else:
            rows[entity] = rank, value
    if len(rows) != delta["size"]:
        report.differ("delta", f"{where} size", delta["size"], len(rows))
