"""A play of the scenario: batches of messages in the order in which the sources send them, day by day.

What is sent is a function of the scenario, the seed and the rates alone. Invariants, on which exact counts rest:

- `seq` rises by source in the order of sending, so it rises in every partition too, however keys are spread.
- A repeat follows its original within REPEAT_WITHIN messages, far inside the window of 4,096 numbers.
- All events of a city have the same key, so a repeat meets its original's window. Arrays are numbered lane by lane,
  in the order in which they are sent.
- A bad event takes a sequence number of its own; rejected, it leaves no mark, and the gap does no harm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from workers.scenario import odd
from workers.scenario.bad import FORMS, Form, Seqs
from workers.scenario.columns import DAY_S, EPOCH, KINDS, NORMAL, Rows
from workers.scenario.faults import Rates, delayed, disturb
from workers.scenario.frame import Ints
from workers.scenario.rows import Scenario
from workers.scenario.wire import Wire

DEFAULT_DENSITY = 0.243  # of dti-2023: about 600,000 accepted events in the whole play; of dti-2022: about 820,000
REPEAT_WITHIN = 800
CLOSES_AFTER = timedelta(days=10)  # beyond the definition's grace of 3 days
LANES = 64  # keys of arrays: an array holds events of cities of one lane


class Message(NamedTuple):
    """One Kafka message."""

    key: bytes
    value: bytes


@dataclass(frozen=True)
class Play:
    """What to play. `days`: how many from the first (None: all); `cities`: how many of the largest (None: all).

    `density`: reports a day of an ordinary city and indicator (1.0: 2.5 million events in all); quarterly totals do not
    depend on it. `array` > 1: messages are arrays of up to so many events. `first_seq`: of every source; a second play
    on the same topic needs one above the first's, or it is taken for a repeat.
    """

    seed: int = 1
    rates: Rates = field(default_factory=Rates)
    density: float = DEFAULT_DENSITY
    array: int = 1
    days: int | None = None
    cities: int | None = None
    first_seq: int = 1


@dataclass
class Batch:
    """Messages of one day (with arrays: of some days), and how many events of each kind are in them.

    Keys of `kinds`: `event`, `late`, `correction`, `restatement`, `closing`, `odd` (all of them accepted), `duplicate`,
    `rejected:<reason>`.
    """

    day: date
    messages: list[Message]
    kinds: Counter[str]

    @property
    def events(self) -> int:
        """Events sent: accepted, repeated and bad ones."""
        return sum(self.kinds.values())


def days_of(scenario: Scenario) -> int:
    """From the first day of a whole play to its closing day."""
    return (scenario.last - scenario.first + CLOSES_AFTER).days + 1


def iter_batches(scenario: Scenario, play: Play) -> Iterator[Batch]:
    """The play from its first day to the closing statements. Deterministic: the same arguments give the same bytes."""
    rng = default_rng(play.seed)
    sender = _Sender(scenario, play, rng)
    # With arrays, days are joined until the lanes hold a few arrays each, or most would be cut short.
    least = LANES * play.array * 3 if play.array > 1 else 1
    waiting: list[Rows] = []
    for day, rows in _by_day(scenario, play, rng):
        waiting.append(rows)
        if sum(map(len, waiting)) >= least:
            yield sender.send(day, Rows.join(waiting))
            waiting = []
    if waiting:
        yield sender.send(day, Rows.join(waiting))


def _by_day(scenario: Scenario, play: Play, rng: Generator) -> Iterator[tuple[date, Rows]]:
    """Rows of each day on which something is sent, in the order of sending."""
    last = scenario.last
    if play.days is not None:
        last = min(last, scenario.first + timedelta(days=play.days - 1))
    closing_day = last + CLOSES_AFTER
    end_s = ((last - EPOCH).days + 1) * DAY_S
    until_s = (closing_day - EPOCH).days * DAY_S - 1
    size = scenario.totals.amounts
    largest = np.argsort(-sum(a[0].sum(axis=1) / a[0].sum() for a in size.values()), kind="stable")
    cities = np.sort(largest[: play.cities])
    quarters = scenario.totals.quarters
    starts = [(date(int(q[:4]), int(q[5]) * 3 - 2, 1) - EPOCH).days for q in quarters]
    played = [q for q in range(len(quarters)) if starts[q] * DAY_S < end_s]
    pending = [_side(scenario, play, cities, end_s, until_s)]
    for q in played:
        rows = scenario.quarter(q, play.density, cities, rng)
        rows = disturb(rows.take(rows.at < end_s), quarters[q], q, play.rates, scenario.given["restated"], until_s, rng)
        pending.append(rows)
        if q == played[-1]:
            pending.append(scenario.closing(closing_day, q, cities))
        waiting = Rows.join(pending)
        waiting = waiting.take(np.argsort(waiting.emit, kind="stable"))
        day_of = waiting.emit // DAY_S
        stop = len(waiting) if q == played[-1] else int(np.searchsorted(day_of, starts[q + 1]))
        pending = [waiting.take(slice(stop, None))]
        days, cuts = np.unique(day_of[:stop], return_index=True)
        for day, begin, end in zip(days.tolist(), cuts.tolist(), [*cuts[1:].tolist(), stop], strict=True):
            yield EPOCH + timedelta(days=day), waiting.take(slice(begin, end))


def _side(scenario: Scenario, play: Play, cities: Ints, end_s: int, until_s: int) -> Rows:
    """Side streams of these cities and of all merged ones, before `end_s`; the daily play does not depend on them."""
    rows = scenario.side_rows()
    frame = len(scenario.frame.codes)
    rows = rows.take((rows.at < end_s) & (np.isin(rows.city, cities) | (rows.city >= frame)))
    return delayed(rows, play.rates, until_s, default_rng([play.seed, 1]))


class _Sender:
    """Numbers the rows, adds what is bad and what is repeated, and encodes. Holds what outlives a batch."""

    def __init__(self, scenario: Scenario, play: Play, rng: Generator) -> None:
        self.wire = Wire(scenario)
        self.daily = len(scenario.daily_whats)  # only these events are spoilt or written oddly: all have 2 decimals
        self.play = play
        self.rng = rng
        self.next_seq = np.full(len(scenario.sources), play.first_seq, dtype=np.int64)
        self.last_seq = np.full((len(scenario.sources), len(scenario.codes)), -1, dtype=np.int64)
        self.bad_due = 0.0  # fractions of a bad event carried from batch to batch
        self.form = self.odd_form = 0  # the next of FORMS and of odd.FORMS
        self.keys = [code.encode() for code in scenario.codes]
        if play.array > 1:
            self.keys = [b"lane-%02d" % (i % LANES) for i in range(len(scenario.codes))]

    def send(self, day: date, rows: Rows) -> Batch:
        """One batch of what is sent on `day`."""
        if self.play.array > 1:
            rows = rows.take(np.argsort(rows.city % LANES, kind="stable"))
        rows, is_bad = self._with_bad(rows)
        seq = self._number(rows)
        is_odd = (
            ~is_bad
            & (rows.kind == NORMAL)
            & (rows.what < self.daily)
            & (self.rng.random(len(rows)) < self.play.rates.odd)
        )
        kinds = Counter({KINDS[k]: n for k, n in enumerate(np.bincount(rows.kind[~is_bad & ~is_odd]).tolist())})
        texts: list[str | bytes] = list(self.wire.texts(rows, seq))
        for i in np.flatnonzero(is_odd).tolist():
            texts[i] = odd.FORMS[self.odd_form % len(odd.FORMS)](self.wire.fields(rows, i, int(seq[i])))
            self.odd_form += 1
        kinds["odd"] = int(is_odd.sum())
        alone: set[int] = set()
        for i in np.flatnonzero(is_bad).tolist():
            form = self._next_form(int(rows.source[i]), int(rows.city[i]))
            seqs = Seqs(int(seq[i]), int(self.last_seq[rows.source[i], rows.city[i]]))
            texts[i] = form.make(self.wire.fields(rows, i, int(seq[i])), seqs)
            kinds[f"rejected:{form.reason}"] += 1
            if form.alone:
                alone.add(i)
        good = ~is_bad
        np.maximum.at(self.last_seq, (rows.source[good], rows.city[good]), seq[good])
        order = self._with_repeats(rows, good)
        kinds["duplicate"] = len(order) - len(rows)
        keys = [self.keys[c] for c in rows.city.tolist()]
        if len(order) > len(rows):
            keys, texts = [keys[i] for i in order], [texts[i] for i in order]
        messages = _arrays(keys, texts, self.play.array, {at for at, i in enumerate(order) if i in alone})
        return Batch(day, messages, +kinds)

    def _with_bad(self, rows: Rows) -> tuple[Rows, NDArray[np.bool_]]:
        """The rows with copies of some of them to be spoilt, each right behind its original."""
        is_bad = np.zeros(len(rows), dtype=bool)
        daily = np.flatnonzero(rows.what < self.daily)
        self.bad_due += len(daily) * self.play.rates.bad
        count = min(int(self.bad_due), len(daily))
        if not count:
            return rows, is_bad
        self.bad_due -= count
        picked = daily[np.sort(self.rng.choice(len(daily), count, replace=False))]
        source = np.insert(np.arange(len(rows)), picked + 1, picked)
        is_bad = np.insert(is_bad, picked + 1, True)
        return rows.take(source), is_bad

    def _number(self, rows: Rows) -> Ints:
        """The next sequence numbers of each row's source, in the order of the rows."""
        seq = np.empty(len(rows), dtype=np.int64)
        for source in np.unique(rows.source).tolist():
            where = np.flatnonzero(rows.source == source)
            seq[where] = self.next_seq[source] + np.arange(len(where))
            self.next_seq[source] += len(where)
        return seq

    def _next_form(self, source: int, city: int) -> Form:
        """Forms in turn; one that needs a window which does not exist yet is passed over."""
        while True:
            form = FORMS[self.form % len(FORMS)]
            self.form += 1
            if form.needs_seq <= int(self.last_seq[source, city]):
                return form

    def _with_repeats(self, rows: Rows, good: NDArray[np.bool_]) -> list[int]:
        """Positions in the order of sending: some good rows come a second time, soon after the first (in its lane)."""
        size = len(good)
        picked = np.flatnonzero(good & (self.rng.random(size) < self.play.rates.duplicates))
        if not len(picked):
            return list(range(size))
        end = np.full(len(picked), size)
        if self.play.array > 1:
            lane = rows.city % LANES
            end = np.searchsorted(lane, lane[picked], side="right")
        back = np.minimum(picked + self.rng.integers(0, REPEAT_WITHIN, len(picked)), end - 1) + 0.5
        place = np.concatenate([np.arange(size), back])
        source = np.concatenate([np.arange(size), picked])
        return source[np.argsort(place, kind="stable")].tolist()


def _arrays(keys: list[bytes], texts: list[str | bytes], size: int, alone: set[int]) -> list[Message]:
    """Messages of up to `size` elements with the same key, in order; positions in `alone` go by themselves."""
    if size <= 1:
        values = [text.encode() if isinstance(text, str) else text for text in texts]
        return list(map(Message._make, zip(keys, values, strict=True)))
    messages: list[Message] = []
    for key, inside in groupby(range(len(keys)), keys.__getitem__):
        elements: list[str] = []
        for i in inside:
            text = texts[i]
            if i in alone:
                messages.append(Message(key, text if isinstance(text, bytes) else text.encode()))
            else:
                elements.append(str(text))
        for begin in range(0, len(elements), size):
            messages.append(Message(key, f"[{','.join(elements[begin : begin + size])}]".encode()))
    return messages
