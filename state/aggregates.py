"""The cells of one partition in memory: a mirror of Redis that the owner adds to, batch by batch.

Invariant: while the token holds, memory = Redis + the flushes under way. After any refusal the mirror is thrown away
and made anew by acquire. A cell has a slot: an index into a growing int64 array; keys are packed integers, so a batch
is one sort, one segmented sum and one dict look-up per touched cell. Cost of a batch: O(events log events + touched
cells).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from index.catalogue import Catalogue
from index.changes import NO_LEVEL
from index.periods import Grain, Period
from state.errors import CorruptStateError
from state.flush import FlushBatch
from state.keys import Offset, cells_row, days_row
from state.packing import (
    CITY_BITS,
    DAY_BITS,
    INDICATOR_BITS,
    INDUSTRY_BITS,
    NO_PERIOD,
    check_fits,
    pack_period,
    unpack_period,
)
from state.sequence import Verdict, Windows
from state.slots import Made, Slots, segments
from state.snapshot import Snapshot
from state.valid import Valid

_encode = msgspec.json.Encoder().encode
Int64 = NDArray[np.int64]


class Outcome(NamedTuple):
    """What `Aggregates.combine` decided: `verdict` uint8[n] per event (see `Verdict`; OVERFLOW besides)."""

    verdict: NDArray[np.uint8]
    accepted: int
    duplicates: int


OVERFLOW = 4  # a verdict beyond Verdict's: the running cell would leave the bound
LEFT_OUT, STOCK = -1, -2  # of a field's code: unknown to the catalogue; of a stock's field the code is STOCK - low


class _Loaded:
    """Rows on their way into slots: keys and values as lists over all rows, fields read once each."""

    def __init__(self, code_of: Callable[[str], int]) -> None:
        self._codes: Made[str, int] = Made(code_of)
        self._keys: list[int] = []
        self._values: list[int] = []

    def take(self, base: int, flat: Sequence[str]) -> list[tuple[int, str]]:
        """Add a row's flows; (low part of the key, text) of its stocks. Errors: ValueError."""
        codes, texts = list(map(self._codes.__getitem__, flat[::2])), flat[1::2]
        if len(codes) != len(texts):
            raise ValueError("a field without a value")
        if codes and min(codes) < 0:
            stocks = [(STOCK - c, t) for c, t in zip(codes, texts, strict=True) if c <= STOCK]
            texts = [t for c, t in zip(codes, texts, strict=True) if c >= 0]
            codes = [c for c in codes if c >= 0]
        else:
            stocks = []
        values = list(map(int, texts))
        self._keys += [base | code for code in codes]
        self._values += values
        return stocks

    def columns(self) -> tuple[Int64, Int64]:
        """Keys and values of all flows taken."""
        return np.array(self._keys, dtype=np.int64), np.array(self._values, dtype=np.int64)


class Aggregates:
    """One partition's state as its owner holds it."""

    def __init__(self, catalogue: Catalogue, snapshot: Snapshot) -> None:
        """Mirror of `snapshot` under `catalogue` (the one that the snapshot names).

        Errors: CorruptStateError where a stored cell names what the catalogue does not know or is no integer.
        """
        self.catalogue = catalogue
        self.offset = snapshot.offset
        self.watermark_us = snapshot.watermark_us
        self.counts: dict[str, int] = dict(snapshot.counts)
        self.windows = Windows(catalogue.limits.window, catalogue.limits.jump, snapshot.windows)
        self._bound = catalogue.limits.cell
        self._stock = np.array([i.kind == "stock" for i in catalogue.indicators], dtype=bool)
        self._industries = catalogue.industry_codes
        check_fits(catalogue)
        self._period_names: Made[int, str] = Made(lambda code: unpack_period(code).name)
        own, day = INDICATOR_BITS + INDUSTRY_BITS, INDICATOR_BITS + DAY_BITS
        self._cells = Slots(
            INDUSTRY_BITS,
            lambda indicator: len(self._industries[indicator]),
            self._cells_row,
            lambda keys: keys & (1 << own) - 1,
            self._cell_field,
        )
        # A day cell's field names the date: the month out of the high bits, beside indicator and day.
        self._days = Slots(
            DAY_BITS,
            lambda indicator: 1 << DAY_BITS,
            self._days_row,
            lambda keys: keys >> day + CITY_BITS << day | keys & (1 << day) - 1,
            self._day_field,
        )
        # packed -> (at_us, source, seq, value); None: the latest that was said is that there is no level
        self._stocks: dict[int, tuple[int, str, int, int | None]] = {}
        self._restore(snapshot.rows)

    def _cells_row(self, code: int) -> str:
        return cells_row(self._period_names[code >> CITY_BITS], self.catalogue.cities[code & (1 << CITY_BITS) - 1])

    def _cell_field(self, code: int) -> str:
        indicator, industry = code >> INDUSTRY_BITS, code & (1 << INDUSTRY_BITS) - 1
        return f"{self.catalogue.indicators[indicator].code}/{self._industries[indicator][industry]}"

    def _days_row(self, code: int) -> str:
        month = self._period_names[code >> CITY_BITS]
        return days_row(month, self.catalogue.cities[code & (1 << CITY_BITS) - 1])

    def _day_field(self, code: int) -> str:
        month = self._period_names[code >> INDICATOR_BITS + DAY_BITS]
        indicator = code >> DAY_BITS & (1 << INDICATOR_BITS) - 1
        return f"{self.catalogue.indicators[indicator].code}@{month}-{(code & (1 << DAY_BITS) - 1) + 1:02d}"

    def _restore(self, rows: dict[str, list[str]]) -> None:
        """Take the rows over. What this catalogue no longer has is left out: no event can touch it.

        The same few fields stand in every row, so each is read once; a cell then costs two look-ups.
        """
        city_of = self.catalogue.city_index
        cells, days = _Loaded(self._cell_code), _Loaded(self._day_code)
        for row, flat in rows.items():
            try:
                sort, name, city_code = row.split(":", 2)
                city = city_of.get(city_code)
                if city is None:
                    continue
                if sort == "days":
                    days.take(city << INDICATOR_BITS + DAY_BITS, flat)
                    continue
                base = (pack_period(Period.parse(name)) << CITY_BITS | city) << INDICATOR_BITS + INDUSTRY_BITS
                for code, text in cells.take(base, flat):
                    amount, at_us, seq, source = text.split(" ", 3)
                    value = None if amount == NO_LEVEL else int(amount)
                    self._stocks[base | code] = (int(at_us), source, int(seq), value)
            except (ValueError, OverflowError) as error:
                raise CorruptStateError(row, f"{flat!r:.200} ({error!r})") from None
        self._cells.put(*cells.columns())
        self._days.put(*days.columns())

    def _cell_code(self, field: str) -> int:
        """Low part of the key of `indicator/industry`; LEFT_OUT, or below it for a stock: STOCK - code."""
        code, _, industry_code = field.rpartition("/")
        i = self.catalogue.indicator_index.get(code, -1)
        industry = self.catalogue.industry_index[i].get(industry_code, -1) if i >= 0 else -1
        if industry < 0:
            return LEFT_OUT
        low = i << INDUSTRY_BITS | industry
        return STOCK - low if self._stock[i] else low

    def _day_code(self, field: str) -> int:
        """Key, but for the city, of `indicator@date`; LEFT_OUT. Errors: ValueError."""
        code, _, text = field.partition("@")
        i = self.catalogue.indicator_index.get(code)
        if i is None:
            return LEFT_OUT
        day = date.fromisoformat(text)
        month = pack_period(Period(Grain.MONTH, day.year * 12 + day.month - 1))
        return (month << CITY_BITS + INDICATOR_BITS | i) << DAY_BITS | day.day - 1

    def combine(self, events: Valid) -> tuple[Outcome, list[list[str | int]]]:
        """Deduplicate `events` and add them; (outcome, changed rows with absolute values, as the flush writes them).

        Counts `accepted` and `duplicate` move; rejects are counted by `reject`. Errors: none: every event gets a
        verdict.
        """
        n = len(events)
        out: dict[str, list[str | int]] = {}
        if n == 0:
            return Outcome(np.zeros(0, dtype=np.uint8), 0, 0), []
        flow = ~self._stock[events.indicator]
        dated = flow & (events.period == NO_PERIOD)
        period = events.period
        ordinal = self.catalogue.calendar.month_of_day(events.day).astype(np.int64)
        month = ordinal * 4 + int(Grain.MONTH)
        if dated.any() or not flow.all():
            period = np.where(period == NO_PERIOD, month, period)
        cell = (
            (period.astype(np.int64) << CITY_BITS | events.city) << INDICATOR_BITS | events.indicator
        ) << INDUSTRY_BITS | events.industry
        first = (ordinal - 1970 * 12).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
        day = ((month << CITY_BITS | events.city) << INDICATOR_BITS | events.indicator) << DAY_BITS | events.day - first

        if self._surely_bounded(events, cell, day, flow, dated):
            verdict = self._admit(events)
        else:
            verdict = self._admit_one_by_one(events, cell, day, flow, dated)
        kept = verdict == Verdict.NEW
        for keys, mask, slots in ((cell, kept & flow, self._cells), (day, kept & dated, self._days)):
            if mask.any():
                order, starts, distinct = segments(keys[mask])
                sums = np.add.reduceat(events.value[mask][order], starts)
                # A drop ends a cell that holds 0. What comes behind it in the batch brings the cell back, and the sum
                # at the last event is that of now: so only the last of a cell's events counts.
                last = None if events.drop is None else events.drop[mask][order[np.append(starts[1:], len(order)) - 1]]
                slots.add(distinct, sums, out, last)
        if not flow.all():
            self._set_stocks(events, cell, np.flatnonzero(kept & ~flow), out)
        accepted = int(kept.sum())
        duplicates = int((verdict == Verdict.DUPLICATE).sum())
        if accepted:
            top = int(events.at_us[kept].max())
            self.watermark_us = top if self.watermark_us is None else max(top, self.watermark_us)
        for name, number in (("accepted", accepted), ("duplicate", duplicates)):
            if number:
                self.counts[name] = self.counts.get(name, 0) + number
        return Outcome(verdict, accepted, duplicates), list(out.values())

    def reject(self, reason: str, number: int = 1) -> None:
        """Count `number` rejected events under `reason`."""
        name = f"rejected:{reason}"
        self.counts[name] = self.counts.get(name, 0) + number

    def flush_batch(self, end: Offset, rows: list[list[str | int]]) -> FlushBatch:
        """Encode what the batch up to `end` changed, and move this mirror's offset there."""
        start, self.offset = self.offset, end
        return FlushBatch(
            start=start,
            end=end,
            watermark_us=self.watermark_us,
            rows=_encode(rows),
            windows=_encode(self.windows.take_touched()),
            counts=_encode(self.counts),
            catalogue_version=self.catalogue.version,
        )

    def _admit(self, events: Valid) -> NDArray[np.uint8]:
        verdict = np.empty(len(events), dtype=np.uint8)
        order = np.argsort(events.source, kind="stable")
        source = events.source[order]
        starts = np.flatnonzero(np.concatenate(([True], source[1:] != source[:-1]))).tolist()
        for begin, end in zip(starts, [*starts[1:], len(order)], strict=True):
            where = order[begin:end]
            verdict[where] = self.windows.admit(events.sources[int(source[begin])], events.seq[where])
        return verdict

    def _surely_bounded(
        self, events: Valid, cell: Int64, day: Int64, flow: NDArray[np.bool_], dated: NDArray[np.bool_]
    ) -> bool:
        """Whether no running cell can reach the bound in this batch, whichever events are accepted."""
        # Doubles: sums of 10^5 magnitudes below 10^15 err by less than 1e-10 of themselves; the margin covers it.
        bound = self._bound * (1 - 1e-9)
        magnitude = np.abs(events.value).astype(np.float64)
        # One look-up per batch settles nearly all: old values are below the bound, but small against it.
        if float(magnitude.sum()) + self._largest() < bound:
            self._seen_largest += float(magnitude.sum())
            return True
        for keys, mask, slots in ((cell, flow, self._cells), (day, dated, self._days)):
            if mask.any():
                order, starts, distinct = segments(keys[mask])
                if not slots.within(distinct, np.add.reduceat(magnitude[mask][order], starts), bound):
                    return False
        self._seen_largest = -1.0
        return True

    _seen_largest = -1.0

    def _largest(self) -> float:
        """An upper bound of the magnitude of any cell: measured seldom, raised by each batch's whole sum between."""
        if self._seen_largest < 0 or self._seen_largest > self._bound / 2:
            self._seen_largest = float(max(np.abs(self._cells.values).max(), np.abs(self._days.values).max()))
        return self._seen_largest

    def _admit_one_by_one(
        self, events: Valid, cell: Int64, day: Int64, flow: NDArray[np.bool_], dated: NDArray[np.bool_]
    ) -> NDArray[np.uint8]:
        """The same decisions one event after the other: a refused amount leaves no mark in the window."""
        verdict = np.empty(len(events), dtype=np.uint8)
        running: dict[tuple[bool, int], int] = {}
        for i in range(len(events)):
            source, seq, value = events.sources[int(events.source[i])], int(events.seq[i]), int(events.value[i])
            verdict[i] = self.windows.judge(source, seq)
            if verdict[i] != Verdict.NEW:
                continue
            moved: list[tuple[tuple[bool, int], int]] = []
            if flow[i]:
                moved.append(((True, int(cell[i])), running.get((True, int(cell[i])), self._cells.value(int(cell[i])))))
            if dated[i]:
                moved.append(((False, int(day[i])), running.get((False, int(day[i])), self._days.value(int(day[i])))))
            if any(abs(old + value) >= self._bound for _, old in moved):
                verdict[i] = OVERFLOW
                continue
            running.update((which, old + value) for which, old in moved)
            self.windows.mark(source, seq)
        self._seen_largest = -1.0
        return verdict

    def _set_stocks(self, events: Valid, cell: Int64, where: NDArray[np.intp], out: dict[str, list[str | int]]) -> None:
        changed: set[int] = set()
        for i in where.tolist():
            packed = int(cell[i])
            entry = (
                int(events.at_us[i]),
                events.sources[int(events.source[i])],
                int(events.seq[i]),
                None if events.drop is not None and events.drop[i] else int(events.value[i]),
            )
            held = self._stocks.get(packed)
            if held is None or entry[:3] > held[:3]:
                self._stocks[packed] = entry
                changed.add(packed)
        for packed in changed:
            low = INDICATOR_BITS + INDUSTRY_BITS
            row, field = self._cells_row(packed >> low), self._cell_field(packed & (1 << low) - 1)
            at_us, source, seq, amount = self._stocks[packed]
            level = NO_LEVEL if amount is None else amount
            out.setdefault(row, [row]).extend((field, f"{level} {at_us} {seq} {source}"))
