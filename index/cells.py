"""Absolute cells, as Redis holds them, into exact integer differences.

A store remembers the last known value of every cell of every partition. Rows (absolute, so receiving one twice, or one
that skips some, is harmless) are compared with it; what differs leaves as columns (`index.changes`). One dict look-up
and one list append per cell in Python, the rest is columns: about 0.3 us a changed cell in long rows. Memory: about 150
bytes a cell.

Slots: a cell has a number. Not negative: a place in the columns of flows and day cells. -1: of a name that a later
catalogue dropped, it counts nowhere. Below: -2 - (number of a report in `index.stocks`).
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable, Sequence
from typing import Any, NewType

import numpy as np
from numpy.typing import NDArray

from index.catalogue import MAX_CELL, Catalogue
from index.changes import GONE, NO_LEVEL, Amounts, Changes, DayAmounts
from index.errors import CorruptCellError, NewerCatalogueError
from index.periods import Grain, Period, parse_day
from index.slots import Slots
from index.stocks import Entry, Stocks

Partition = NewType("Partition", int)
Row = Sequence[Any]  # [row key, field, value, field, value, ...]

_DROPPED = -1
_FIRST_STOCK = -2


class _Numbers(dict[Period, int]):
    """Periods numbered in order of first use; `listed[number]` is the period."""

    def __init__(self) -> None:
        self.listed: list[Period] = []

    def __missing__(self, period: Period) -> int:
        self[period] = number = len(self.listed)
        self.listed.append(period)
        return number


class _Row(dict[str, int]):
    """Field -> slot of one row; a field that is asked for the first time gets one."""

    __slots__ = ("city", "days", "is_days", "key", "number", "period", "store")

    def __init__(self, store: CellStore, key: str) -> None:
        self.store: CellStore = weakref.proxy(
            store
        )  # no cycle: a store that is replaced goes at once, with all its cells
        self.key = key
        try:
            sort, period, city = key.split(":", 2)
            self.period = Period.parse(period)
        except ValueError:
            raise CorruptCellError(key, "", "is neither cells:<period>:<city> nor days:<month>:<city>") from None
        self.is_days = sort == "days"
        if sort not in ("cells", "days") or (self.is_days and self.period.grain is not Grain.MONTH):
            raise CorruptCellError(key, "", "is neither cells:<period>:<city> nor days:<month>:<city>")
        self.days = self.period.days()
        self.number = store._numbers[self.period]
        self.city = store._known("city", city, store.catalogue.city_index, key)

    def __missing__(self, field: str) -> int:
        field = sys.intern(field)  # the same few hundred fields stand in every row
        slot = self._day_slot(field) if self.is_days else self._cell_slot(field)
        self[field] = slot
        return slot

    def _cell_slot(self, field: str) -> int:
        store = self.store
        known = store._cell_fields.get(field)
        indicator, industry, is_stock = known if known is not None else store._read_cell_field(self.key, field)
        if self.city < 0 or industry < 0:
            return _DROPPED
        if is_stock:
            return _FIRST_STOCK - store._stocks.open(self.period, self.city, indicator, industry)
        return store._slots.open(self.number, self.city, indicator, industry)

    def _day_slot(self, field: str) -> int:
        store = self.store
        known = store._day_fields.get(field)
        indicator, day = known if known is not None else store._read_day_field(self.key, field)
        if day not in self.days:
            raise CorruptCellError(self.key, field, "is a day of another month")
        if self.city < 0 or indicator < 0:
            return _DROPPED
        return store._slots.open(day, self.city, indicator, Slots.DAY)


class CellStore:
    """The last known cells of all partitions, by one catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        """An empty store. A new catalogue needs a new store."""
        self.catalogue = catalogue
        self._numbers = _Numbers()
        self._slots = Slots()
        self._stocks = Stocks(self._numbers)
        self._rows: dict[Partition, dict[str, _Row]] = {}
        self._cell_fields: dict[str, tuple[int, int, bool]] = {}  # indicator, industry (-1: dropped), whether a stock
        self._day_fields: dict[str, tuple[int, int]] = {}  # indicator (-1: dropped), epoch day
        self._drops = False

    @property
    def periods(self) -> Sequence[Period]:
        """The periods of cells, by the number that Changes use."""
        return self._numbers.listed

    def apply(self, partition: Partition, rows: Iterable[Row], catalogue_version: int | None = None) -> Changes:
        """Adopt changed rows; returns the differences. Of a cell that stands twice, the last counts.

        `catalogue_version`: the one by which the partition counted them. A name that our catalogue does not know raises
        NewerCatalogueError, unless that version is not above ours: then ours has dropped the name, and its cells count
        nowhere. CorruptCellError for what cannot be read. After an error nothing has changed.
        """
        slots, values, exists, entries = self._read(partition, rows, catalogue_version)
        return self._changes(slots, values, exists, entries)

    def replace(self, partition: Partition, rows: Iterable[Row], catalogue_version: int | None = None) -> Changes:
        """Adopt a whole load of the partition in place of what was there.

        Cells that it lacks are taken back. Else as `apply`.
        """
        slots, values, exists, entries = self._read(partition, rows, catalogue_version)
        held = [slot for row in self._rows[partition].values() for slot in row.values()]
        flows = np.array([slot for slot in held if slot >= 0], np.int64)
        gone = np.setdiff1d(flows[self._slots.exists[flows]], slots, assume_unique=True)
        for report in (_FIRST_STOCK - slot for slot in held if slot <= _FIRST_STOCK):
            if self._stocks.present(report):
                entries.setdefault(report, None)
        exists = np.concatenate((exists, np.zeros(len(gone), np.bool_)))
        values = np.concatenate((values, np.zeros(len(gone), np.int64)))
        return self._changes(np.concatenate((slots, gone)), values, exists, entries)

    def everything(self) -> Changes:
        """All cells as differences from nothing: what a new cube begins with."""
        slots = self._slots.existing()
        n = len(slots)
        flows, days = self._slots.columns(slots, self._slots.values[slots], np.ones(n, np.int8))
        return Changes(self.periods, flows, self._stocks.everything(), days)

    def _read(
        self, partition: Partition, rows: Iterable[Row], catalogue_version: int | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], dict[int, Entry | None]]:
        """Slots (each once), values and existence of flows and days, and the entries of stocks."""
        self._drops = catalogue_version is not None and catalogue_version <= self.catalogue.version
        known = self._rows.setdefault(partition, {})
        slots: list[int] = []
        values: list[int] = []
        gone: set[int] = set()
        entries: dict[int, Entry | None] = {}
        for row in rows:
            key = row[0]
            fields = known.get(key)
            if fields is None:
                fields = known[key] = _Row(self, key)
            found = list(map(fields.__getitem__, row[1::2]))
            if not len(row) % 2:
                raise CorruptCellError(key, str(row[-1]), "a field without a value")
            if not found:
                continue
            if min(found) < 0:
                self._read_one_by_one(row, found, slots, values, gone, entries)
                continue
            try:
                numbers = list(map(int, row[2::2]))
            except (TypeError, ValueError) as error:
                if GONE not in row:
                    raise CorruptCellError(key, "", f"a value is no whole number ({error})") from None
                self._read_one_by_one(row, found, slots, values, gone, entries)
                continue
            slots += found
            values += numbers
            if gone:
                gone.difference_update(found)
        self._slots.settle()
        if len(set(slots)) != len(slots):
            last = dict(zip(slots, values, strict=True))
            slots, values = list(last), list(last.values())
        if values and not -MAX_CELL < min(values) <= max(values) < MAX_CELL:
            raise CorruptCellError(str(partition), "", f"a cell reaches 10^15 ({min(values)}..{max(values)})")
        where = np.array(slots, np.int64)
        exists = np.ones(len(slots), np.bool_) if not gone else ~np.isin(where, list(gone))
        return where, np.array(values, np.int64), exists, entries

    def _read_one_by_one(
        self,
        row: Row,
        found: list[int],
        slots: list[int],
        values: list[int],
        gone: set[int],
        entries: dict[int, Entry | None],
    ) -> None:
        """A row that holds stocks, names that were dropped, or cells that ended."""
        for slot, field, value in zip(found, row[1::2], row[2::2], strict=True):
            if slot == _DROPPED:
                continue
            try:
                if slot >= 0:
                    values.append(0 if value == GONE else int(value))
                    slots.append(slot)
                    (gone.add if value == GONE else gone.discard)(slot)
                    continue
                level, at_us, seq, source = value.split(" ", 3)
                there = level != NO_LEVEL
                entry = Entry(int(at_us), source, int(seq), int(level) if there else 0)
                entries[_FIRST_STOCK - slot] = entry if there else None
                if not -MAX_CELL < entry.value < MAX_CELL:
                    raise ValueError("reaches 10^15")
            except (AttributeError, TypeError, ValueError) as error:
                raise CorruptCellError(row[0], field, f"{value!r} is no cell of its kind ({error})") from None

    def _changes(
        self,
        slots: NDArray[np.int64],
        values: NDArray[np.int64],
        exists: NDArray[np.bool_],
        entries: dict[int, Entry | None],
    ) -> Changes:
        flows, days = self._slots.put(slots, values, exists)
        return Changes(self.periods, flows, self._stocks.update(entries), days)

    def _read_cell_field(self, row: str, field: str) -> tuple[int, int, bool]:
        code, slash, industry_code = field.partition("/")
        if not slash:
            raise CorruptCellError(row, field, "is not indicator/industry")
        catalogue = self.catalogue
        indicator = self._known("indicator", code, catalogue.indicator_index, row)
        if indicator < 0:
            return -1, -1, False
        industry = self._known("industry", industry_code, catalogue.industry_index[indicator], row)
        parsed = self._cell_fields[field] = (indicator, industry, catalogue.indicators[indicator].kind == "stock")
        return parsed

    def _read_day_field(self, row: str, field: str) -> tuple[int, int]:
        code, _, text = field.rpartition("@")
        try:
            day = parse_day(text)
        except ValueError as error:
            raise CorruptCellError(row, field, f"is not indicator@day ({error})") from None
        indicator = self._known("indicator", code, self.catalogue.indicator_index, row)
        if indicator >= 0 and self.catalogue.indicators[indicator].kind == "stock":
            raise CorruptCellError(row, field, "is a day of a stock; only flows have days")
        parsed = self._day_fields[field] = (indicator, day)
        return parsed

    def _known(self, what: str, code: str, numbers: dict[str, int], row: str) -> int:
        """The number of a code; -1 if our catalogue dropped it; NewerCatalogueError if it may be too old to know it."""
        number = numbers.get(code)
        if number is not None:
            return number
        if self._drops:
            return -1
        raise NewerCatalogueError(what, code, row, self.catalogue.version)


__all__ = ["Amounts", "CellStore", "Changes", "DayAmounts", "Partition"]
