"""Faults planted in what the engine publishes of a system with industries, groups that are means, a geometric root and
rankings of all sorts: each is found, named, and nothing else is.
"""

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.workers import test_verify_world as worlds
from tests.workers.test_verify_against_engine import both, compare
from workers.verify.batch import System
from workers.verify.published import Published
from workers.verify.ranks import rank_ranges

DEFINITION = """
system = "t"
version = 1
title = "t"
base = "2021Q1"
grains = ["quarter"]
groups = ["area", "all"]
nation = "all:X"
group_rule = "mean"
renormalise = true
[tree]
children = ["line", "run"]
weights = [0.6, 0.4]
aggregate = "geometric"
[tree.line]
industries = "trade"
children = ["pay", "use"]
weights = [0.5, 0.5]
[[ranking]]
name = "cities"
rows = "city"
measure = "value"
[[ranking]]
name = "line"
rows = "city"
measure = "value"
node = "line"
[[ranking]]
name = "industries"
rows = "nodes"
nodes = "industries"
scope = "city"
measure = "node_share"
other = "line"
[[ranking]]
name = "areas"
rows = "area"
measure = "gini"
node = "line"
"""


def events() -> list[dict[str, Any]]:
    """Something everywhere in the quarters of two years, all of them different."""
    found = []
    for year, quarter, city in ((y, q, c) for y in (2021, 2022) for q in (1, 4, 7, 10) for c in worlds.CITIES):
        for code, _, decimals, industries in worlds.INDICATORS[:3]:
            for industry in worlds.TRADE if industries else [None]:
                number = len(found)
                event = {"source": "s", "seq": number, "city": city, "indicator": code, "industry": industry}
                event |= {"op": "add", "value": (100 + number * 37 % 101) / 10**decimals}
                found.append({**event, "at": f"{year}-{quarter:02d}-05T00:00:00+08:00"})
    return found


@pytest.fixture(scope="module")
def made() -> tuple[Published, System]:
    data = {**worlds.catalogue(random.Random(1)), "mergers": [{"code": "g", "into": "a", "month": "2022-01"}]}
    return both(data, DEFINITION, events(), random.Random(1))


def test_nothing_is_found_where_all_is_well(made: tuple[Published, System]) -> None:
    report = compare(*made)
    assert not report.differences
    assert report.by_tolerance > 100
    assert set(report.compared) >= {"values", "growths", "ranks", "changes", "ranked values", "left out"}


def update(entity: str, period: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Published], None]:
    return lambda published: change(published.updates[entity, period])


def column(ranking: str, scope: str | None, name: str, by: float) -> Callable[[Published], None]:
    """Spoil the second row of a table of 2022Q3; its deltas stay right."""

    def change(published: Published) -> None:
        values = published.tables[ranking, "2022Q3", scope]["rows"][name]
        values[1] += by

    return change


def second(published: Published, ranking: str, scope: str | None) -> str:
    return str(published.tables[ranking, "2022Q3", scope]["rows"]["entity"][1])


def node(name: str, factor: float) -> Callable[[dict[str, Any]], None]:
    def change(update: dict[str, Any]) -> None:
        update["nodes"][name] *= factor

    return change


def value(factor: float) -> Callable[[dict[str, Any]], None]:
    def change(update: dict[str, Any]) -> None:
        update["value"] *= factor

    return change


BIT = 1 + 2.0**-52
FAULTS: list[tuple[str, Callable[[Published], None], tuple[str, str]]] = [
    ("industry node, last bit", update("b", "2022Q2", node("toys", BIT)), ("node", "b/2022Q2 toys")),
    ("leaf of an industry", update("b", "2022Q2", node("pay/toys", BIT)), ("node", "b/2022Q2 pay/toys")),
    ("group mean of a node", update("area:s", "2022Q2", node("line", BIT)), ("node", "area:s/2022Q2 line")),
    ("group mean of the root", update("area:s", "2022Q2", value(1 + 3e-12)), ("value", "area:s/2022Q2")),
    ("geometric value", update("c", "2022Q2", value(1 + 3e-12)), ("value", "c/2022Q2")),
    (
        "growth of a geometric value",
        update("c", "2022Q2", lambda u: u["growth"].update(pop=u["growth"]["pop"] + 3e-12)),
        ("growth", "c/2022Q2 pop"),
    ),
    (
        "value of a code that was restated",
        lambda p: p.updates.update({("g", "2021Q1"): {**p.updates["a", "2021Q1"], "entity": "g"}}),
        ("value", "g/2021Q1"),
    ),
    ("rank of a city", column("cities", None, "rank", -1), ("rank", "cities/2022Q3 {} rank")),
    ("value of an exact table", column("line", None, "value", 1e-13), ("rank", "line/2022Q3 {} value")),
    ("value of an inexact table", column("cities", None, "value", 1e-9), ("rank", "cities/2022Q3 {} value")),
    ("change", column("cities", None, "change", 1), ("change", "cities/2022Q3 {}")),
    ("change_year", column("cities", None, "change_year", -1), ("change", "cities/2022Q3 {} change_year")),
    ("rank of an industry", column("industries", "b", "rank", 1), ("rank", "industries/2022Q3/b {} rank")),
    (
        "change_year of an industry",
        column("industries", "b", "change_year", 1),
        ("change", "industries/2022Q3/b {} change_year"),
    ),
    ("gini", column("areas", None, "value", 1e-15), ("rank", "areas/2022Q3 {} value")),
]  # fmt: skip


@pytest.mark.parametrize(("plant", "named"), [each[1:] for each in FAULTS], ids=[each[0] for each in FAULTS])
def test_fault(made: tuple[Published, System], plant: Callable[[Published], None], named: tuple[str, str]) -> None:
    spoilt = copy.deepcopy(made[0])
    plant(spoilt)
    kind, key = named
    if "{}" in key:
        ranking, _, rest = key.partition("/")
        scope = rest.partition(" ")[0].partition("/")[2] or None
        key = key.format(second(spoilt, ranking, scope))
    found = {(each.kind, each.key) for each in compare(spoilt, made[1]).differences}
    assert (kind, key) in found
    # A wrong rank is also listed out of order; nothing else is named.
    assert found - {(kind, key)} <= {(kind, key.partition(" ")[0])}


def test_within_the_tolerance_is_no_fault(made: tuple[Published, System]) -> None:
    """Of what a power goes into, and of nothing else."""
    spoilt = copy.deepcopy(made[0])
    for each in spoilt.updates.values():
        each["value"] *= 1 + 2e-13
    assert compare(spoilt, made[1]).ok


def test_ranks_within_the_tolerance(made: tuple[Published, System]) -> None:
    """Two cities whose values cannot be told apart may stand in either order; others may not."""
    table = made[1].tables()["cities", "2022Q3", None]
    assert all(row.ranks == (row.rank, row.rank) for row in table.rows.values())
    a, b, *_ = sorted(table.rows.values(), key=lambda row: row.rank)
    assert (a.rank, b.rank) == (1, 2)
    near = {"p": 5.0, "q": 5.0 * (1 + 1e-12), "r": 5.1, "s": 4.0}
    assert rank_ranges(near, None, rising=False) == {"p": (2, 3), "q": (2, 3), "r": (1, 1), "s": (4, 4)}
    assert rank_ranges(near, None, rising=True) == {"p": (2, 3), "q": (2, 3), "r": (4, 4), "s": (1, 1)}
    # 0.5 may be rounded to 0 or to 1
    assert rank_ranges({"p": 0.5, "q": 0.0, "r": 0.9}, 0, rising=False) == {"p": (1, 2), "q": (2, 3), "r": (1, 1)}
