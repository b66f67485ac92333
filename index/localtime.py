"""Instants to local calendar days, exactly, by binary search.

Represented by the instants at which the local date changes, over all supported years, with the date from then on. Exact
also where clocks turn: at a midnight that does not exist the day starts with its first instant, a skipped day is empty,
and where a clock is put back across midnight the date goes back too. Building costs about 1.5 us a day of the supported
years; a look-up is one searchsorted.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from index.periods import Period

DAY_US = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
OUTSIDE = -1  # of days_of: epoch days of supported years are never negative, since years start at 1970
FIRST_YEAR, LAST_YEAR = 1970, 2999


class LocalCalendar:
    """The days of the years `first_year..last_year` in one IANA time zone.

    `first_day`, `end_day`: epoch days, the second exclusive. `day_starts_us`: int64[end_day - first_day + 1], UTC
    microseconds of the first instant of each day, with that of `end_day` last; never falling.
    """

    def __init__(self, timezone: str, first_year: int, last_year: int) -> None:
        """Raises ValueError for an unknown zone or years outside 1970..2999."""
        if not FIRST_YEAR <= first_year <= last_year <= LAST_YEAR:
            raise ValueError(f"years must lie in {FIRST_YEAR}..{LAST_YEAR}, first before last")
        self.timezone = timezone
        self.first_year = first_year
        self.last_year = last_year
        self.first_day = date(first_year, 1, 1).toordinal() - _EPOCH_ORDINAL
        self.end_day = date(last_year + 1, 1, 1).toordinal() - _EPOCH_ORDINAL
        self._change_us, self._change_day = _date_changes(timezone, self.first_day, self.end_day)
        days = np.arange(self.first_day, self.end_day + 1)
        # the first change to this date or a later one: for a skipped day that is the next day's start
        reached = np.maximum.accumulate(self._change_day)
        self.day_starts_us: NDArray[np.int64] = self._change_us[np.searchsorted(reached, days, side="left")]
        dates = days.astype("datetime64[D]")
        self._month_of_day: NDArray[np.int32] = (dates.astype("datetime64[M]").astype(np.int64) + 1970 * 12).astype(
            np.int32
        )

    def days_of(self, at_us: NDArray[np.int64]) -> NDArray[np.int32]:
        """int64[n] UTC microseconds -> int32[n] epoch days of the local date, OUTSIDE (-1) where not in the years."""
        place = np.searchsorted(self._change_us, at_us, side="right") - 1
        days = self._change_day[np.maximum(place, 0)]
        inside = (place >= 0) & (days >= self.first_day) & (days < self.end_day)
        return np.where(inside, days, OUTSIDE).astype(np.int32)

    def month_of_day(self, days: NDArray[np.int32]) -> NDArray[np.int32]:
        """int32[n] epoch days -> int32[n] month ordinals (year*12 + month-1); OUTSIDE stays -1."""
        inside = (days >= self.first_day) & (days < self.end_day)
        return np.where(inside, self._month_of_day[np.where(inside, days - self.first_day, 0)], OUTSIDE).astype(
            np.int32
        )

    def start_of_day_us(self, day: int) -> int:
        """UTC microseconds of the first instant of an epoch day of the years, or of the day after them."""
        return int(self.day_starts_us[day - self.first_day])

    def end_us(self, period: Period) -> int:
        """UTC microseconds of the first instant after a period; ValueError when its year is not supported."""
        if not self.first_year <= period.year <= self.last_year:
            raise ValueError(f"{period.name} lies outside the years {self.first_year}..{self.last_year}")
        return self.start_of_day_us(period.successor.first_day())

    def days_ended_by(self, at_us: int) -> int:
        """The epoch day before which all days have ended at that instant: the first that has not."""
        return self.first_day + int(np.searchsorted(self.day_starts_us, at_us, side="right")) - 1


@lru_cache(maxsize=8)
def _date_changes(timezone: str, first_day: int, end_day: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Instants (us) at which the local date changes around [first_day, end_day], and the date (epoch day) from then
    on.
    """
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{timezone!r} is no IANA time zone known here") from error
    changes: list[NDArray[np.int64]] = []
    dates: list[NDArray[np.int64]] = []
    segments = _offsets(zone, first_day - 3, end_day + 3)
    ends = [start for start, _ in segments[1:]] + [(end_day + 3) * DAY_US]
    for (start, offset), end in zip(segments, ends, strict=True):
        first = (start + offset) // DAY_US
        last = (end - 1 + offset) // DAY_US
        days = np.arange(first, last + 1, dtype=np.int64)
        changes.append(np.maximum(days * DAY_US - offset, start))
        dates.append(days)
    at, day = np.concatenate(changes), np.concatenate(dates)
    kept = np.concatenate(([True], day[1:] != day[:-1]))
    return at[kept], day[kept].astype(np.int32)


def _offsets(zone: ZoneInfo, first_day: int, end_day: int) -> list[tuple[int, int]]:
    """(instant, UTC offset from then on), both us: one entry per change of offset.

    zoneinfo does not tell its transitions, so the offset is read once a day and, where it differs, the second is found
    by bisection. Two changes within one day that cancel would be missed; no zone has had that.
    """
    found: list[tuple[int, int]] = []
    before = _offset_us(zone, first_day * DAY_US)
    found.append((first_day * DAY_US, before))
    for day in range(first_day + 1, end_day + 1):
        offset = _offset_us(zone, day * DAY_US)
        if offset != before:
            low, high = (day - 1) * 86_400, day * 86_400
            while high - low > 1:
                middle = (low + high) // 2
                if _offset_us(zone, middle * 1_000_000) == before:
                    low = middle
                else:
                    high = middle
            found.append((high * 1_000_000, offset))
            before = offset
    return found


def _offset_us(zone: ZoneInfo, at_us: int) -> int:
    moment = (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone)
    offset = moment.utcoffset()
    assert offset is not None  # a zone always has one for an aware moment
    return offset // timedelta(microseconds=1)
