"""Checks 3 to 12 of docs/formats.md section 2: what one element says, and whether the catalogue in force allows it.

They depend on the element, the catalogue and the record's timestamp only; what depends on the events before it (13 and
14) is in accept.py. Cost: about 2 us an event, as texts that come again are remembered.
"""

from __future__ import annotations

import math
from typing import Any

from workers.verify.catalogue import Catalogue
from workers.verify.messages import TOO_LARGE
from workers.verify.periods import parse_period
from workers.verify.times import SECOND_US, Calendar, YearZero

MAX_SEQ = 2**63 - 1
# Bound of each memo of texts: what a flood of made-up sources or periods may take.
MEMO_ENTRIES = 100_000


# An element that passed: source, seq, city, indicator, industry, whether it is a flow, s in units of 10^-decimals, at
# in us, period, local date or None where the event names its period, whether it is a drop. (A plain tuple: a named one
# takes longer to make than all look-ups.)
Event = tuple[str, int, str, str, str, bool, int, int, str, str | None, bool]


def float_of(value: float) -> float:
    """The nearest double; of an integer beyond the largest, infinity."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


class Checks:
    """The checks under one catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Nothing is copied; the memos are empty."""
        self.catalogue = catalogue
        self.calendar = Calendar(catalogue.timezone)
        self._good_sources: set[str] = set()
        self._allowed: dict[tuple[str, str], bool] = {}
        self._periods: dict[str, bool] = {}

    def check(self, element: Any, timestamp_ms: int) -> Event | str:
        """The event, or the code of the first check that fails."""
        if element is TOO_LARGE:
            return "too-large"
        if type(element) is not dict:
            return "malformed"
        catalogue = self.catalogue
        get = element.get

        source = get("source")
        if type(source) is not str or (source not in self._good_sources and not self._is_source(source)):
            return "malformed"
        seq = get("seq")
        if type(seq) is not int:  # a bool is not one
            return "malformed"
        if not 0 <= seq <= MAX_SEQ:
            return "bad-sequence"
        city, indicator = get("city"), get("indicator")
        if type(city) is not str or type(indicator) is not str:
            return "malformed"
        industry = get("industry")
        if industry is None:
            industry = "all"
        elif type(industry) is not str:
            return "malformed"
        op = get("op")
        if type(op) is not str or "value" not in element:
            return "malformed"
        value = element["value"]
        if type(value) is not float and type(value) is not int:
            return "bad-value"
        at_text, period = get("at"), get("period")
        if type(at_text) is not str or not (period is None or type(period) is str):
            return "malformed"

        if city not in catalogue.base:
            return "unknown-city"
        known = catalogue.indicators.get(indicator)
        if known is None:
            return "unknown-indicator"
        if industry not in known.industries:
            return "unknown-industry"
        if not self._is_allowed(source, indicator):
            return "not-allowed"
        drop = op == "drop"
        if drop:
            if float_of(value) != 0.0:
                return "bad-op"
        elif op != ("add" if known.flow else "set"):
            return "bad-op"

        v = float_of(value)
        product = v * known.scale
        if not math.isfinite(product):
            return "overflow"
        s = round(product)
        if abs(s) >= catalogue.cell:
            return "overflow"
        if s / known.scale != v:
            return "too-precise"

        try:
            at = self.calendar.instant(at_text)
        except YearZero:
            return "bad-period"
        if at is None:
            return "malformed"
        year, month, day = self.calendar.local_day(at)
        first, last = catalogue.years
        if not first <= year <= last:
            return "bad-period"
        if period is not None and not self._is_period(period):
            return "bad-period"
        if at > timestamp_ms * 1000 + catalogue.future_s * SECOND_US:
            return "from-the-future"
        if period is not None:
            return source, seq, city, indicator, industry, known.flow, s, at, period, None, drop
        return source, seq, city, indicator, industry, known.flow, s, at, month, day, drop

    def _is_source(self, source: str) -> bool:
        if not 1 <= len(source) <= 64 or any(c < "!" or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in source):
            return False
        if len(self._good_sources) < MEMO_ENTRIES:
            self._good_sources.add(source)
        return True

    def _is_allowed(self, source: str, indicator: str) -> bool:
        pair = source, indicator
        found = self._allowed.get(pair)
        if found is None:
            found = self.catalogue.allows(source, indicator)
            if len(self._allowed) < MEMO_ENTRIES:
                self._allowed[pair] = found
        return found

    def _is_period(self, text: str) -> bool:
        found = self._periods.get(text)
        if found is None:
            period = parse_period(text)
            first, last = self.catalogue.years
            found = period is not None and first <= period.year <= last
            if len(self._periods) < MEMO_ENTRIES:
                self._periods[text] = found
        return found
