"""What the rules remember of one system between two revisions.

Two parts. The durable one is written beside the alerts, in the transaction that moves the position (`pieces`): days,
baselines of closed periods, sources, pending conditions, ranks, alerts. The other is a view of `index-updates` as they
are at the position (`rows`, `values`), and is read back from there. `evaluate` changes a state in place and returns it:
who wants the old one keeps its pieces.

Ranks are durable since no topic has them as of a position: whole tables lag, and are written over by later ones.

Bounded: two periods of each grain, MAX_REACH days of float64[rows, nodes], CLOSED periods of baselines.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from index.periods import Grain, Period
from index.rules.alert import Alert
from index.rules.published import Delta, Update
from index.rules.world import World

Matrix = NDArray[np.float64]  # [rows, nodes], NaN where missing
Key = tuple[str, str]  # rule, subject
CLOSED = 24  # periods whose values at their closing are remembered


@dataclass(slots=True)
class Source:
    """One source's sequence. `since_us`: watermark when it last moved; `longest_us`: its longest pause so far."""

    top: int
    first_us: int
    since_us: int
    longest_us: int = 0
    moves: int = 0


@dataclass(slots=True)
class State:
    """See the head of this file. `day`: the epoch day under way; `base`: totals at its start (None: not known);
    `flows`: what each entity gained on each day that has ended; `closed`: period -> entity -> (at closing, now)."""

    revision: int = 0
    watermark_us: int | None = None
    day: int | None = None
    base: Matrix | None = None
    flows: dict[int, Matrix] = field(default_factory=dict)
    closed: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    heard_us: int | None = None  # watermark when the sources were last looked at
    pending: dict[Key, int] = field(default_factory=dict)
    ended: dict[Key, int] = field(default_factory=dict)  # silences that resolved of late, and when
    alerts: dict[Key, Alert] = field(default_factory=dict)

    rows: dict[str, dict[str, Update]] = field(default_factory=dict)
    values: dict[str, Matrix] = field(default_factory=dict)
    ranks: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    rank_revision: dict[tuple[str, str], int] = field(default_factory=dict)
    watched: frozenset[str] = frozenset()  # the rankings whose ranks are kept

    touched: set[str] = field(default_factory=set)  # pieces that changed since they were last written

    def show(self, world: World, update: Update) -> None:
        """Put an update into the view."""
        period = update.period
        self.rows.setdefault(period, {})[update.entity] = update
        row = world.row_of.get(update.entity)
        if row is None or Period.parse(period).grain is not world.grain:
            return
        matrix = self.values.get(period)
        if matrix is None:
            matrix = self.values[period] = np.full((len(world.codes), len(world.nodes)), np.nan)
        nodes = update.nodes
        line = [update.value, *[nodes.get(name) for name in world.nodes[1:]]]
        matrix[row] = [np.nan if value is None else value for value in line]

    def hide(self, world: World, entity: str, period: str) -> None:
        """An entity has no update in a period any more."""
        self.rows.get(period, {}).pop(entity, None)
        row = world.row_of.get(entity)
        if row is not None and period in self.values:
            self.values[period][row] = np.nan

    def move(self, delta: Delta) -> None:
        """Apply a delta to its table; one that the table holds already changes nothing. Scoped tables are not kept."""
        key = delta.ranking, delta.period
        if delta.scope is not None or delta.revision <= self.rank_revision.get(key, 0):
            return
        table = self.ranks.setdefault(key, {})
        moved = dict(zip(delta.moved.entity, delta.moved.rank, strict=True))
        if delta.shifted:
            for entity, rank in list(table.items()):
                if entity not in moved:
                    table[entity] = rank + next((by for a, b, by in delta.shifted if a <= rank <= b), 0)
        for entity, new in moved.items():
            if new is None:
                table.pop(entity, None)
            else:
                table[entity] = new
        self.rank_revision[key] = delta.revision
        self.touched.add(rank_piece(key))

    def watch(self, rankings: frozenset[str]) -> None:
        """Keep the ranks of these rankings, and of no others."""
        if rankings == self.watched:
            return
        self.watched = rankings
        self.touched.add("watched")
        for key in [key for key in self.ranks if key[0] not in rankings]:
            self._drop_ranks(key)

    def _drop_ranks(self, key: tuple[str, str]) -> None:
        del self.ranks[key]
        self.rank_revision.pop(key, None)
        self.touched.add(rank_piece(key))

    def forget(self, world: World) -> None:
        """Drop what lies before the predecessor of each grain's present period."""
        if self.day is None:
            return
        finest = world.period_of_day(self.day)
        first_month = finest.ordinal * finest.grain.months
        oldest = {grain: first_month // grain.months - 1 for grain in Grain}
        for name in [n for n in self.rows if _old(n, oldest)]:
            del self.rows[name]
            self.values.pop(name, None)
        for key in [k for k in self.ranks if _old(k[1], oldest)]:
            self._drop_ranks(key)


def rank_piece(key: tuple[str, str]) -> str:
    """The name of the piece that holds the ranks of a ranking and period."""
    return f"ranks/{key[0]}/{key[1]}"


def _old(name: str, oldest: dict[Grain, int]) -> bool:
    period = Period.parse(name)
    return period.ordinal < oldest[period.grain]
