"""The slow oracle of one partition's state: plain dicts of Python ints and sets, one event at a time.

docs/formats.md section 2, steps 13 and 14, and section 3. Shares no code with `state`.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

from index.catalogue import Limits
from tests.shops import GOODS, INDICATORS, LIMITS, SHOPS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


class Event(NamedTuple):
    """One event that passed the checks 1 to 12. `value`: units of 10^-decimals; `period`: None for that of `at_us`;
    `drop`: it says that nothing is there.
    """

    source: str
    seq: int
    city: str
    indicator: str
    industry: str
    value: int
    at_us: int
    period: str | None = None
    drop: bool = False

    @property
    def date(self) -> str:
        """The local date."""
        return f"{(EPOCH + timedelta(microseconds=self.at_us)).astimezone(BERLIN):%Y-%m-%d}"


class Window:
    """All accepted numbers of one source, for ever."""

    def __init__(self, width: int, jump: int) -> None:
        self.width, self.jump = width, jump
        self.accepted: set[int] = set()
        self.top: int | None = None

    def judge(self, seq: int) -> str:
        if self.top is None:
            return "new"
        if seq - self.top > self.jump:
            return "bad-sequence"
        if seq <= self.top - self.width:
            return "stale-sequence"
        return "duplicate" if seq in self.accepted else "new"

    def accept(self, seq: int) -> None:
        self.accepted.add(seq)
        self.top = seq if self.top is None else max(self.top, seq)

    def stored(self) -> str:
        """`<top>:<hex>`, bit i where top - i was accepted."""
        assert self.top is not None
        return f"{self.top}:{sum(1 << i for i in range(self.width) if self.top - i in self.accepted):x}"


class Ledger:
    """Everything that Redis should hold of one partition after the events taken so far."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.limits = limits
        self.sources: dict[str, Window] = {}
        self.cells: dict[tuple[str, str, str, str], int] = {}
        self.days: dict[tuple[str, str, str, str], int] = {}
        self.levels: dict[tuple[str, str, str, str], tuple[int, str, int, int | None]] = {}  # None: there is none
        self.counts: Counter[str] = Counter()
        self.watermark_us: int | None = None

    def take(self, e: Event) -> str:
        """Judge one event, and add it if it is accepted: `accepted`, `duplicate`, or a reject reason."""
        outcome = self._outcome(e)
        if outcome in ("accepted", "duplicate"):
            self.counts[outcome] += 1
        return outcome

    def _outcome(self, e: Event) -> str:
        window = self.sources.get(e.source) or Window(self.limits.window, self.limits.jump)
        verdict = window.judge(e.seq)
        if verdict != "new":
            return verdict
        cell = (e.period or e.date[:7], e.city, e.indicator, e.industry)
        if INDICATORS[e.indicator][0] == "stock":
            level = (e.at_us, e.source, e.seq, None if e.drop else e.value)
            self.levels[cell] = max(level, self.levels.get(cell, level), key=lambda each: each[:3])
        else:
            day = (e.date[:7], e.city, e.indicator, e.date)
            total = self.cells.get(cell, 0) + e.value
            day_total = 0 if e.period else self.days.get(day, 0) + e.value
            if max(abs(total), abs(day_total)) >= self.limits.cell:
                return "overflow"
            touched = [(self.cells, cell, total)] + ([(self.days, day, day_total)] if e.period is None else [])
            for cells, key, new in touched:
                if not e.drop:
                    cells[key] = new
                elif cells.get(key) == 0:
                    del cells[key]
        window.accept(e.seq)
        self.sources[e.source] = window
        self.watermark_us = e.at_us if self.watermark_us is None else max(self.watermark_us, e.at_us)
        return "accepted"

    def rows(self) -> dict[str, dict[str, str]]:
        """Row key -> field -> text, as in Redis."""
        out: dict[str, dict[str, str]] = {}
        for (period, city, indicator, industry), value in self.cells.items():
            out.setdefault(f"cells:{period}:{city}", {})[f"{indicator}/{industry}"] = str(value)
        for (period, city, indicator, industry), (at_us, source, seq, value) in self.levels.items():
            out.setdefault(f"cells:{period}:{city}", {})[f"{indicator}/{industry}"] = (
                f"{'-' if value is None else value} {at_us} {seq} {source}"
            )
        for (month, city, indicator, date), value in self.days.items():
            out.setdefault(f"days:{month}:{city}", {})[f"{indicator}@{date}"] = str(value)
        return out

    def windows(self) -> dict[str, str]:
        """Source -> its window in the stored form."""
        return {source: window.stored() for source, window in self.sources.items()}


def made_events(random: Random, n: int, *, size: int, first_seq: int = 0, drops: float = 0.0) -> list[Event]:
    """`n` events on few cells: flows and stocks, late ones, repeats, corrections, restatements; values up to `size`.

    `drops`: how many of them say that nothing is there; then sums of 0 are frequent too.
    """
    out: list[Event] = []
    seqs = Counter(dict.fromkeys(("pay", "till", "城"), first_seq))
    begin = datetime(2021, 12, 30, 21, tzinfo=UTC)  # so that local midnight, month and year are crossed
    for _ in range(n):
        source = random.choice(list(seqs))
        seqs[source] += 1
        late = seqs[source] - random.randrange(20)
        leap = seqs[source] + 10 * LIMITS.jump if seqs[source] > first_seq + 9 else late
        seq = random.choice([seqs[source]] * 12 + [late, leap])
        indicator = random.choice(list(INDICATORS))
        moment = begin + timedelta(hours=random.randrange(72), microseconds=random.choice([0, 1]))
        out.append(
            Event(
                source,
                max(0, seq),
                random.choice(SHOPS[:2]),
                indicator,
                random.choice(GOODS[:2]) if INDICATORS[indicator][2] else "all",
                random.randint(-size, size),
                (moment - EPOCH) // timedelta(microseconds=1),
                random.choice([None] * 5 + ["2021", "2021H2", "2021Q4", "2021-12"]),
            )
        )
        if drops and random.random() < drops:
            like = random.choice(out)  # where something is
            out[-1] = like._replace(source=source, seq=max(0, seq), value=0, drop=True)
        elif drops and random.random() < 0.4:
            like = random.choice(out)
            out[-1] = like._replace(source=source, seq=max(0, seq), value=-like.value, drop=False)
        if random.random() < 0.05:
            out.append(out[random.randrange(len(out))])
    return out
