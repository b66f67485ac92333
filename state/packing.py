"""Cells as integers: (period, city, indicator, industry) packed into one int64, to be sorted and summed as columns.

Low bits first: industry, indicator, city, period; a day cell has the day of the month (from 0) in the industry's place.
"""

from __future__ import annotations

from index.catalogue import Catalogue
from index.periods import Grain, Period
from state.errors import CorruptStateError

# Widths; `check_fits` holds a catalogue's sizes against them.
INDUSTRY_BITS, INDICATOR_BITS, CITY_BITS = 10, 12, 20
DAY_BITS = 5
NO_PERIOD = -1


def pack_period(period: Period) -> int:
    """Grain and ordinal as one integer below 2^18 (months to the year 9999 need 17 bits)."""
    return period.ordinal * 4 + int(period.grain)


def unpack_period(code: int) -> Period:
    """Inverse of `pack_period`."""
    return Period(Grain(code & 3), code >> 2)


def check_fits(catalogue: Catalogue) -> None:
    """Raises CorruptStateError for a catalogue with more of anything than a key holds."""
    if (
        len(catalogue.cities) >= 1 << CITY_BITS
        or len(catalogue.indicators) >= 1 << INDICATOR_BITS
        or max(map(len, catalogue.industry_codes), default=0) >= 1 << INDUSTRY_BITS
    ):
        raise CorruptStateError("catalogue", "more entities, indicators or industries than a cell's key holds")
