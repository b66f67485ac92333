"""A planted play through the engine and the rules, without any server: what fires, when, and what it was due to.

One step a day of event time: its cells into the store and the board, their difference and the deltas to the rules,
as the alert worker would read them from the topics. About fifty days a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.board import Board
from index.catalogue import Catalogue
from index.cells import CellStore, Partition
from index.definition import Definition
from index.diff import Diff
from index.rules import Alert, Published, Rule, State, World, evaluate
from index.rules.alert import FIRING, HELD, RESOLVED
from workers.scenario.daily import Daily
from workers.scenario.planted import CellRows, Planted

DAY_US = 86_400_000_000
LOOKS = 4
_ONLY = Partition(0)


@dataclass
class Fired:
    """One alert that began to fire (or is held) on `day`: the number of the day whose end is the watermark.

    `ended`: the day of its end, None while it lasts; `wall_s`: from the day's report to the alert.
    """

    alert: Alert
    day: int
    wall_s: float
    ended: int | None = None

    @property
    def held(self) -> bool:
        """Whether it was only noted, for something else explains it."""
        return self.alert.state == HELD


@dataclass
class Played:
    """What came of a play: `fired` in order, and the seconds that each day took."""

    fired: list[Fired] = field(default_factory=list)
    step_s: list[float] = field(default_factory=list)


class Stage:
    """A board, its store and the rules' state, from nothing."""

    def __init__(self, catalogue: Catalogue, definition: Definition, rules: Sequence[Rule], days: Daily) -> None:
        self._catalogue, self._days, self._rules = catalogue, days, tuple(rules)
        self._store, self._board = CellStore(catalogue), Board(definition, catalogue)
        self._world, self._state, self._revision = World.of(catalogue, definition), State(), 0
        number = catalogue.indicator_index
        self._rows = CellRows(days, {i: f"{i}/{catalogue.industry_codes[number[i]][0]}" for i in days.indicators})
        self._tops = np.zeros(len(days.sources), np.int64)

    def step(self, day: int, reports: Sequence[Any]) -> list[Alert]:
        """One day's reports, then the watermark at its end; the alerts that changed their state.

        What the sources have sent is looked at LOOKS times a day, as the alert worker looks at it all the time.
        """
        sent = np.zeros_like(self._tops)
        for report in reports:
            sent += np.bincount(self._days.source_of[report.amounts != 0], minlength=len(self._tops))
        ended = (self._days.day(day + 1) - _EPOCH).days
        watermark_us = self._catalogue.calendar.start_of_day_us(ended)
        early: list[Alert] = []
        for look in range(1, LOOKS):
            early += self._evaluate(watermark_us - DAY_US + DAY_US * look // LOOKS, self._tops + sent * look // LOOKS)
        self._tops += sent
        self._board.apply(self._store.apply(_ONLY, self._rows.add(reports), self._catalogue.version))
        self._board.watermark(watermark_us)
        diff = self._board.diff()
        return early + self._evaluate(watermark_us, self._tops, diff)

    def _evaluate(self, watermark_us: int, tops: NDArray[np.int64], diff: Diff | None = None) -> list[Alert]:
        """A revision: with what `diff` says, or with nothing but a later watermark."""
        self._revision += 1
        diff = diff or Diff()
        published = Published(
            revision=self._revision,
            watermark_us=watermark_us,
            updates=[SimpleNamespace(**update) for update in diff.updates],
            deltas=[_delta(delta, self._revision) for delta in diff.deltas],
            removed=[(entity, period) for entity, _, period in (key.partition("/") for key in diff.removed)],
            sources={name: int(top) for name, top in zip(self._days.sources, tops, strict=True) if top},
        )
        self._state, alerts = evaluate(self._world, self._rules, self._state, published)
        return alerts


_EPOCH = np.datetime64(0, "D").astype(object)


def _delta(delta: dict[str, Any], revision: int) -> SimpleNamespace:
    return SimpleNamespace(**{**delta, "moved": SimpleNamespace(**delta["moved"]), "revision": revision})


def play(stage: Stage, planted: Planted, progress: Callable[[int], None] = lambda day: None) -> Played:
    """All days of a planted play. Deterministic but for the wall times."""
    played, lasting = Played(), dict[tuple[str, str], Fired]()
    for day, reports in enumerate(planted.reports()):
        began = time.perf_counter()
        alerts = stage.step(day, reports)
        took = time.perf_counter() - began
        played.step_s.append(took)
        for alert in alerts:
            key = alert.rule, alert.subject
            if alert.state == RESOLVED:
                if key in lasting:
                    lasting.pop(key).ended = day
                continue
            if alert.state not in (FIRING, HELD):
                continue
            if key in lasting:
                lasting[key].ended = day
            lasting[key] = fired = Fired(alert, day, took)
            played.fired.append(fired)
        progress(day)
    return played
