"""Instants and local days, decided anew from docs/formats.md section 2 (checks 10 and 11).

An instant is a whole number of microseconds since 1970-01-01T00:00Z. Local days are those of one IANA time zone.
Dates are counted by the proleptic Gregorian calendar with plain integers, because `datetime` knows no year 0 and no
year 10000, which an event may name. Cost: a dictionary look-up or two per event, as most share hour and day.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
HOUR_US = 3_600 * SECOND_US
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
# Bound of the memo below: 9 quarters have 20,000 hours, times a few spellings of the offset.
MEMO_ENTRIES = 200_000

_AT = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)
_TWO_DIGITS_US = {f"{n:02d}": n * SECOND_US for n in range(60)}


class YearZero(Exception):
    """A time that is well written but lies in year 0000: no `malformed`, but a `bad-period`."""


def parse_instant(text: str) -> int | None:
    """Microseconds since 1970 UTC of an RFC 3339 time as check 10 reads it; None when it is malformed.

    Raises YearZero for a time that is right but for its year, 0000.
    """
    match = _AT.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(group) for group in match.groups()[:6])
    fraction, sign, off_hour, off_minute = match.groups()[6:]
    if not (1 <= month <= 12 and 1 <= day <= days_in_month(year, month) and hour <= 23 and minute <= 59):
        return None
    offset_us = 0
    if sign is not None:
        if int(off_hour) > 23 or int(off_minute) > 59:
            return None
        offset_us = (int(off_hour) * 3600 + int(off_minute) * 60) * SECOND_US * (-1 if sign == "-" else 1)
    if second > 60:
        return None
    leap = second == 60
    micro = int((fraction or "")[:6].ljust(6, "0"))
    if leap:
        second, micro = 59, 999_999
    at = (days_from_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second) * SECOND_US
    at += micro - offset_us
    if leap and at % DAY_US != DAY_US - 1:
        return None
    if year == 0:
        raise YearZero(text)
    return at


def days_in_month(year: int, month: int) -> int:
    """Days of a month, 28 to 31; year 0 is a leap year, as it is in the proleptic calendar."""
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def days_from_epoch(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a date of the years 0..9999."""
    if year == 0:  # 400 years are 146,097 days: the same calendar page
        return days_from_epoch(400, month, day) - 146_097
    return date(year, month, day).toordinal() - EPOCH_ORDINAL


class Calendar:
    """Instants of texts, local days of instants, and instants of local midnights, in one time zone."""

    def __init__(self, timezone: str) -> None:
        """`timezone`: an IANA name; zoneinfo's own error if there is none of that name."""
        self.zone = ZoneInfo(timezone)
        self._hours: dict[tuple[str, str], int | None] = {}
        self._offsets: dict[int, int | None] = {}
        self._days: dict[int, tuple[int, str, str]] = {}

    def instant(self, text: str) -> int | None:
        """As `parse_instant`, with the hours that were met remembered: minutes and seconds are simply added to them."""
        tail = text[19:]
        if 0 < len(tail) <= 6 and tail[0] != "." and text[16] == ":":
            minutes, seconds = _TWO_DIGITS_US.get(text[14:16]), _TWO_DIGITS_US.get(text[17:19])
            if minutes is not None and seconds is not None:
                hour = (text[:14], tail)
                try:
                    base = self._hours[hour]
                except KeyError:
                    if len(self._hours) >= MEMO_ENTRIES:
                        self._hours.clear()
                    base = self._hours[hour] = parse_instant(f"{text[:14]}00:00{tail}")
                return None if base is None else base + minutes * 60 + seconds
        return parse_instant(text)

    def local_day(self, at: int) -> tuple[int, str, str]:
        """Of an instant: local year, month `YYYY-MM` and date `YYYY-MM-DD`; beyond the years 1..9999 the year says
        so.
        """
        block = at // HOUR_US
        offset = self._offsets.get(block)
        if offset is None:
            try:
                offset = self._utc_offset(at)
                # Remembered only where the whole hour has one offset.
                first = self._utc_offset(block * HOUR_US)
                if first == self._utc_offset((block + 1) * HOUR_US - 1):
                    self._offsets[block] = first
            except OverflowError:
                return (0 if at < 0 else 10_000), "", ""
        number = (at + offset) // DAY_US
        found = self._days.get(number)
        if found is None:
            try:
                text = date.fromordinal(number + EPOCH_ORDINAL).isoformat()
            except (ValueError, OverflowError):
                return (0 if at < 0 else 10_000), "", ""
            found = self._days[number] = (int(text[:4]), text[:7], text)
        return found

    def midnight(self, day: date) -> int:
        """The instant at which a local date begins (the first, where the clock shows that midnight twice)."""
        local = datetime(day.year, day.month, day.day, tzinfo=self.zone)
        return (local - EPOCH) // timedelta(microseconds=1)

    def _utc_offset(self, at: int) -> int:
        local = (EPOCH + timedelta(microseconds=at)).astimezone(self.zone)
        offset = local.utcoffset()
        assert offset is not None
        return offset // timedelta(microseconds=1)
