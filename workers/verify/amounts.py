"""Accepted events to integers: cells, day cells, and the amounts of a system (docs/formats.md section 3), in SQL.

Integers are summed as HUGEINT, so nothing overflows. Tables (all in one in-memory DuckDB):

    event(cell, day, position, element, source, seq, at_us, s)      an accepted event; s in units of 10^-decimals
    cell(id, partition, period, city, indicator, industry, flow)
    day(id, partition, month, city, indicator, date)
    source(id, name)
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb
import numpy as np

from workers.verify.accept import COLUMNS, Accepted
from workers.verify.catalogue import Catalogue
from workers.verify.definition import Definition
from workers.verify.periods import parse_period

# A stock's greatest entry: `source` is compared by code point, which is how DuckDB compares UTF-8 text.
GREATEST = "at_us DESC, source DESC, seq DESC"


def create(con: duckdb.DuckDBPyConnection) -> None:
    """The empty `event` table."""
    con.execute(f"CREATE TABLE event({', '.join(f'{name} BIGINT' for name in COLUMNS)})")


def insert_events(con: duckdb.DuckDBPyConnection, rows: array[int]) -> None:
    """Move the rows over, and empty them."""
    if rows:
        table = np.frombuffer(rows, dtype=np.int64).reshape(-1, len(COLUMNS))
        columns = {name: np.ascontiguousarray(table[:, i]) for i, name in enumerate(COLUMNS)}
        con.register("chunk", columns)
        con.execute("INSERT INTO event SELECT * FROM chunk")
        con.unregister("chunk")
        del table, columns
    del rows[:]


def insert_names(con: duckdb.DuckDBPyConnection, accepted: Accepted) -> None:
    """What the numbers in `event` stand for; after the last event."""
    text = "VARCHAR"
    table(
        con,
        "cell",
        {
            "id": "BIGINT",
            "partition": "INT",
            "period": text,
            "city": text,
            "indicator": text,
            "industry": text,
            "flow": "BOOL",
        },
        ((number, *names) for number, names in enumerate(accepted.cells)),
    )
    table(
        con,
        "day",
        {"id": "BIGINT", "partition": "INT", "month": text, "city": text, "indicator": text, "date": text},
        ((number, *names) for number, names in enumerate(accepted.days)),
    )
    table(con, "source", {"id": "BIGINT", "name": text}, ((number, name) for name, number in accepted.sources.items()))


def table(con: duckdb.DuckDBPyConnection, name: str, columns: Mapping[str, str], rows: Iterable[Sequence[Any]]) -> None:
    """Make a table of the given columns (name -> type) and rows."""
    con.execute(f"CREATE OR REPLACE TABLE {name}({', '.join(f'{c} {t}' for c, t in columns.items())})")
    listed = list(rows)
    if listed:
        dtypes = {"BIGINT": np.int64, "INT": np.int32, "BOOL": np.bool_}
        chunk: dict[str, np.ndarray[Any, Any]] = {
            column: np.array(values, dtype=dtypes.get(kind, object))
            for (column, kind), values in zip(columns.items(), zip(*listed, strict=True), strict=True)
        }
        con.register("chunk", chunk)
        con.execute(f"INSERT INTO {name} SELECT * FROM chunk")
        con.unregister("chunk")


def cells_at(con: duckdb.DuckDBPyConnection, suffix: str, cut: Mapping[int, int]) -> None:
    """Tables `cells_<suffix>`(partition, period, city, indicator, industry, flow, s, at_us, source, seq) and
    `days_<suffix>`(partition, month, city, indicator, date, s) of the events below the cut (partition -> next
    offset).
    """
    table(con, "cut", {"partition": "INT", "next": "BIGINT"}, cut.items())
    con.execute(f"""
        CREATE OR REPLACE TABLE cells_{suffix} AS
        WITH included AS (
            SELECT c.*, e.s, e.at_us, e.seq, source.name AS source
            FROM event e JOIN cell c ON e.cell = c.id JOIN cut USING (partition) JOIN source ON e.source = source.id
            WHERE e.position < cut.next
        )
        SELECT partition, period, city, indicator, industry, flow,
               CAST(sum(s) AS HUGEINT) AS s, NULL::BIGINT AS at_us, NULL::VARCHAR AS source, NULL::BIGINT AS seq
        FROM included WHERE flow GROUP BY ALL
        UNION ALL
        SELECT partition, period, city, indicator, industry, flow, CAST(s AS HUGEINT), at_us, source, seq FROM (
            SELECT DISTINCT ON (id) * FROM included WHERE NOT flow ORDER BY id, {GREATEST}
        )""")
    con.execute(f"""
        CREATE OR REPLACE TABLE days_{suffix} AS
        SELECT d.partition, d.month, d.city, d.indicator, d.date, CAST(sum(e.s) AS HUGEINT) AS s
        FROM event e JOIN day d ON e.day = d.id JOIN cut USING (partition)
        WHERE e.position < cut.next GROUP BY ALL""")


def amounts(con: duckdb.DuckDBPyConnection, suffix: str, definition: Definition, catalogue: Catalogue) -> None:
    """Of the cells `cells_<suffix>`, tables for one system:

    `member`(entity, city), a city being its own; `wanted`(indicator, industry, flow) of its leaves; `own`(period, city,
    indicator, x) and `amount`(period, entity, indicator, x) for the periods of its grains, x as HUGEINT, a row only
    where present.
    """
    kinds = [catalogue.base_kind, *definition.groups]
    table(
        con, "entity", {"entity": "VARCHAR", "kind": "VARCHAR"}, ((e, k) for k in kinds for e in catalogue.entities(k))
    )
    pairs = [(city, city) for city in catalogue.base]
    pairs += [
        (g, city)
        for kind in definition.groups
        for g in catalogue.entities(kind)
        for city in set(catalogue.members.get(g, ()))
    ]
    table(con, "member", {"entity": "VARCHAR", "city": "VARCHAR"}, pairs)
    known = {leaf: catalogue.indicators[leaf] for leaf in definition.leaves if leaf in catalogue.indicators}
    table(
        con,
        "wanted",
        {"indicator": "VARCHAR", "industry": "VARCHAR", "flow": "BOOL"},
        ((leaf, industry, each.flow) for leaf, each in known.items() for industry in each.industries),
    )
    held = [name for (name,) in con.execute(f"SELECT DISTINCT period FROM cells_{suffix}").fetchall()]
    table(con, "part", {"part": "VARCHAR", "period": "VARCHAR"}, _parts(held, definition))
    con.execute(f"""
        CREATE OR REPLACE TABLE own AS
        WITH contributing AS (
            SELECT part.period, c.city, c.indicator, c.industry, c.flow, c.s, c.at_us, c.source, c.seq
            FROM cells_{suffix} c JOIN part ON c.period = part.part JOIN wanted USING (indicator, industry, flow)
        ), latest AS (
            SELECT DISTINCT ON (period, city, indicator, industry) *
            FROM contributing WHERE NOT flow ORDER BY period, city, indicator, industry, {GREATEST}, s DESC
        )
        SELECT period, city, indicator, sum(s) AS x FROM contributing WHERE flow GROUP BY ALL
        UNION ALL
        SELECT period, city, indicator, sum(s) AS x FROM latest GROUP BY ALL""")
    con.execute("""
        CREATE OR REPLACE TABLE amount AS
        SELECT period, entity, indicator, CAST(sum(x) AS HUGEINT) AS x
        FROM own JOIN member USING (city) GROUP BY ALL""")


def _parts(names: Iterable[str], definition: Definition) -> Iterable[tuple[str, str]]:
    """(period of a cell, period that it is or is a part of), for the grains of the system and its base."""
    for name in names:
        period = parse_period(name)
        assert period is not None
        for grain in {*definition.grains, definition.base.grain}:
            whole = period.within(grain)
            if whole is not None:
                yield name, whole.name
