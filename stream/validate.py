"""Checking columns of events against the catalogue: all checks on all events, then the first that failed counts.

What depends only on (source, indicator, industry, op) is decided once per distinct combination and remembered, so an
event costs one dict look-up for these and array arithmetic for the rest. docs/formats.md section 2, steps 3 to 12.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.catalogue import Catalogue
from index.localtime import OUTSIDE
from index.periods import Period
from state.packing import NO_PERIOD, pack_period
from state.valid import Valid
from stream.events import Columns
from stream.reasons import MALFORMED_TIME, NO_REASON, Reason
from stream.times import UNREADABLE, YEAR_ZERO, parse_times

# Distinct combinations and periods remembered: a bound on what hostile sources can make a worker keep.
REMEMBERED = 50_000
_BAD_PERIOD = -2
_STAMP_MS = 2**52

_Fail = Callable[[NDArray[np.bool_], int], None]


class _Combination(NamedTuple):
    """What is known of one (source, indicator, industry, op)."""

    failed: int
    source: int
    indicator: int
    industry: int
    decimals: int
    drop: int


@dataclass(slots=True)
class Checked:
    """Columns with the outcome: `failed` uint8[n] holds NO_REASON or the check's number; `valid` has all n rows."""

    failed: NDArray[np.uint8]
    valid: Valid


class Validator:
    """Checks events against one catalogue; remembers combinations across batches. Not shared between threads."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.sources: list[str] = []
        self._source_index: dict[str, int] = {}
        self._known: dict[tuple[str, str, str | None, str], int] = {}
        self._table: list[_Combination] = []
        self._columns = np.zeros((0, 6), dtype=np.int64)
        self._drops = False  # whether a drop was ever met
        self._periods: dict[str, int] = {}
        self._pow10 = 10.0 ** np.arange(0, 23, dtype=np.float64)

    def check(self, columns: Columns, timestamp_ms: NDArray[np.int64]) -> Checked:
        """Check every event; `timestamp_ms` int64[n] is the Kafka timestamp of each event's record."""
        catalogue, n = self.catalogue, len(columns)
        if len(self._known) > REMEMBERED or len(self._source_index) > REMEMBERED:
            self._known.clear()
            self._table.clear()
            self._source_index.clear()
            self.sources = []  # a new list: batches under way still use the old one
            self._columns = np.zeros((0, 6), dtype=np.int64)
        known, missing = self._known, []
        where = list(map(known.get, zip(columns.source, columns.indicator, columns.industry, columns.op, strict=True)))
        if None in where:
            missing = [i for i, place in enumerate(where) if place is None]
            combination = np.array([-1 if place is None else place for place in where], dtype=np.int64)
            for i in missing:
                combination[i] = self._learn(
                    (columns.source[i], columns.indicator[i], columns.industry[i], columns.op[i])
                )
            self._columns = np.array(self._table, dtype=np.int64)
        else:
            combination = np.array(where, dtype=np.int64)
        facts = self._columns[combination]
        city_of = catalogue.city_index.get
        city = np.array([city_of(c, -1) for c in columns.city], dtype=np.int32)
        failed = facts[:, 0].astype(np.uint8)

        def fail(mask: NDArray[np.bool_], reason: int) -> None:
            np.minimum(failed, np.where(mask, reason, NO_REASON).astype(np.uint8), out=failed)

        if n and city.min() < 0:
            fail(city < 0, Reason.UNKNOWN_CITY)
        drop = facts[:, 5].astype(np.bool_) if self._drops else None
        if drop is not None:
            fail(drop & (columns.value != 0.0), Reason.BAD_OP)
            drop = drop if drop.any() else None
        value = self._scale(columns.value, facts[:, 4], fail)
        at_us = parse_times(columns.at)
        if n and at_us.min() <= YEAR_ZERO:
            fail(at_us == UNREADABLE, MALFORMED_TIME)
            fail(at_us == YEAR_ZERO, Reason.BAD_PERIOD)
            at_us = np.where(at_us <= YEAR_ZERO, 0, at_us)
        day = catalogue.calendar.days_of(at_us)
        if n and day.min() == OUTSIDE:
            fail(day == OUTSIDE, Reason.BAD_PERIOD)
        period = self._period_column(columns.period, fail)
        # Kafka keeps whatever time a producer names: beyond these bounds (the year 140,000) the answer is the same, and
        # microseconds would no longer fit.
        stamp_us = np.clip(timestamp_ms, -_STAMP_MS, _STAMP_MS) * 1000
        fail(at_us > stamp_us + catalogue.limits.future_s * 1_000_000, Reason.FROM_THE_FUTURE)
        return Checked(
            failed=failed,
            valid=Valid(
                sources=self.sources,
                source=facts[:, 1].astype(np.int32),
                seq=columns.seq,
                city=city,
                indicator=facts[:, 2].astype(np.int32),
                industry=facts[:, 3].astype(np.int32),
                value=value,
                at_us=at_us,
                day=day,
                period=period,
                drop=drop,
            ),
        )

    def _scale(self, value: NDArray[np.float64], decimals: NDArray[np.int64], fail: _Fail) -> NDArray[np.int64]:
        """Values in units of 10^-decimals, exactly or not at all (step 9)."""
        power = self._pow10[decimals]
        with np.errstate(over="ignore", invalid="ignore"):
            units = np.rint(value * power)
            bounded = np.abs(units) < self.catalogue.limits.cell  # false for infinite as well
            if not bounded.all():
                fail(~bounded, Reason.OVERFLOW)
                units = np.where(bounded, units, 0.0)
            inexact = units / power != value
        if inexact.any():
            fail(inexact & bounded, Reason.TOO_PRECISE)
        return units.astype(np.int64)

    def _period_column(self, names: list[str | None], fail: _Fail) -> NDArray[np.int32]:
        """Packed periods, NO_PERIOD where the event names none (step 11)."""
        n = len(names)
        if names.count(None) == n:
            return np.full(n, NO_PERIOD, dtype=np.int32)
        if len(self._periods) > REMEMBERED:
            self._periods.clear()
        packed = np.array([NO_PERIOD if name is None else self._period(name) for name in names], dtype=np.int32)
        if packed.min() == _BAD_PERIOD:
            fail(packed == _BAD_PERIOD, Reason.BAD_PERIOD)
        return packed

    def _period(self, name: str) -> int:
        packed = self._periods.get(name)
        if packed is None:
            try:
                period = Period.parse(name)
                first, last = self.catalogue.years
                packed = pack_period(period) if first <= period.year <= last else _BAD_PERIOD
            except ValueError:
                packed = _BAD_PERIOD
            self._periods[name] = packed
        return packed

    def _learn(self, combination: tuple[str, str, str | None, str]) -> int:
        """Judge a combination met for the first time."""
        place = self._known.get(combination)
        if place is not None:
            return place
        source, indicator_code, industry_code, op = combination
        catalogue = self.catalogue
        failed, industry, decimals, drop = NO_REASON, 0, 0, 0
        indicator = catalogue.indicator_index.get(indicator_code, -1)
        if not all("!" <= c <= "~" or c > "\x7f" for c in source):
            failed = Reason.MALFORMED
        elif indicator < 0:
            failed = Reason.UNKNOWN_INDICATOR
        else:
            known = catalogue.indicators[indicator]
            decimals = known.decimals
            industry = catalogue.industry_index[indicator].get(industry_code or "all", -1)
            allowed = catalogue.may_write(source)
            if industry < 0 or industry_code == "":
                failed = Reason.UNKNOWN_INDUSTRY
            elif allowed is not None and indicator_code not in allowed:
                failed = Reason.NOT_ALLOWED
            elif op == "drop":
                drop = 1
                self._drops = True
            elif op != ("set" if known.kind == "stock" else "add"):
                failed = Reason.BAD_OP
        number = self._source_index.get(source)
        if number is None:
            number = self._source_index[source] = len(self.sources)
            self.sources.append(source)
        place = self._known[combination] = len(self._table)
        self._table.append(_Combination(int(failed), number, max(indicator, 0), max(industry, 0), decimals, drop))
        return place
