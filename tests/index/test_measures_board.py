"""Measures on a board: what moves with what, merged codes, results beyond the range of a double."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from index.board import Board
from index.catalogue import Merger
from index.cells import CellStore, Partition
from index.definition import Definition
from index.diff import TableKey
from index.measures.result import exact_sum, power, settle
from index.reasons import Reason
from tests.index.measures_hand import NONE, PAY, TREE, cell
from tests.index.measures_world import Measured, text
from tests.index.worlds import catalogue


def test_a_late_event_moves_the_tables_that_read_its_period() -> None:
    """An event of 2021Q1: the sum since then moves in Q3, the change against the year before in 2022Q1."""
    rankings: list[dict[str, Any]] = [
        {"name": "sum", "rows": "city", "measure": "span_sum", "from": "2021Q1", "grains": ["quarter"]},
        {"name": "size", "rows": "city", "measure": "value", "grains": ["quarter"]},
    ]
    engine = Measured(rankings, NONE, TREE)
    for month in ("2021-01", "2021-04", "2021-07", "2022-01"):
        engine.send([cell("c1", "pay", month, 10), cell("c2", "pay", month, 20)])
    engine.board.diff()
    engine.send([cell("c1", "pay", "2021-01", 30)])
    diff = engine.board.diff()
    assert {k.path for k in diff.dirty} == {"sum/2021Q1", "sum/2021Q2", "sum/2021Q3", "size/2021Q1", "size/2021Q2",
                                            "size/2022Q1", "sum/2022Q1"}  # fmt: skip
    deltas = {(d["ranking"], d["period"]): d["moved"] for d in diff.deltas}
    assert deltas["sum", "2021Q3"] == {"entity": ["c1"], "was": [2], "rank": [1], "value": [60.0]}
    assert engine.board.table(TableKey("size", "2022Q1", None))["rows"]["change_year"] == [1, -1]


def test_members_may_move_where_their_group_does_not() -> None:
    """+ 5 for c1 and - 5 for c2: prov:a has 60 as before, but 15 15 30 are less apart than 10 20 30."""
    engine = Measured([{"name": "r", "rows": "prov", "measure": "gini"}], NONE, TREE)
    engine.send([cell(city, "pay", "2021-01", values[0] or 0) for city, values in PAY.items()])
    engine.board.diff()
    engine.send([cell("c1", "pay", "2021-01", 5), cell("c2", "pay", "2021-01", -5)])
    diff = engine.board.diff()
    assert [d["period"] for d in diff.deltas] == ["2021", "2021Q1"]
    assert diff.deltas[1]["moved"]["entity"] == ["prov:a"]
    assert diff.deltas[1]["moved"]["value"] == [2 * (15 + 30 + 90) / (3 * 60) - 4 / 3]


@pytest.mark.parametrize(("mergers", "cities"), [("restate", ["c1", "c3", "c4", "c5"]), ("keep", [*sorted(PAY), "c5"])])
def test_merged_codes_are_no_rows(mergers: str, cities: list[str]) -> None:
    """c2 is part of c1: 10 + 20 make 30 in 2021Q1, restated or not; kept, c2 has a place, and no value."""
    rankings = [
        {"name": "size", "rows": "city", "measure": "value", "node": "pay"},
        {"name": "in", "rows": "city", "measure": "share", "scope": "prov"},
        {"name": "parts", "rows": "nodes", "nodes": "children", "scope": "city", "measure": "value"},
        {"name": "sum", "rows": "prov", "measure": "members_sum", "node": "pay"},
        {"name": "grades", "rows": "grades", "measure": "grade_count", "node": "pay"},
    ]
    merged = msgspec.structs.replace(catalogue(), mergers=(Merger("c2", "c1", "2021-01"),)).checked("test")
    definition = Definition.parse(text(rankings, f'{NONE}\nmergers = "{mergers}"', TREE), merged)
    store, board = CellStore(merged), Board(definition, merged)
    cells = [[f"cells:2021Q1:{city}", "pay/all", int((values[0] or 0) * 100)] for city, values in PAY.items()]
    for rows in (cells, [["cells:2021Q1:c1", "pay/all", 1100]]):  # then one more for c1
        board.apply(store.apply(Partition(0), rows))
        diff = board.diff()
    found = board.table(TableKey("size", "2021Q1", None))
    assert found["rows"]["entity"] == ["c4", "c1", "c3"]
    assert found["rows"]["value"] == [40.0, 31.0, 30.0]
    assert sorted(found["rows"]["entity"] + found["left_out"]["entity"]) == cities
    assert dict(zip(*found["left_out"].values(), strict=True)).get("c2") == (None if mergers == "restate" else "merged")
    assert [k.scope for k in board.table_keys() if k.ranking == "parts" and k.period == "2021"] == cities
    assert board.table(TableKey("sum", "2021Q1", None))["rows"]["value"] == [61.0, 40.0]
    grades = board.table(TableKey("grades", "2021Q1", None))["rows"]
    assert dict(zip(grades["entity"], grades["value"], strict=True)) == {"top": 3.0, "low": 0.0}
    moved = [d["moved"]["entity"] for d in diff.deltas if d["ranking"] == "size"]
    assert moved == [["c1"], ["c1"]]


def test_what_is_not_finite_is_missing() -> None:
    """10^308 / 10^-10 is beyond the range of a double, and infinity - infinity is no number."""
    found = settle(np.array([np.inf, np.nan, 1.0, 2.0]), (np.array([False, False, False, True]), Reason.OPEN))
    assert found.why.tolist() == [Reason.NOT_FINITE, Reason.NOT_FINITE, Reason.NONE, Reason.OPEN]
    assert np.isnan(found.values).tolist() == [True, True, False, True]
    assert np.isnan(exact_sum([1e308, 1e308]))
    assert (power(1e300, 2.0), str(power(-1.0, 0.5))) == (np.inf, "nan")
    engine = Measured([{"name": "r", "rows": "city", "measure": "share"}], NONE, TREE)
    engine.send([cell("c1", "pay", "2021-01", 1)])
    engine.board.diff()
    system = engine.board.system
    sheet, outline = system.in_order[-1], system.outlines["r"]
    sheet.values[:] = 1e308
    sheet.values[:, system.layout.row_of["nation:n"]] = 1e-10
    assert set(system.measure(sheet, outline, outline.every).why.tolist()) == {Reason.NOT_FINITE}
