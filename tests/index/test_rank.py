"""Ranks: one table kept up to date against counting, and all scopes in one pass against one table each."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from index.layout import Layout
from index.outline import Outline
from index.rank import RankTable, rank_all
from index.rankings import Ranking
from index.tables import Tables, optional
from index.tree import Node, Tree
from tests.index.worlds import catalogue

KEYS = st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1.0, 2.0, -1.0, 1e300]), st.floats(-9, 9))


def counted(keys: list[float | None]) -> list[int | None]:
    return [None if k is None else 1 + sum(other > k for other in keys if other is not None) for k in keys]


def array(keys: list[float | None]) -> np.ndarray:
    return np.array([np.nan if k is None else k for k in keys])


def test_competition_ranks_by_hand() -> None:
    table = RankTable(np.array([10.0, 30.0, np.nan, 20.0, 20.0]))
    assert table.ranks([30.0, 20.0, 10.0, None, 25.0]) == [1, 2, 4, None, 2]


def test_one_row_passes_two_others_by_hand() -> None:
    table = RankTable(np.array([50.0, 40.0, 30.0, 20.0, 10.0]))
    moved = table.update([20.0], [45.0])
    assert (moved.was, moved.rank, moved.shifted) == ([4], [2], [[2, 3, 1]])
    assert table.update([None], [5.0]) == ([None], [6], [])
    assert table.update([50.0], [None]) == ([1], [None], [[2, 6, -1]])


@given(st.lists(KEYS, max_size=12), st.data())
def test_moving_rows_gives_counted_ranks_and_shifts(before: list[float | None], data: st.DataObject) -> None:
    after = list(before)
    chosen = sorted(data.draw(st.sets(st.integers(0, max(len(before) - 1, 0)), max_size=len(before)))) if before else []
    for row in chosen:
        after[row] = data.draw(KEYS)
    table = RankTable(array(before))
    moved = table.update([before[r] for r in chosen], [after[r] for r in chosen])
    old, new = counted(before), counted(after)
    assert moved.was == [old[r] for r in chosen]
    assert moved.rank == [new[r] for r in chosen]
    assert len(table) == sum(k is not None for k in after)
    for row in range(len(before)):
        if row not in chosen and old[row] is not None:
            by = [by for first, last, by in moved.shifted if first <= old[row] <= last]
            assert len(by) <= 1
            assert old[row] + sum(by) == new[row], moved.shifted
    for (_, last, by), (first, _, next_by) in zip(moved.shifted, moved.shifted[1:], strict=False):
        assert last < first
        assert by
        assert next_by


@given(st.lists(st.lists(KEYS, max_size=6), min_size=1, max_size=4))
def test_all_scopes_in_one_pass(scopes: list[list[float | None]]) -> None:
    sizes = [len(s) for s in scopes]
    starts = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
    keys = array([k for s in scopes for k in s]) if sum(sizes) else np.zeros(0)
    ranks = rank_all(keys, np.repeat(np.arange(len(scopes)), sizes), starts)
    assert [r or None for r in ranks.rank.tolist()] == [r for s in scopes for r in counted(s)]
    for scope, size in enumerate(sizes):
        order = ranks.order[starts[scope] : starts[scope] + size]
        present = [(ranks.rank[p], p) for p in order if ranks.rank[p]]
        assert present == sorted(present)
        assert [p for p in order if not ranks.rank[p]] == sorted(p for p in order if not ranks.rank[p])
        assert all(starts[scope] <= p < starts[scope + 1] for p in order)


CATALOGUE = catalogue(
    cities=[f"c{i:02d}" for i in range(30)],
    groups={"g:a": ("g", [f"c{i:02d}" for i in range(20)]), "g:b": ("g", [f"c{i:02d}" for i in range(15, 30)])},
)


@given(
    st.randoms(use_true_random=False),
    st.sampled_from([None, 0, 1]),
    st.booleans(),
    st.sampled_from(["falling", "rising"]),
    st.integers(1, 30),
)
def test_few_moves_and_ranking_afresh_say_the_same(
    random: object, decimals: int | None, scoped: bool, order: str, n: int
) -> None:
    ranking = Ranking("r", "city", "index", "value", (), "g" if scoped else None, decimals, order)
    outline = Outline(ranking, Layout(CATALOGUE, ("g",)), None, Tree((Node("index"),), ()))
    few, many = Tables(outline), Tables(outline)
    for _ in range(4):
        rows = np.array(sorted(random.sample(range(30), n)))  # type: ignore[attr-defined]
        places = outline.places_of(rows)
        values = np.array([random.choice([np.nan, 1.0, 1.04, 1.2, 2.0, -3.0, 0.0, -0.0]) for _ in places])  # type: ignore[attr-defined]
        old = few.values[places]
        differs = old.view(np.int64) != values.view(np.int64)
        if not differs.any():
            continue
        places, old, values = places[differs], old[differs], values[differs]
        a, b = few._move(places, old, values), many._rank_afresh(places, old, values)
        for one, other in zip(a, b, strict=True):
            assert (one.scope, one.size, one.entity, one.was, one.rank, one.value) == (
                other.scope, other.size, other.entity, other.was, other.rank, other.value,
            )  # fmt: skip
            assert one.ranked == other.ranked or one.shifted != other.shifted
        assert few.ranks().rank.tolist() == many.ranks().rank.tolist()
        if not scoped:
            sign, keys = -1.0 if order == "rising" else 1.0, optional(few.values)
            rounded = [None if k is None else sign * (k if decimals is None else round(k, decimals)) for k in keys]
            assert [rank or None for rank in few.ranks().rank.tolist()] == counted(rounded)


def test_a_rising_order_by_hand() -> None:
    """The least first; rounded to whole numbers, 1.4 and 1.2 tie; keys beyond the range of a double are not missing."""
    layout, tree = Layout(CATALOGUE, ("g",)), Tree((Node("index"),), ())
    ranking = Ranking("r", "city", "index", "value", (), None, 0, "rising")
    tables = Tables(Outline(ranking, layout, None, tree))
    values = np.full(30, np.nan)
    values[:4] = [3.0, 1.4, 1.2, 2.0]
    tables.update(np.arange(30), values, np.zeros(30, np.int8))
    assert tables.ranks().rank[:5].tolist() == [4, 1, 1, 3, 0]
    far = Tables(Outline(Ranking("r", "city", "index", "value", (), None, 12, "rising"), layout, None, tree))
    values[:4] = [1e300, 1.0, -1e300, 2.0]
    far.update(np.arange(30), values, np.zeros(30, np.int8))
    assert far.ranks().rank[:5].tolist() == [4, 2, 1, 3, 0]


def test_optional() -> None:
    assert optional(np.array([1.0, np.nan])) == [1.0, None]
