"""Which periods are open, and how far their growth to date reaches (docs/formats.md section 4)."""

from __future__ import annotations

from collections.abc import Iterable

from workers.verify.periods import Period
from workers.verify.times import SECOND_US, Calendar

DAY_S = 86_400


def system_watermark(watermarks: Iterable[int | None], day_us: int = DAY_S * SECOND_US) -> int | None:
    """Of the partitions' watermarks (us): the lowest of those that lie at most a day below the highest; None: there is
    none.
    """
    known = [each for each in watermarks if each is not None]
    return min(each for each in known if each >= max(known) - day_us) if known else None


def is_open(period: Period, calendar: Calendar, watermark: int | None, grace_s: int) -> bool:
    """Whether more may come: the watermark (us) has not passed the period's end and the grace after it."""
    end = calendar.midnight(Period(period.grain, period.ordinal + 1).first_day)
    return watermark is None or watermark < end + grace_s * SECOND_US


def days_to_date(period: Period, calendar: Calendar, watermark: int | None) -> int:
    """Days to compare: the complete ones from the first on, at most as many as the predecessor has."""
    return min(_complete_days(period, calendar, watermark), len(period.predecessor.days))


def _complete_days(period: Period, calendar: Calendar, watermark: int | None) -> int:
    """Days whose end the watermark has reached, from the first on."""
    if watermark is None:
        return 0
    days = period.days
    ends = [*days[1:], Period(period.grain, period.ordinal + 1).first_day]
    complete = 0
    while complete < len(days) and calendar.midnight(ends[complete]) <= watermark:
        complete += 1
    return complete
