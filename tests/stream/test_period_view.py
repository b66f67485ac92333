"""A table brought forward by its deltas, and which tables lag; and since when a version of the definition is run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.messages import Counts, LeftOut, Moved, RankingDelta, RankingTable, Revision, Rows
from stream.period_view import PeriodView, Ranked, applied
from stream.revisions import first_of_each_run

KEY = "s/cities/2021Q1"


def revision(number: int, definition: int = 1) -> Revision:
    return Revision(
        system="s", revision=number, definition=definition, catalogue=1, reason="feed", offsets={}, watermark=None,
        counts=Counts(), updates=0, deltas=0, tables=0,
    )  # fmt: skip


def delta(
    number: int,
    size: int,
    moved: dict[str, tuple[int | None, int | None, float | None]],
    *shifted: tuple[int, int, int],
) -> RankingDelta:
    columns = Moved(list(moved), *(list(column) for column in zip(*moved.values(), strict=True))) if moved else None
    return RankingDelta(
        system="s", ranking="cities", period="2021Q1", scope=None, revision=number, size=size,
        moved=columns or Moved([], [], [], []), shifted=list(shifted),
    )  # fmt: skip


def table(number: int, rows: Ranked) -> RankingTable:
    columns = Rows(list(rows), [r for r, _ in rows.values()], [v for _, v in rows.values()], [None] * len(rows))  # type: ignore[misc]
    return RankingTable(
        system="s", ranking="cities", period="2021Q1", scope=None, revision=number, measure="value", node="index",
        rows=columns, left_out=LeftOut([], []),
    )  # fmt: skip


THREE: Ranked = {"a": (1, 9.0), "b": (2, 8.0), "c": (3, 7.0)}


def test_the_last_overtakes_all():
    rows = applied(delta(2, 3, {"c": (3, 1, 10.0)}, (1, 2, 1)), THREE)
    assert rows == {"c": (1, 10.0), "a": (2, 9.0), "b": (3, 8.0)}


def test_one_leaves_and_one_enters():
    rows = applied(delta(2, 3, {"a": (1, None, None), "d": (None, 3, 1.0)}, (2, 3, -1)), THREE)
    assert rows == {"b": (1, 8.0), "c": (2, 7.0), "d": (3, 1.0)}


def test_a_table_that_begins_anew_forgets_what_was():
    assert applied(delta(2, 1, {"d": (None, 1, 1.0)}), THREE) == {"d": (1, 1.0)}
    assert applied(delta(2, 0, {}), THREE) == {}


def ranked(values: dict[str, float]) -> Ranked:
    """Competition ranks."""
    return {e: (1 + sum(other > v for other in values.values()), v) for e, v in values.items()}


@given(
    before=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 5).map(float)),
    after=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 5).map(float)),
)
def test_from_any_table_to_any_other(before: dict[str, float], after: dict[str, float]):
    """Each row whose value moved is named; each other one is shifted on its own."""
    old, new = ranked(before), ranked(after)
    moved: dict[str, tuple[int | None, int | None, float | None]] = {
        e: (old[e][0] if e in old else None, *new.get(e, (None, None)))
        for e in sorted(old.keys() | new.keys())
        if before.get(e) != after.get(e)
    }
    still = {(old[e][0], old[e][0], new[e][0] - old[e][0]) for e in old.keys() - moved.keys()}
    assert applied(delta(2, len(new), moved, *sorted(still)), old) == new


def test_a_table_lags_only_where_the_deltas_give_another():
    there_and_back = [delta(5, 3, {"c": (3, 1, 10.0)}, (1, 2, 1)), delta(6, 3, {"c": (1, 3, 7.0)}, (2, 3, -1))]
    view = PeriodView(revision(6), tables={KEY: table(4, THREE)}, deltas={KEY: there_and_back})
    assert view.lagging() == []
    view.deltas[KEY] = there_and_back[:1]
    assert view.lagging() == [KEY]
    assert view.rows(KEY)["c"] == (1, 10.0)


def test_a_table_that_was_never_written_lags():
    view = PeriodView(revision(1), deltas={KEY: [delta(1, 1, {"a": (None, 1, 2.0)})]})
    assert view.lagging() == [KEY]


def test_a_table_that_is_no_more_does_not_lag():
    deltas = [delta(1, 1, {"a": (None, 1, 2.0)}), delta(2, 0, {"a": (1, None, None)})]
    assert PeriodView(revision(2), deltas={KEY: deltas}).lagging() == []


def test_since_which_revision_a_version_is_run():
    run = [1, 1, 2, 2, 1]
    assert first_of_each_run([revision(n, v) for n, v in enumerate(run, 1)]) == {1: 5, 2: 3}
    assert first_of_each_run([revision(n, v) for n, v in enumerate(run, 100)]) == {1: 104, 2: 102}
    assert first_of_each_run([revision(100, 1), revision(101, 1)]) == {1: None}
    assert first_of_each_run([revision(100, 1), revision(102, 2)]) == {1: None, 2: None}
    assert first_of_each_run([]) == {}
