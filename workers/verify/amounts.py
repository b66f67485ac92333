"""Accepted events to integers: cells and day cells at a cut (docs/formats.md section 3), in SQL.

Integers are summed as HUGEINT, so nothing overflows. Tables (all in one in-memory DuckDB):

    event(cell, day, position, element, source, seq, at_us, s, dropped)  an accepted event; s in units of 10^-decimals
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
    offset). `s` is NULL where the greatest entry of a stock says that there is no level.

    A flow's cell is not there where its events add up to 0 and the last of them is a drop: any drop that found 0 and
    was followed by something has been undone by what followed.
    """
    table(con, "cut", {"partition": "INT", "next": "BIGINT"}, cut.items())
    for of in ("cell", "day"):
        con.execute(f"""
            CREATE OR REPLACE TABLE ended_{of} AS
            SELECT e.{of} AS id FROM event e JOIN cell c ON e.cell = c.id JOIN cut USING (partition)
            WHERE c.flow AND e.position < cut.next
            AND e.{of} IN (SELECT {of} FROM event WHERE dropped = 1 AND {of} >= 0)
            GROUP BY e.{of} HAVING sum(e.s) = 0 AND arg_max(e.dropped, (e.position, e.element)) = 1""")
    con.execute(f"""
        CREATE OR REPLACE TABLE cells_{suffix} AS
        WITH included AS (
            SELECT c.*, e.s, e.at_us, e.seq, e.dropped, source.name AS source
            FROM event e JOIN cell c ON e.cell = c.id JOIN cut USING (partition) JOIN source ON e.source = source.id
            WHERE e.position < cut.next AND c.id NOT IN (SELECT id FROM ended_cell)
        )
        SELECT partition, period, city, indicator, industry, flow,
               CAST(sum(s) AS HUGEINT) AS s, NULL::BIGINT AS at_us, NULL::VARCHAR AS source, NULL::BIGINT AS seq
        FROM included WHERE flow GROUP BY ALL
        UNION ALL
        SELECT partition, period, city, indicator, industry, flow,
               CASE WHEN dropped = 0 THEN CAST(s AS HUGEINT) END, at_us, source, seq FROM (
            SELECT DISTINCT ON (id) * FROM included WHERE NOT flow ORDER BY id, {GREATEST}
        )""")
    con.execute(f"""
        CREATE OR REPLACE TABLE days_{suffix} AS
        SELECT d.partition, d.month, d.city, d.indicator, d.date, CAST(sum(e.s) AS HUGEINT) AS s
        FROM event e JOIN day d ON e.day = d.id JOIN cut USING (partition)
        WHERE e.position < cut.next AND d.id NOT IN (SELECT id FROM ended_day) GROUP BY ALL""")
