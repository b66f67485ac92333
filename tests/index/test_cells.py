"""Absolute rows into exact differences."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.cells import CellStore, Partition
from index.changes import Changes
from index.errors import CorruptCellError, NewerCatalogueError
from tests.index.worlds import catalogue

P0, P1 = Partition(0), Partition(1)


def told(store: CellStore, changes: Changes) -> dict[str, list[tuple[Any, ...]]]:
    """Differences in words."""
    c = store.catalogue
    found: dict[str, list[tuple[Any, ...]]] = {}
    for name in ("flows", "levels"):
        a = getattr(changes, name)
        rows = zip(*(column.tolist() for column in a), strict=True)
        found[name] = [
            (changes.periods[p].name, c.cities[i], c.indicators[k].code, c.industry_codes[k][j], delta, new)
            for p, i, k, j, delta, new in rows
        ]
    found["days"] = [
        (day, c.cities[i], c.indicators[k].code, delta, new)
        for day, i, k, delta, new in zip(*(column.tolist() for column in changes.days), strict=True)
    ]
    return {name: rows for name, rows in found.items() if rows}


def test_differences_by_hand() -> None:
    store = CellStore(catalogue())
    first = store.apply(
        P0, [["cells:2021Q1:c1", "pay/all", 5, "cloud/food", 0], ["days:2021-01:c1", "pay@2021-01-02", "7"]]
    )
    assert told(store, first) == {
        "flows": [("2021Q1", "c1", "pay", "all", 5, 1), ("2021Q1", "c1", "cloud", "food", 0, 1)],
        "days": [(18629, "c1", "pay", 7, 1)],
    }
    again = store.apply(P0, [["cells:2021Q1:c1", "pay/all", "5", "cloud/food", -2]])
    assert told(store, again) == {"flows": [("2021Q1", "c1", "cloud", "food", -2, 0)]}
    assert told(store, store.apply(P1, [["cells:2021Q1:c1", "pay/all", 1]])) == {
        "flows": [("2021Q1", "c1", "pay", "all", 1, 1)]
    }
    twice = store.apply(P0, [["cells:2021Q1:c1", "pay/all", 9], ["cells:2021Q1:c1", "pay/all", 6]])
    assert told(store, twice) == {"flows": [("2021Q1", "c1", "pay", "all", 1, 0)]}


def test_a_whole_load_takes_back_what_it_lacks() -> None:
    store = CellStore(catalogue())
    store.apply(
        P0, [["cells:2021Q1:c1", "pay/all", 5, "users/all", "3 100 1 s"], ["days:2021-01:c1", "pay@2021-01-02", 5]]
    )
    store.apply(P1, [["cells:2021Q1:c1", "pay/all", 8]])
    gone = store.replace(P0, [["cells:2021Q1:c2", "pay/all", "1"]])
    assert told(store, gone) == {
        "flows": [("2021Q1", "c2", "pay", "all", 1, 1), ("2021Q1", "c1", "pay", "all", -5, -1)],
        "levels": [(p, "c1", "users", "all", -3, -1) for p in ("2021Q1", "2021H1", "2021")],
        "days": [(18629, "c1", "pay", -5, -1)],
    }
    assert store.replace(P0, [["cells:2021Q1:c2", "pay/all", "1"]]).size == 0
    back = store.apply(P0, [["cells:2021Q1:c1", "pay/all", 4]])
    assert told(store, back) == {"flows": [("2021Q1", "c1", "pay", "all", 4, 1)]}


def test_cells_that_end() -> None:
    """Of a cell that stands twice, the last counts, whether it ends or comes back."""
    store, row = CellStore(catalogue()), "cells:2021Q1:c1"
    store.apply(P0, [[row, "pay/all", 5, "users/all", "3 100 1 s"], ["days:2021-01:c1", "pay@2021-01-02", 5]])
    levels = [(p, "c1", "users", "all", -3, -1) for p in ("2021Q1", "2021H1", "2021")]
    ended = store.apply(P0, [[row, "pay/all", "", "users/all", "- 100 2 s"], ["days:2021-01:c1", "pay@2021-01-02", ""]])
    assert told(store, ended) == {
        "flows": [("2021Q1", "c1", "pay", "all", -5, -1)],
        "levels": levels,
        "days": [(18629, "c1", "pay", -5, -1)],
    }
    assert store.apply(P0, [[row, "pay/all", "", "cloud/food", ""]]).size == 0
    back = store.apply(P0, [[row, "pay/all", ""], [row, "pay/all", 0]])
    assert told(store, back) == {"flows": [("2021Q1", "c1", "pay", "all", 0, 1)]}
    assert told(store, store.apply(P0, [[row, "pay/all", 4], [row, "pay/all", ""]])) == {
        "flows": [("2021Q1", "c1", "pay", "all", 0, -1)]
    }
    later = store.apply(P1, [[row, "users/all", "2 50 1 s"]])
    assert [each[4:] for each in told(store, later)["levels"]] == [(2, 1)] * 3, "what says nothing covers nothing"
    for value in "-", "- 1 2", "- x 1 s", " ":
        with pytest.raises(CorruptCellError):
            store.apply(P0, [[row, "users/all", value]])
    with pytest.raises(CorruptCellError):
        store.apply(P0, [[row, "users/all", ""]])


def test_the_latest_level_counts_in_each_containing_period() -> None:
    store = CellStore(catalogue())
    store.apply(P0, [["cells:2021-01:c1", "users/all", "10 100 1 s"]])
    later = told(store, store.apply(P0, [["cells:2021-02:c1", "users/all", "7 200 2 s"]]))["levels"]
    assert later == [
        ("2021-02", "c1", "users", "all", 7, 1),
        *[(p, "c1", "users", "all", -3, 0) for p in ("2021Q1", "2021H1", "2021")],
    ]
    # another partition, the same time: the greater source wins, then the greater seq
    tie = told(store, store.apply(P1, [["cells:2021-02:c1", "users/all", "9 200 1 t"]]))["levels"]
    assert tie == [(p, "c1", "users", "all", 2, 0) for p in ("2021-02", "2021Q1", "2021H1", "2021")]
    assert store.apply(P0, [["cells:2021-02:c1", "users/all", "1 200 99 s"]]).size == 0
    assert told(store, store.apply(P1, [["cells:2021-02:c1", "users/all", "4 200 2 t"]]))["levels"][0][4] == -5
    # an own entry of the year, older than its parts, is present but does not count
    assert told(store, store.apply(P0, [["cells:2021:c1", "users/all", "1 50 3 s"]])) == {}


def test_a_source_may_hold_anything_but_blanks() -> None:
    store = CellStore(catalogue())
    changes = store.apply(P0, [["cells:2021:c1", "users/all", "-4 -100 0 a/b:c@d#é"]])
    assert told(store, changes)["levels"] == [("2021", "c1", "users", "all", -4, 1)]


def test_a_store_of_many_cells_grows() -> None:
    store = CellStore(catalogue())
    rows = [
        [f"days:2021-{m:02d}:{c}"] + [x for d in range(1, 29) for x in (f"pay@2021-{m:02d}-{d:02d}", d)]
        for m in range(1, 13) for c in ("c1", "c2", "c3", "c4", "c5")
    ]  # fmt: skip
    assert store.replace(P0, rows).size == 12 * 5 * 28
    assert store.replace(P0, rows).size == 0
    assert store.everything().size == 12 * 5 * 28
    assert store.replace(P0, rows[:30]).size == 30 * 28


def test_names_of_a_newer_catalogue() -> None:
    store = CellStore(catalogue(version=3))
    rows = [
        ("city", ["cells:2021:c9", "pay/all", 1]),
        ("indicator", ["cells:2021:c1", "x/all", 1]),
        ("industry", ["cells:2021:c1", "cloud/all", 1]),
        ("indicator", ["days:2021-01:c1", "x@2021-01-01", 1]),
    ]
    for what, row in rows:
        with pytest.raises(NewerCatalogueError, match=f"unknown {what}") as caught:
            store.apply(P0, [row])
        assert caught.value.version == 3
        with pytest.raises(NewerCatalogueError):
            store.apply(P0, [row], catalogue_version=4)
        assert store.apply(P0, [["cells:2021:c2", "pay/all", 1], row], catalogue_version=3).size <= 1  # dropped since
    assert store.everything().size == 1


@pytest.mark.parametrize(
    "row",
    [
        ["cells:2021", "pay/all", 1],
        ["cell:2021:c1", "pay/all", 1],
        ["cells:2021Q9:c1", "pay/all", 1],
        ["days:2021Q1:c1", "pay@2021-01-01", 1],
        ["days:2021-01:c1", "pay@2021-02-01", 1],
        ["days:2021-01:c1", "pay", 1],
        ["days:2021-01:c1", "users@2021-01-01", 1],
        ["cells:2021:c1", "pay", 1],
        ["cells:2021:c1", "pay/all"],
        ["cells:2021:c1", "pay/all", "x"],
        ["cells:2021:c1", "pay/all", "5 100 1 s"],
        ["cells:2021:c1", "pay/all", None],
        ["cells:2021:c1", "pay/all", 10**15],
        ["cells:2021:c1", "pay/all", -(10**400)],
        ["cells:2021:c1", "users/all", 5],
        ["cells:2021:c1", "users/all", "5 100 1"],
        ["cells:2021:c1", "users/all", "5 x 1 s"],
        ["cells:2021:c1", "users/all", f"{10**15} 1 1 s"],
    ],
)
def test_corrupt_rows_are_refused_and_change_nothing(row: list[Any]) -> None:
    store = CellStore(catalogue())
    with pytest.raises(CorruptCellError):
        store.apply(P0, [["cells:2021:c2", "pay/all", 1], row])
    assert store.everything().size == 0
    assert store.apply(P0, [["cells:2021:c2", "pay/all", 1]]).size == 1


FIELDS = st.sampled_from(["pay/all", "cloud/food", "cloud/retail", "users/all"])
ROWS = st.dictionaries(
    st.sampled_from(["2021:c1", "2021Q1:c1", "2021-02:c2"]),
    st.dictionaries(FIELDS, st.integers(-9, 9), max_size=4),
    max_size=3,
)


@given(st.lists(st.tuples(st.sampled_from([P0, P1]), st.booleans(), ROWS), max_size=8))
def test_adding_all_differences_gives_the_present_state(
    steps: list[tuple[Partition, bool, dict[str, dict[str, int]]]],
) -> None:
    store = CellStore(catalogue())
    sums: Counter[tuple[Any, ...]] = Counter()
    for partition, whole, rows in steps:
        wire = [
            [f"cells:{row}"]
            + [x for f, v in fields.items() for x in (f, f"{v} {v} 1 s{partition}" if "users" in f else v)]
            for row, fields in rows.items()
        ]
        changes = store.replace(partition, wire) if whole else store.apply(partition, wire)
        for name, found in told(store, changes).items():
            for *key, delta, new in found:
                sums[name, *key, "sum"] += delta
                sums[name, *key, "cells"] += new
    now: Counter[tuple[Any, ...]] = Counter()
    for name, found in told(store, store.everything()).items():
        for *key, delta, new in found:
            now[name, *key, "sum"] += delta
            now[name, *key, "cells"] += new
    assert {k: v for k, v in sums.items() if v} == {k: v for k, v in now.items() if v}


def test_a_store_goes_with_its_last_user() -> None:
    """A worker's cycle collector seldom runs, and a new catalogue brings a new store with all cells."""
    gc.disable()
    try:
        made = CellStore(catalogue())
        made.apply(P0, [["cells:2021-01:c1", "pay/all", 1]])
        gone = weakref.ref(made)
        del made
        assert gone() is None
    finally:
        gc.enable()
