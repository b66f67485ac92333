"""Which events count: acceptance decided anew, partition by partition, from the log alone (docs/formats.md section 2).

A `Judge` is fed one partition's records in order of offset. What it accepts goes to `Accepted`, as rows that DuckDB
takes over in chunks; what it counts is kept at each cut that was asked for (a cut is a next offset: it includes what
lies below it). Cost: about 4 us an event besides the reading, 72 bytes an accepted event until it is handed over.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from workers.verify.catalogue import Catalogue, may_follow, record_catalogue
from workers.verify.checks import Checks, Event
from workers.verify.errors import VerifyError
from workers.verify.messages import Unreadable, elements
from workers.verify.windows import Window

# Of an accepted event's row; all are int64. `day` is -1 where there is none; `dropped` is 1 of a drop, else 0.
COLUMNS = ("cell", "day", "position", "element", "source", "seq", "at_us", "s", "dropped")


@dataclass
class Accepted:
    """All accepted events of all partitions, with the names behind their numbers.

    `cells[i]` = (partition, period, city, indicator, industry, is a flow), `days[i]` = (partition, month, city,
    indicator, date), the sums beside them are running ones; `sources[name]` is its number; `rows` holds len(COLUMNS)
    integers an event. `ended_cells`, `ended_days`: numbers of the flows' cells that a drop ended, and that nothing has
    brought back: they hold 0, and are not there.
    """

    cells: list[tuple[int, str, str, str, str, bool]] = field(default_factory=list)
    days: list[tuple[int, str, str, str, str]] = field(default_factory=list)
    cell_sums: array[int] = field(default_factory=lambda: array("q"))
    day_sums: array[int] = field(default_factory=lambda: array("q"))
    sources: dict[str, int] = field(default_factory=dict)
    rows: array[int] = field(default_factory=lambda: array("q"))
    ended_cells: set[int] = field(default_factory=set)
    ended_days: set[int] = field(default_factory=set)

    def copy(self) -> Accepted:
        """Another with the same in it."""
        return Accepted(
            self.cells[:],
            self.days[:],
            self.cell_sums[:],
            self.day_sums[:],
            dict(self.sources),
            self.rows[:],
            set(self.ended_cells),
            set(self.ended_days),
        )


@dataclass(frozen=True)
class Snapshot:
    """A partition at a cut: `counts` by `accepted`, `duplicate` and `rejected:<reason>`, the watermark in us (None: no
    event), the catalogue in force, whether its record lies below the cut, and `windows` as source -> (top, bits).
    """

    offset: int
    counts: dict[str, int]
    watermark: int | None
    catalogue: Catalogue | None
    catalogue_met: bool
    windows: dict[str, tuple[int, int]]


class Judge:
    """One partition, from its first record on."""

    def __init__(self, partition: int, first: Checks | None, accepted: Accepted, cuts: Iterable[int]) -> None:
        """`first`: of the partition's first catalogue record, which also judges what lies before it; None: it has none.
        `cuts`: the offsets at which a snapshot is wanted.
        """
        self.partition = partition
        self.snapshots: dict[int, Snapshot] = {}
        self.elements = 0  # judged so far
        self._out = accepted
        self._cuts = sorted(set(cuts))
        self._checks = first
        # All that were in force, the first included.
        self.catalogues: list[Catalogue] = [first.catalogue] if first else []
        self._catalogue_met = False
        self._windows: dict[str, Window] = {}
        # Numbers of the cells and day cells.
        self._cells: dict[tuple[str, str, str, str], int] = {}
        self._days: dict[tuple[str, str, str], int] = {}
        self._counts: Counter[str] = Counter()
        self._watermark: int | None = None

    def record(self, offset: int, timestamp_ms: int, key: bytes | None, value: bytes | None) -> None:
        """The next record of the partition. VerifyError when it is an event and there is no catalogue at all."""
        while self._cuts and offset >= self._cuts[0]:
            self._snapshot(self._cuts.pop(0))
        catalogue = None if key is None else record_catalogue(key, value)
        if catalogue is not None:
            self._catalogue_met = True
            if self._checks is None or may_follow(self._checks.catalogue, catalogue):
                self._checks = Checks(catalogue)
                self.catalogues.append(catalogue)
            return
        if self._checks is None:
            raise VerifyError(f"partition {self.partition} has events, but no catalogue")
        limits = self._checks.catalogue
        try:
            found = elements(value, limits.message_bytes, limits.event_bytes)
        except Unreadable as error:
            self.elements += 1
            self._counts[f"rejected:{error.reason}"] += 1
            return
        self.elements += len(found)
        for index, element in enumerate(found):
            self._counts[self.judge(offset, index, element, timestamp_ms)] += 1

    def judge(self, offset: int, index: int, element: object, timestamp_ms: int) -> str:
        """The outcome of one decoded element, as it is counted; what is accepted is applied. There is a catalogue."""
        assert self._checks is not None
        event = self._checks.check(element, timestamp_ms)
        if isinstance(event, str):
            return f"rejected:{event}"
        return self._apply(offset, index, event, self._checks.catalogue)

    def refuses(self, element: object, timestamp_ms: int) -> str | None:
        """Why one of the checks 3 to 12 would reject an element now; None: they let it pass. Nothing is applied."""
        assert self._checks is not None
        event = self._checks.check(element, timestamp_ms)
        return event if isinstance(event, str) else None

    @property
    def in_force(self) -> Catalogue | None:
        """The catalogue that judges the next element."""
        return self._checks.catalogue if self._checks else None

    def top(self, source: str) -> int | None:
        """The highest sequence number accepted of a source; None: it has none."""
        window = self._windows.get(source)
        return None if window is None else window.top

    def copy(self, accepted: Accepted) -> Judge:
        """Another that stands where this one does, and gives what it accepts to a copy of our `accepted`. No cuts."""
        other = Judge(self.partition, self._checks, accepted, ())
        other.elements, other.catalogues = self.elements, self.catalogues[:]
        other._catalogue_met, other._watermark = self._catalogue_met, self._watermark
        other._cells, other._days, other._counts = dict(self._cells), dict(self._days), Counter(self._counts)
        other._windows = {source: window.copy() for source, window in self._windows.items()}
        return other

    def finish(self) -> None:
        """No record follows below the cuts that are left."""
        for cut in self._cuts:
            self._snapshot(cut)
        self._cuts = []

    def _apply(self, offset: int, index: int, event: Event, limits: Catalogue) -> str:
        """Checks 13 and 14, and what an accepted event leaves behind; the outcome as it is counted."""
        source, seq, city, indicator, industry, flow, s, at, period, day, drop = event
        window = self._windows.get(source)
        if window is not None:
            outcome = window.judge(seq, limits.window, limits.jump)
            if outcome is not None:
                return outcome if outcome == "duplicate" else f"rejected:{outcome}"

        out = self._out
        cell = self._cells.get((period, city, indicator, industry))
        day_cell = None if day is None or not flow else self._days.get((day, city, indicator))
        if flow:
            total = s if cell is None else s + out.cell_sums[cell]
            day_total = s if day_cell is None else s + out.day_sums[day_cell]
            if abs(total) >= limits.cell or abs(day_total) >= limits.cell:
                return "rejected:overflow"
        # Nothing was written so far: a reject leaves no mark.
        if cell is None:
            cell = self._cells[period, city, indicator, industry] = len(out.cells)
            out.cells.append((self.partition, period, city, indicator, industry, flow))
            out.cell_sums.append(0)
        if flow:
            out.cell_sums[cell] = total
            if day is not None:
                if day_cell is None:
                    day_cell = self._days[day, city, indicator] = len(out.days)
                    out.days.append((self.partition, period, city, indicator, day))
                    out.day_sums.append(0)
                out.day_sums[day_cell] = day_total
            if drop:
                if not total:
                    out.ended_cells.add(cell)
                if day_cell is not None and not day_total:
                    out.ended_days.add(day_cell)
            elif out.ended_cells or out.ended_days:
                out.ended_cells.discard(cell)
                out.ended_days.discard(-1 if day_cell is None else day_cell)

        if window is None:
            self._windows[source] = Window(seq, limits.window)
        else:
            window.accept(seq, limits.window)
        if self._watermark is None or at > self._watermark:
            self._watermark = at
        number = out.sources.setdefault(source, len(out.sources))
        out.rows.extend((cell, -1 if day_cell is None else day_cell, offset, index, number, seq, at, s, drop))
        return "accepted"

    def _snapshot(self, at: int) -> None:
        self.snapshots[at] = Snapshot(
            at,
            dict(self._counts),
            self._watermark,
            self._checks.catalogue if self._checks else None,
            self._catalogue_met,
            {source: (window.top, window.bits()) for source, window in self._windows.items()},
        )
