"""RFC 3339 times to whole microseconds since 1970 UTC: a whole column at once, or one by one.

The column way handles the usual layouts (same length, fixed places) with array arithmetic; whatever does not fit goes
one by one. Both follow docs/formats.md section 2, step 10.
"""

from __future__ import annotations

import re
from datetime import date

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]
Bools = NDArray[np.bool_]

UNREADABLE = np.iinfo(np.int64).min  # not a time: `malformed`
YEAR_ZERO = UNREADABLE + 1  # a time of the year 0000: `bad-period`
DAY_S = 86_400
_EPOCH = date(1970, 1, 1).toordinal()
_FORM = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))",
)
_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0], dtype=np.int32)  # 13: no month


def parse_time(text: str) -> int:
    """Microseconds since 1970 UTC of one RFC 3339 time; UNREADABLE or YEAR_ZERO where it is none."""
    form = _FORM.fullmatch(text)
    if form is None:
        return int(UNREADABLE)
    year, month, day, hour, minute, second = (int(part) for part in form.group(1, 2, 3, 4, 5, 6))
    offset_s = 0
    if form[9]:
        if int(form[10]) > 23 or int(form[11]) > 59:
            return int(UNREADABLE)
        offset_s = (int(form[10]) * 3600 + int(form[11]) * 60) * (1 if form[9] == "+" else -1)
    if hour > 23 or minute > 59 or second > 60:
        return int(UNREADABLE)
    try:
        # The year 0000 is a leap year of the proleptic calendar, as 2000 is: it lends it its dates.
        days = date(year or 2000, month, day).toordinal() - _EPOCH
    except ValueError:
        return int(UNREADABLE)
    fraction_us = int((form[7] or "")[:6].ljust(6, "0"))
    if second == 60:
        if (hour * 3600 + minute * 60 - offset_s) % DAY_S != DAY_S - 60:
            return int(UNREADABLE)
        second, fraction_us = 59, 999_999
    if year == 0:
        return int(YEAR_ZERO)
    return (days * DAY_S + hour * 3600 + minute * 60 + second - offset_s) * 1_000_000 + fraction_us


def _days_from_civil(year: Int32, month: Int32, day: Int32) -> Int32:
    """Days since 1970-01-01 in the proleptic Gregorian calendar (years counted from March)."""
    shifted = year - (month <= 2)
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month + np.where(month > 2, np.int32(-3), np.int32(9))) + 2) // 5 + day - 1
    days: Int32 = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
    return days


def _parse_layout(texts: list[str], length: int) -> Int64:
    """A column of texts of one length; rows that do not have the usual layout are parsed one by one."""
    joined = "".join(texts)
    if not joined.isascii():
        return np.array([parse_time(text) for text in texts], dtype=np.int64)
    # Column by column, each a run of n bytes: a tenth of the memory of a matrix of wide integers.
    raw = np.ascontiguousarray(np.frombuffer(joined.encode(), dtype=np.uint8).reshape(len(texts), length).T)
    zulu = length in (20, 24, 27)
    tail = 1 if zulu else 6
    digits = raw - 48  # of a byte below "0" it wraps around to above 9

    def number(*places: int) -> Int32:
        out: Int32 = digits[places[0]].astype(np.int32)
        for place in places[1:]:
            out *= 10
            out += digits[place]
        return out

    number_places = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, *range(20, length - tail)]
    if not zulu:
        number_places += [length - 5, length - 4, length - 2, length - 1]
    good: Bools = digits[number_places].max(axis=0) <= 9
    for place, sign in ((4, 45), (7, 45), (10, 84), (13, 58), (16, 58)):
        good &= raw[place] == sign
    if length - tail > 19:
        good &= raw[19] == 46
    year, month, day = number(0, 1, 2, 3), number(5, 6), number(8, 9)
    hour, minute, second = number(11, 12), number(14, 15), number(17, 18)
    in_month = np.minimum(month, 13)
    leap = (month == 2) & (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    good &= (year >= 1) & (day >= 1) & (day <= _MONTH_DAYS[in_month] + leap)
    good &= (hour <= 23) & (minute <= 59) & (second <= 59)
    time_s = hour * 3600 + minute * 60 + second
    if zulu:
        good &= raw[length - 1] == 90
    else:
        sign_byte = raw[length - 6]
        off_hour, off_minute = number(length - 5, length - 4), number(length - 2, length - 1)
        good &= ((sign_byte == 43) | (sign_byte == 45)) & (raw[length - 3] == 58)
        good &= (off_hour <= 23) & (off_minute <= 59)
        time_s -= (off_hour * 3600 + off_minute * 60) * np.where(sign_byte == 43, np.int32(1), np.int32(-1))
    out = (_days_from_civil(year, month, day).astype(np.int64) * DAY_S + time_s) * 1_000_000
    fraction = length - tail - 20
    if fraction > 0:
        out += number(*range(20, 20 + fraction)) * np.int64(10 ** (6 - fraction))
    for i in np.flatnonzero(~good).tolist():
        out[i] = parse_time(texts[i])
    return out


_LAYOUTS = frozenset((20, 24, 27, 25, 29, 32))  # seconds, milliseconds, microseconds; Z and with an offset


def parse_times(texts: list[str]) -> Int64:
    """int64[n]: microseconds since 1970 UTC per text; UNREADABLE or YEAR_ZERO as `parse_time` says."""
    n = len(texts)
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=n)
    first = int(lengths[0])
    if first in _LAYOUTS and bool((lengths == first).all()):
        return _parse_layout(texts, first)
    out = np.empty(n, dtype=np.int64)
    for length in np.unique(lengths).tolist():
        where = np.flatnonzero(lengths == length)
        chosen = [texts[i] for i in where.tolist()]
        out[where] = _parse_layout(chosen, length) if length in _LAYOUTS else [parse_time(text) for text in chosen]
    return out
