"""The amounts of one system, in SQL: cells, mergers, industries and groups to columns (docs/formats.md sections 3, 4).

Made of `cells_<suffix>`; all sums are integers (HUGEINT):

    entity(id, entity, kind)            the rows of the system: base entities, then groups
    member(id, city)                    entity -> base entities below it; a city is its own
    wanted(col, indicator, industry)    what adds up to a column of amounts
    col(col, name, flow, counts)        `counts`: the values need it, not only their bases
    home(code, period, city)            where a merged code's cells of that period count
    own(period, city, col, x)           amounts of base entities, a row only where present
    amount(period, entity, col, x)      amounts of all entities
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import duckdb

from workers.verify.amounts import GREATEST, table
from workers.verify.catalogue import Catalogue
from workers.verify.definition import Definition
from workers.verify.mergers import homes
from workers.verify.periods import parse_period

TEXT = "VARCHAR"


def entities(catalogue: Catalogue, definition: Definition) -> list[tuple[str, str]]:
    """(entity, kind) of the rows of the system: base entities, then groups. A code that was merged is none where
    history is restated.
    """
    gone = frozenset[str]() if definition.keep else catalogue.mergers.keys()
    kinds = [catalogue.base_kind, *definition.groups]
    return [(each, kind) for kind in kinds for each in catalogue.entities(kind) if each not in gone]


def members(catalogue: Catalogue, rows: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Entity -> base entities below it, those that are rows."""
    listed = list(rows)
    base = {entity for entity, kind in listed if kind == catalogue.base_kind}
    return {
        entity: [entity] if entity in base else sorted(base.intersection(catalogue.members.get(entity, ())))
        for entity, _ in listed
    }


def amounts(con: duckdb.DuckDBPyConnection, suffix: str, definition: Definition, catalogue: Catalogue) -> None:
    """All tables of the head of this file."""
    rows = entities(catalogue, definition)
    number = {entity: i for i, (entity, _) in enumerate(rows)}
    table(
        con,
        "entity",
        {"id": "INT", "entity": TEXT, "kind": TEXT},
        ((i, entity, kind) for i, (entity, kind) in enumerate(rows)),
    )
    below = members(catalogue, rows)
    table(
        con,
        "member",
        {"id": "INT", "city": TEXT},
        ((number[entity], city) for entity, cities in below.items() for city in cities),
    )
    _columns(con, definition, catalogue)

    held = [name for (name,) in con.execute(f"SELECT DISTINCT period FROM cells_{suffix}").fetchall()]
    parts = list(_parts(held, definition))
    table(con, "part", {"part": TEXT, "period": TEXT}, parts)
    months = [name for (name,) in con.execute(f"SELECT DISTINCT month FROM days_{suffix}").fetchall()]
    names = {*held, *months, *(whole for _, whole in parts)}
    table(con, "home", {"code": TEXT, "period": TEXT, "city": TEXT}, homes(catalogue, definition.keep, names))
    con.execute(f"""
        CREATE OR REPLACE TABLE own AS
        WITH contributing AS (
            SELECT part.period, c.period AS cell, c.city AS code, c.indicator, c.industry, c.flow, c.s,
                   c.at_us, c.source, c.seq
            FROM cells_{suffix} c JOIN part ON c.period = part.part
            WHERE c.indicator IN (SELECT indicator FROM wanted) AND c.s IS NOT NULL
        ), latest AS (
            SELECT DISTINCT ON (period, code, indicator, industry) *
            FROM contributing WHERE NOT flow ORDER BY period, code, indicator, industry, {GREATEST}, s DESC
        ), counted AS (
            SELECT f.period, coalesce(home.city, f.code) AS city, indicator, industry, s
            FROM contributing f LEFT JOIN home ON (home.code, home.period) = (f.code, f.cell) WHERE flow
            UNION ALL
            SELECT l.period, coalesce(home.city, l.code) AS city, indicator, industry, s
            FROM latest l LEFT JOIN home ON (home.code, home.period) = (l.code, l.period)
        )
        SELECT period, city, col, CAST(sum(s) AS HUGEINT) AS x
        FROM counted JOIN wanted USING (indicator, industry) GROUP BY ALL""")
    con.execute("""
        CREATE OR REPLACE TABLE amount AS
        SELECT period, member.id AS entity, col, CAST(sum(x) AS HUGEINT) AS x
        FROM own JOIN member USING (city) GROUP BY ALL""")


def base_amounts(con: duckdb.DuckDBPyConnection, definition: Definition) -> dict[str, int]:
    """By column: the amount of all base entities in the base period, where present."""
    if definition.base is None:
        return {}
    found = con.execute(
        """SELECT name, CAST(sum(x) AS HUGEINT) FROM own JOIN col USING (col)
           WHERE period = ? AND city IN (SELECT city FROM member) GROUP BY name""",
        [definition.base.name],
    )
    return dict(found.fetchall())


def _columns(con: duckdb.DuckDBPyConnection, definition: Definition, catalogue: Catalogue) -> None:
    needed = definition.columns
    names = sorted({*needed, *(leaf.base_column for leaf in definition.leaves.values())})
    # An entropy is present where its indicator is.
    columns, wanted = [], []
    for i, name in enumerate(names):
        indicator, _, industry = name.partition("/")
        known = catalogue.indicators.get(indicator)
        if known is not None:
            columns.append((i, name, known.flow, name in needed))
            wanted += [(i, indicator, each) for each in known.industries if industry in ("", each)]
    table(con, "col", {"col": "INT", "name": TEXT, "flow": "BOOL", "counts": "BOOL"}, columns)
    table(con, "wanted", {"col": "INT", "indicator": TEXT, "industry": TEXT}, wanted)


def _parts(names: Iterable[str], definition: Definition) -> Iterator[tuple[str, str]]:
    """(period of a cell, period that it is or is a part of), for the grains of the system and its base."""
    grains = {*definition.grains, definition.base.grain} if definition.base else set(definition.grains)
    for name in names:
        period = parse_period(name)
        assert period is not None
        for grain in grains:
            whole = period.within(grain)
            if whole is not None:
                yield name, whole.name
