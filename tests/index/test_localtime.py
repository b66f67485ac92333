"""Instants to local days, against zoneinfo itself, also where clocks turn."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.localtime import LocalCalendar
from index.periods import Period

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def epoch_day(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


ZONES = [
    "Asia/Shanghai",
    "UTC",
    "Europe/Berlin",
    "America/Sao_Paulo",  # until 2018 clocks were put forward at midnight: a day began at 01:00
    "America/St_Johns",  # until 2011 put back at 00:01: the local date went back for a minute short of an hour
    "Pacific/Apia",  # had no 2011-12-30
    "Asia/Kathmandu",
]


@pytest.mark.parametrize("zone", ZONES)
@given(st.integers(us("2009-12-30T00:00:00+00:00"), us("2019-01-03T00:00:00+00:00")), st.integers(-2, 2))
def test_every_instant_has_the_local_date_of_zoneinfo(zone: str, at: int, nudge: int) -> None:
    calendar = LocalCalendar(zone, 2010, 2018)
    at = int(calendar.day_starts_us[np.searchsorted(calendar.day_starts_us[:-1], at) - 1]) + nudge if at % 2 else at
    day = ((EPOCH + timedelta(microseconds=at)).astimezone(ZoneInfo(zone)).date() - date(1970, 1, 1)).days
    inside = epoch_day("2010-01-01") <= day <= epoch_day("2018-12-31")
    assert calendar.days_of(np.array([at])).tolist() == [day if inside else -1]


def test_shanghai() -> None:
    calendar = LocalCalendar("Asia/Shanghai", 2020, 2023)
    assert calendar.start_of_day_us(epoch_day("2021-01-01")) == us("2020-12-31T16:00:00+00:00")
    assert calendar.end_us(Period.parse("2021Q1")) == us("2021-04-01T00:00:00+08:00")
    assert calendar.end_us(Period.parse("2023")) == us("2024-01-01T00:00:00+08:00")
    at = np.array(
        [us("2019-12-31T15:59:59.999999+00:00"), us("2019-12-31T16:00:00+00:00"), us("2024-01-01T00:00:00+08:00")]
    )
    days = calendar.days_of(at)
    assert days.tolist() == [-1, epoch_day("2020-01-01"), -1]
    assert calendar.month_of_day(days).tolist() == [-1, 2020 * 12, -1]
    with pytest.raises(ValueError, match="outside the years"):
        calendar.end_us(Period.parse("2024Q1"))


def test_a_midnight_that_does_not_exist_is_the_first_instant_of_its_day() -> None:
    calendar = LocalCalendar("America/Sao_Paulo", 2018, 2018)
    assert calendar.start_of_day_us(epoch_day("2018-11-04")) == us("2018-11-04T01:00:00-02:00")


def test_a_skipped_day_is_empty() -> None:
    calendar = LocalCalendar("Pacific/Apia", 2011, 2012)
    skipped, following = epoch_day("2011-12-30"), epoch_day("2011-12-31")
    assert calendar.start_of_day_us(skipped) == calendar.start_of_day_us(following) == us("2011-12-31T00:00:00+14:00")


def test_a_day_has_23_or_25_hours_where_clocks_turn() -> None:
    starts = LocalCalendar("Europe/Berlin", 2023, 2023).day_starts_us
    hours = np.unique(np.diff(starts) // 3_600_000_000, return_counts=True)
    assert [h.tolist() for h in hours] == [[23, 24, 25], [1, 363, 1]]


def test_days_ended_by() -> None:
    calendar = LocalCalendar("Asia/Shanghai", 2021, 2021)
    midnight = calendar.start_of_day_us(epoch_day("2021-03-02"))
    assert calendar.days_ended_by(midnight) == epoch_day("2021-03-02")
    assert calendar.days_ended_by(midnight - 1) == epoch_day("2021-03-01")


@pytest.mark.parametrize(
    ("zone", "first", "last"),
    [("Mars/Olympus", 2020, 2021), ("UTC", 1969, 2020), ("UTC", 2021, 2020), ("", 2020, 2021)],
)
def test_refused(zone: str, first: int, last: int) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        LocalCalendar(zone, first, last)
