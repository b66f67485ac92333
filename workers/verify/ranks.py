"""Ranking tables (docs/formats.md section 5) from the tables `value`, `growth`, `period`, `entity` and `member`.

`ranked`(ranking, period, scope, entity, v, rank, change) and `left_out`(ranking, period, scope, entity, reason);
`scope` is '' where the ranking has none.
"""

from __future__ import annotations

import duckdb

from workers.verify.definition import Definition, Ranking
from workers.verify.evaluate import double

GROWTHS = ("pop", "yoy", "mean_yoy", "to_date")


def rankings(con: duckdb.DuckDBPyConnection, definition: Definition) -> None:
    """Both tables, of all declared rankings."""
    con.execute("""CREATE OR REPLACE TABLE measured(ranking VARCHAR, period VARCHAR, pred VARCHAR, scope VARCHAR,
                   entity VARCHAR, v DOUBLE, reason VARCHAR, sort DOUBLE)""")
    for ranking in definition.rankings:
        con.execute(f"INSERT INTO measured {_measured(ranking, definition)}")
    # rank() over a descending order is 1 + the number of rows with a strictly greater value.
    con.execute("""
        CREATE OR REPLACE TABLE ranked AS
        WITH now AS (
            SELECT *, rank() OVER (PARTITION BY ranking, period, scope ORDER BY sort DESC) AS rank
            FROM measured WHERE v IS NOT NULL
        )
        SELECT now.ranking, now.period, now.scope, now.entity, now.v, now.rank, before.rank - now.rank AS change
        FROM now LEFT JOIN now before
          ON (before.ranking, before.period, before.scope, before.entity)
           = (now.ranking, now.pred, now.scope, now.entity)""")
    con.execute("""CREATE OR REPLACE TABLE left_out AS
                   SELECT ranking, period, scope, entity, reason FROM measured WHERE v IS NULL""")


def _measured(ranking: Ranking, definition: Definition) -> str:
    grains = ", ".join(f"'{grain}'" for grain in ranking.grains)
    if ranking.scope is None:
        rows, scope = f"(SELECT entity, '' AS scope FROM entity WHERE kind = '{ranking.rows}')", definition.nation
        whole = f"'{scope}'" if scope else "NULL"
    else:
        rows = f"""(SELECT m.city AS entity, g.entity AS scope FROM entity g JOIN member m ON m.entity = g.entity
                    JOIN entity e ON e.entity = m.city
                    WHERE g.kind = '{ranking.scope}' AND e.kind = '{ranking.rows}')"""
        whole = "r.scope"
    if ranking.measure == "value":
        v, why = "v.v", "v.reason"
    elif ranking.measure == "growth":
        v = "CASE WHEN p.open THEN g.to_date ELSE g.pop END"
        why = "CASE WHEN p.open THEN g.to_date_why ELSE g.pop_why END"
    elif ranking.measure == "share":
        v = "CASE WHEN v.v IS NOT NULL AND whole.v IS NOT NULL AND whole.v <> 0 THEN v.v / whole.v END"
        why = """CASE WHEN v.v IS NULL THEN 'no-value' WHEN whole.v IS NULL THEN 'no-parent'
                      WHEN whole.v = 0 THEN 'zero-parent' END"""
    else:
        assert ranking.measure in GROWTHS, ranking.measure
        v, why = f"g.{ranking.measure}", f"g.{ranking.measure}_why"
    decimals = ranking.rank_decimals
    # To a sort, -0.0 could lie below 0.0; they are equal.
    sort = "m.v" if decimals is None else f"round_even(m.v * {double(float(10**decimals))}, 0)"
    return f"""
        SELECT '{ranking.name}', m.period, m.pred, m.scope, m.entity, m.v, m.reason,
               CASE WHEN {sort} = 0 THEN {double(0.0)} ELSE {sort} END FROM (
            SELECT p.period, p.pred, r.scope, r.entity, {v} AS v, {why} AS reason
            FROM {rows} r CROSS JOIN period p
            JOIN value v ON (v.period, v.entity, v.node) = (p.period, r.entity, '{ranking.node}')
            JOIN growth g ON (g.period, g.entity, g.node) = (p.period, r.entity, '{ranking.node}')
            LEFT JOIN value whole ON (whole.period, whole.entity, whole.node) = (p.period, {whole}, '{ranking.node}')
            WHERE p.grain IN ({grains})
        ) m"""
