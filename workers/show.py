"""`tidewatch rankings`: published tables, read from the committed topic."""

from __future__ import annotations

import msgspec

from index.catalogue import Catalogue
from stream.messages import RankingTable
from stream.published import read_tables
from workers.live import arrow, latest
from workers.output import console, emit, people_table
from workers.settings import Settings


def show_ranking(
    settings: Settings, system: str, ranking: str, period: str, scope: str | None, limit: int, *, as_json: bool
) -> None:
    """Print one table. Errors: ValueError where it is not published (it says what is), UnreachableError."""
    path = f"{system}/{ranking}/{period}" + (f"/{scope}" if scope else "")
    tables = read_tables(settings.kafka, system, settings.kafka_options)
    table = tables.get(path)
    if table is None:
        scopes = sorted({t.scope for t in tables.values() if (t.ranking, t.period) == (ranking, period) and t.scope})
        if scopes and scope not in scopes:
            raise ValueError(f"{system}/{ranking}/{period}: one table per group; --scope one of: {', '.join(scopes)}")
        if scope and f"{system}/{ranking}/{period}" in tables:
            raise ValueError(f"{system}/{ranking}/{period} is one table, without a scope; leave --scope out")
        raise ValueError(f"{path} is not published; there are: {_known(tables, system, period)}")
    if as_json:
        emit(msgspec.to_builtins(table))
        return
    catalogue = Catalogue.load(settings.catalogue)
    grid = people_table("rank", "change", "code", "name", table.measure, title=f"{path}, revision {table.revision}")
    shown = slice(limit or None)
    rows = table.rows
    for entity, rank, change, value in list(zip(rows.entity, rows.rank, rows.change, rows.value, strict=True))[shown]:
        grid.add_row(str(rank), arrow(change), entity, _name(catalogue, entity), f"{value!r}")
    console.print(grid)
    left = table.left_out
    if left.entity:
        console.print(f"left out: {len(left.entity)}")
        for entity, reason in list(zip(left.entity, left.reason, strict=True))[shown]:
            console.print(f"  {entity} {_name(catalogue, entity)}: {reason}", markup=False)


def show_top(settings: Settings, system: str, ranking: str, period: str | None, rows: int) -> None:
    """Print the first rows of a table as JSON; without `period` of the latest. Errors: as `show_ranking`."""
    tables = read_tables(settings.kafka, system, settings.kafka_options)
    rankings = sorted({t.ranking for t in tables.values() if t.scope is None})
    if ranking not in rankings:
        raise ValueError(f"{system} has no table {ranking} without a scope; --ranking: {', '.join(rankings) or 'none'}")
    name = period or latest([t.period for t in tables.values() if t.ranking == ranking and t.scope is None])
    table = tables.get(f"{system}/{ranking}/{name}")
    if table is None:
        raise ValueError(f"{system}/{ranking}/{name} is not published; there are: {_known(tables, system, name or '')}")
    columns = zip(table.rows.entity, table.rows.rank, table.rows.value, table.rows.change, strict=True)
    names = ("entity", "rank", "value", "change")
    emit(
        {
            "system": system,
            "ranking": ranking,
            "period": name,
            "revision": table.revision,
            "rows": [dict(zip(names, row, strict=True)) for row in list(columns)[:rows]],
        }
    )


def list_rankings(settings: Settings, system: str, period: str, *, as_json: bool) -> None:
    """Print which tables of `period` are published. Errors: ValueError where none is, UnreachableError."""
    tables = read_tables(settings.kafka, system, settings.kafka_options)
    found = sorted(path for path, table in tables.items() if table.period == period)
    if not found:
        raise ValueError(f"nothing of {system} is published for {period}; there are: {_known(tables, system, period)}")
    if as_json:
        emit({"system": system, "period": period, "tables": found})
    else:
        console.print("\n".join(found), markup=False, highlight=False, soft_wrap=True)


def _name(catalogue: Catalogue, entity: str) -> str:
    return catalogue.name_of(entity) if entity in catalogue.entity_of else ""


def _known(tables: dict[str, RankingTable], system: str, period: str) -> str:
    names = sorted({f"{t.ranking} {t.period}" for t in tables.values() if t.period == period})
    if names:
        return ", ".join(names)
    periods = sorted({t.period for t in tables.values()})
    return f"periods {', '.join(periods)}" if periods else f"no tables of {system}"
