"""Growths and shares of values (docs/formats.md section 4), each with its reason where it is missing.

Made from the tables `value`(period, entity, node, v, coverage, reason), `amount`, `days_<suffix>`, `member`, `wanted`
and `period`(period, grain, ordinal, pred, year_ago, open, n, span):

    n      days to compare to date: the complete ones from the first on, at most as many as the predecessor has
    span   ordinal at which the mean of year-over-year growths begins, NULL where P lies outside it

into `growth`(period, entity, node, pop, pop_why, yoy, yoy_why, mean_yoy, mean_yoy_why, to_date, to_date_why).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import duckdb

from workers.verify.amounts import table
from workers.verify.definition import Definition, Node
from workers.verify.evaluate import double, evaluate
from workers.verify.periods import Period, parse_period
from workers.verify.times import SECOND_US, Calendar

ONE = double(1.0)
DAY_S = 86_400


def system_watermark(watermarks: Iterable[int | None], day_us: int = DAY_S * SECOND_US) -> int | None:
    """Of the partitions' watermarks (us): the lowest of those that lie at most a day below the highest; None: there is
    none.
    """
    known = [each for each in watermarks if each is not None]
    return min(each for each in known if each >= max(known) - day_us) if known else None


def period_table(
    con: duckdb.DuckDBPyConnection,
    names: Iterable[str],
    definition: Definition,
    calendar: Calendar,
    watermark: int | None,
) -> None:
    """The table `period` of the periods of those names."""
    rows = []
    for name in sorted(names):
        period = parse_period(name)
        assert period is not None
        end = calendar.midnight(Period(period.grain, period.ordinal + 1).first_day)
        is_open = watermark is None or watermark < end + definition.grace_s * SECOND_US
        n = min(_complete_days(period, calendar, watermark), len(period.predecessor.days))
        start = definition.mean_yoy_from
        inside = start is not None and start.grain == period.grain and period.ordinal >= start.ordinal
        span = start.ordinal if start is not None and inside else None
        rows.append(
            (name, period.grain, period.ordinal, period.predecessor.name, period.year_ago.name, is_open, n, span)
        )
    con.execute("""CREATE OR REPLACE TABLE period(period VARCHAR, grain VARCHAR, ordinal BIGINT, pred VARCHAR,
                   year_ago VARCHAR, open BOOL, n BIGINT, span BIGINT)""")
    if rows:
        con.executemany("INSERT INTO period VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _complete_days(period: Period, calendar: Calendar, watermark: int | None) -> int:
    """Days whose end the watermark has reached, from the first on."""
    if watermark is None:
        return 0
    days = period.days
    ends = [*days[1:], Period(period.grain, period.ordinal + 1).first_day]
    complete = 0
    while complete < len(days) and calendar.midnight(ends[complete]) <= watermark:
        complete += 1
    return complete


def growths(con: duckdb.DuckDBPyConnection, suffix: str, definition: Definition, bases: Mapping[str, float]) -> None:
    """The table `growth`, of every node."""
    _to_date_values(con, suffix, definition, dict(bases))
    con.execute(f"""
        CREATE OR REPLACE TABLE growth AS
        WITH against AS (
            SELECT v.period, v.entity, v.node, v.v, p.open, p.n, p.grain, p.ordinal, p.span,
                   before.v AS v_pred, ago.v AS v_ago, cur.v AS v_n, prev.v AS v_pred_n, nd.node IS NOT NULL AS no_days
            FROM value v JOIN period p USING (period)
            LEFT JOIN value before ON (before.period, before.entity, before.node) = (p.pred, v.entity, v.node)
            LEFT JOIN value ago ON (ago.period, ago.entity, ago.node) = (p.year_ago, v.entity, v.node)
            LEFT JOIN to_date cur ON (cur.slot, cur.entity, cur.node) = (v.period || '|this', v.entity, v.node)
            LEFT JOIN to_date prev ON (prev.slot, prev.entity, prev.node) = (v.period || '|pred', v.entity, v.node)
            LEFT JOIN no_days nd ON (nd.period, nd.entity, nd.node) = (v.period, v.entity, v.node)
        ), judged AS (
            SELECT *, {_against("v_pred")} AS pop_why, {_against("v_ago")} AS yoy_why,
                CASE WHEN v IS NULL THEN 'no-value' WHEN NOT open THEN 'closed' WHEN n = 0 THEN 'no-complete-day'
                     WHEN v_pred IS NULL THEN 'no-predecessor' WHEN no_days THEN 'no-days'
                     WHEN v_n IS NULL THEN 'no-value' WHEN v_pred_n IS NULL THEN 'no-predecessor'
                     WHEN v_pred_n = 0 THEN 'zero-predecessor' END AS to_date_why
            FROM against
        ), divided AS (
            SELECT *, CASE WHEN pop_why IS NULL THEN v / v_pred - {ONE} END AS pop,
                CASE WHEN yoy_why IS NULL THEN v / v_ago - {ONE} END AS yoy,
                CASE WHEN to_date_why IS NULL THEN v_n / v_pred_n - {ONE} END AS to_date
            FROM judged
        ), spans AS (
            SELECT p.period, p.entity, p.node, p.ordinal - p.span + 1 AS wanted,
                   list(q.yoy ORDER BY q.ordinal) FILTER (q.yoy IS NOT NULL) AS yoys
            FROM divided p JOIN divided q
              ON p.span IS NOT NULL AND q.grain = p.grain AND q.ordinal BETWEEN p.span AND p.ordinal
             AND q.entity = p.entity AND q.node = p.node
            GROUP BY ALL
        ), meant AS (
            SELECT d.*, spans.yoys, CASE WHEN d.span IS NULL THEN 'outside-span' WHEN d.open THEN 'open'
                       WHEN coalesce(len(spans.yoys), 0) < spans.wanted THEN 'gap' END AS mean_yoy_why
            FROM divided d LEFT JOIN spans USING (period, entity, node)
        )
        SELECT period, entity, node, pop, pop_why, yoy, yoy_why,
               CASE WHEN mean_yoy_why IS NULL
                    THEN list_reduce(yoys, lambda a, b: a + b) / CAST(len(yoys) AS DOUBLE) END AS mean_yoy,
               mean_yoy_why, to_date, to_date_why
        FROM meant""")


def _against(other: str) -> str:
    return f"""CASE WHEN v IS NULL THEN 'no-value' WHEN open THEN 'open' WHEN {other} IS NULL THEN 'no-predecessor'
                    WHEN {other} = 0 THEN 'zero-predecessor' END"""


def _to_date_values(
    con: duckdb.DuckDBPyConnection, suffix: str, definition: Definition, bases: dict[str, float]
) -> None:
    """`to_date`(slot, entity, node, v, ...) of the slots `P|this` and `P|pred`, and `no_days`(period, entity, node)."""
    sides: list[tuple[str, str, str]] = []  # slot, the period that it evaluates, P
    days: list[tuple[str, str, bool]] = []  # slot, a date of that period, whether it is one of the first n
    open_periods = con.execute("SELECT period, pred, n FROM period WHERE open AND n > 0").fetchall()
    for name, pred, n in open_periods:
        for slot, side in ((f"{name}|this", name), (f"{name}|pred", pred)):
            sides.append((slot, side, name))
            period = parse_period(side)
            assert period is not None
            days += [(slot, day.isoformat(), i < n) for i, day in enumerate(period.days)]
    table(con, "side", {"slot": "VARCHAR", "period": "VARCHAR", "of": "VARCHAR"}, sides)
    table(con, "side_day", {"slot": "VARCHAR", "date": "VARCHAR", "counts": "BOOL"}, days)
    con.execute(f"""
        CREATE OR REPLACE TABLE day_amount AS
        SELECT side_day.slot, member.entity, d.indicator, CAST(sum(d.s) AS HUGEINT) AS x_all,
               CAST(sum(d.s) FILTER (side_day.counts) AS HUGEINT) AS x_first
        FROM days_{suffix} d JOIN side_day USING (date) JOIN member USING (city)
        WHERE d.indicator IN (SELECT indicator FROM wanted WHERE flow) GROUP BY ALL""")
    con.execute("""
        CREATE OR REPLACE TABLE to_date_amount AS
        SELECT slot, entity, indicator, x_first AS x FROM day_amount WHERE x_first IS NOT NULL
        UNION ALL
        SELECT side.slot, entity, indicator, x FROM amount JOIN side USING (period)
        WHERE indicator IN (SELECT indicator FROM wanted WHERE NOT flow)""")
    evaluate(con, definition, bases, "(SELECT slot FROM side)", "to_date_amount", "to_date")
    _below(con, definition.nodes)
    con.execute("""
        CREATE OR REPLACE TABLE no_days AS
        SELECT DISTINCT side.of AS period, a.entity, below.node
        FROM amount a JOIN side USING (period) JOIN below ON below.leaf = a.indicator
        LEFT JOIN day_amount d ON (d.slot, d.entity, d.indicator) = (side.slot, a.entity, a.indicator)
        WHERE a.indicator IN (SELECT indicator FROM wanted WHERE flow) AND a.x <> coalesce(d.x_all, 0)""")


def _below(con: duckdb.DuckDBPyConnection, nodes: Iterable[Node]) -> None:
    pairs = [(node.name, leaf) for node in nodes for leaf in node.leaves]
    table(con, "below", {"node": "VARCHAR", "leaf": "VARCHAR"}, pairs)
