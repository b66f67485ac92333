"""Amounts to scores and values (docs/formats.md section 4): one SQL expression per node, written out term by term.

A SUM of doubles may add in any order; `((w1*v1) + (w2*v2)) + ...` cannot. Where a child is missing its term is -0.0,
the one double that changes no sum (x + -0.0 = x for every x, also for -0.0).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import duckdb

from workers.verify.definition import Definition, Node


def double(value: float) -> str:
    """An SQL literal for exactly this double (`0.1` itself would be a DECIMAL)."""
    return f"CAST('{value!r}' AS DOUBLE)"


NOTHING = double(-0.0)


def base_amounts(con: duckdb.DuckDBPyConnection, definition: Definition) -> dict[str, float]:
    """B of each leaf that is present in the base period: the amount of all base entities, as a double."""
    found = con.execute(
        """SELECT indicator, CAST(CAST(sum(x) AS VARCHAR) AS DOUBLE) FROM own
           WHERE period = ? AND city IN (SELECT city FROM member) GROUP BY indicator""",
        [definition.base.name],
    )
    return dict(found.fetchall())


def evaluate(
    con: duckdb.DuckDBPyConnection, definition: Definition, bases: dict[str, float], slots: str, amounts: str, out: str
) -> None:
    """Table `out`(slot, entity, node, v, coverage, reason), a row for each slot of the table `slots`(slot), entity and
    node.

    `amounts`(slot, entity, indicator, x HUGEINT) is a table; a leaf without a row in it is not present. v and coverage
    are doubles; v is NULL where `reason` says why.
    """
    number = {node.name: i for i, node in enumerate(definition.nodes)}
    # By way of text, as that is rounded once; HUGEINT to DOUBLE directly is not always.
    pivot = ", ".join(
        f"max(CASE WHEN indicator = '{leaf}' THEN CAST(CAST(x AS VARCHAR) AS DOUBLE) END) AS x{number[leaf]}"
        for leaf in definition.leaves
    )
    con.execute(f"""
        CREATE OR REPLACE TABLE wide AS
        SELECT slot, entity, {pivot}
        FROM {slots} CROSS JOIN entity LEFT JOIN {amounts} USING (slot, entity) GROUP BY ALL""")
    for node in definition.nodes:
        i = number[node.name]
        if not node.children:
            columns = _leaf(i, bases.get(node.name), definition.scale)
        else:
            columns = _inner(i, node, [number[child] for child in node.children], number, definition)
        # Node by node, children first: an expression may then name its children's columns.
        for layer in columns:
            con.execute(f"CREATE OR REPLACE TABLE wide AS SELECT *, {layer} FROM wide")
    long = " UNION ALL ".join(
        f"SELECT slot, entity, '{node.name}' AS node, v{i} AS v, c{i} AS coverage, r{i} AS reason FROM wide"
        for i, node in enumerate(definition.nodes)
    )
    con.execute(f"CREATE OR REPLACE TABLE {out} AS {long}")
    con.execute("DROP TABLE wide")


def _leaf(i: int, base: float | None, scale: float) -> list[str]:
    usable = base is not None and base != 0
    divisor = double(base) if base is not None and usable else "NULL::DOUBLE"
    reason = f"CASE WHEN x{i} IS NULL THEN 'no-data' WHEN {not usable} THEN 'no-base' END AS r{i}"
    score = f"(x{i} / {divisor}) * {double(scale)} AS v{i}" if usable else f"NULL::DOUBLE AS v{i}"
    return [f"{reason}, {score}", f"CASE WHEN v{i} IS NULL THEN {double(0.0)} ELSE {double(1.0)} END AS c{i}"]


def _inner(i: int, node: Node, children: list[int], number: dict[str, int], definition: Definition) -> list[str]:
    weights = [double(weight) for weight in node.weights]
    terms = list(zip(weights, children, strict=True))
    leaves = [number[leaf] for leaf in node.leaves]

    whole = _sum(terms, lambda w, c: f"({w} * v{c})")
    partly = _sum(terms, lambda w, c: f"coalesce({w} * v{c}, {NOTHING})")
    weight = _sum(terms, lambda w, c: f"CASE WHEN v{c} IS NULL THEN {NOTHING} ELSE {w} END")
    coverage = _sum(terms, lambda w, c: f"({w} * c{c})")

    every_leaf = " AND ".join(f"v{leaf} IS NOT NULL" for leaf in leaves)
    every_child = " AND ".join(f"v{c} IS NOT NULL" for c in children)
    no_child = " AND ".join(f"v{c} IS NULL" for c in children)
    no_base = " OR ".join(f"r{leaf} IS NOT DISTINCT FROM 'no-base'" for leaf in leaves)
    unknown = f"CASE WHEN {no_base} THEN 'no-base' ELSE 'no-data' END"
    incomplete = "" if definition.renormalise else f"WHEN NOT ({every_child}) THEN {unknown}"
    return [
        f"CASE WHEN {every_leaf} THEN {double(1.0)} ELSE {coverage} END AS c{i}",
        f"""CASE WHEN {no_child} THEN {unknown} {incomplete}
                 WHEN c{i} < {double(definition.min_coverage)} THEN 'low-coverage' END AS r{i}""",
        f"""CASE WHEN r{i} IS NOT NULL THEN NULL
                 WHEN {every_child} THEN {whole} ELSE {partly} / ({weight}) END AS v{i}""",
    ]


def _sum(terms: Iterable[tuple[str, int]], term: Callable[[str, int], str]) -> str:
    """`((t1 + t2) + t3) + ...`"""
    first, *rest = [term(weight, child) for weight, child in terms]
    total = first
    for each in rest:
        total = f"({total} + {each})"
    return total
