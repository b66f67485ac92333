"""Periods by hand-computed cases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.periods import Grain, Period, day_name, month_name, parse_day


def names(periods: object) -> list[str]:
    return [p.name for p in periods]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "before", "year_ago", "after"),
    [
        ("2023", "2022", "2022", "2024"),
        ("2023H1", "2022H2", "2022H1", "2023H2"),
        ("2023Q1", "2022Q4", "2022Q1", "2023Q2"),
        ("2023Q4", "2023Q3", "2022Q4", "2024Q1"),
        ("2020-01", "2019-12", "2019-01", "2020-02"),
        ("2020-12", "2020-11", "2019-12", "2021-01"),
    ],
)
def test_neighbours(name: str, before: str, year_ago: str, after: str) -> None:
    period = Period.parse(name)
    assert names([period, period.predecessor, period.year_ago, period.successor]) == [name, before, year_ago, after]
    assert period.year_ago.year_after == period


def test_parts_and_ancestors() -> None:
    assert names(Period.parse("2023").parts()) == ["2023H1", "2023H2"]
    assert names(Period.parse("2023H2").parts()) == ["2023Q3", "2023Q4"]
    assert names(Period.parse("2023Q2").parts()) == ["2023-04", "2023-05", "2023-06"]
    assert Period.parse("2023-04").parts() == ()
    assert names(Period.parse("2023-08").ancestors()) == ["2023-08", "2023Q3", "2023H2", "2023"]
    assert names(Period.parse("2023H1").ancestors()) == ["2023H1", "2023"]
    assert names(Period.parse("2023Q4").months()) == ["2023-10", "2023-11", "2023-12"]


@pytest.mark.parametrize(
    ("name", "days"), [("2020-02", 29), ("2021-02", 28), ("2100-02", 28), ("2021Q1", 90), ("2020Q1", 91), ("2020", 366)]
)
def test_lengths(name: str, days: int) -> None:
    assert Period.parse(name).n_days == days == len(Period.parse(name).days())


def test_days_are_epoch_days() -> None:
    assert Period.parse("1970").first_day() == 0
    assert Period.parse("2021Q1").first_day() == 18628 == parse_day("2021-01-01")
    assert (day_name(18628), month_name(18628)) == ("2021-01-01", "2021-01")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "23",
        "2023Q0",
        "2023Q5",
        "2023H3",
        "2023-13",
        "2023-1",
        "2023q1",
        " 2023",
        "2023\n",
        "0000",
        "２０２３",
        "20234",
    ],
)
def test_what_is_no_period(name: str) -> None:
    with pytest.raises(ValueError, match="is no period"):
        Period.parse(name)


@pytest.mark.parametrize("text", ["2023-02-29", "2023-2-01", "20230201", "2023-W01-1", "", "2023-01-01T00"])
def test_what_is_no_day(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are datetime's
        parse_day(text)


@given(st.sampled_from(list(Grain)), st.integers(1971, 2900))
def test_parts_cover_their_period_without_gap(grain: Grain, year: int) -> None:
    period = Period(grain, year * grain.per_year)
    assert Period.parse(period.name) == period
    assert period.year == year
    for part in period.parts():
        assert part.ancestors()[1] == period
    days = [d for part in (period.parts() or (period,)) for d in part.days()]
    assert days == list(period.days())
    assert period.predecessor.days()[-1] + 1 == period.first_day()
