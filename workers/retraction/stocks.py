"""Levels to set so that a stock has, in every period, the level that it would have without the selection.

A level cannot be taken away by an event, only be followed by a later one. So the level that would stand is set again,
at the time of the one to be covered, where a later source or sequence number wins. That moves it in time, and may put
it before a level of a longer period that it should not cover: then that period's own level is set again as well, from
the finest period to the coarsest. Where nobody else has said anything, a drop follows: there is no level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from index.periods import Period
from workers.retraction.ledger import Level

Own = Mapping[Period, Mapping[int, Level]]  # the own levels of periods, by partition


class Set(NamedTuple):
    """Set `level` (value None: a drop) in `period`'s own cell; `over`: the level that it covers, None where none is."""

    period: Period
    level: Level
    over: Level | None


def levels_to_set(now: Own, without: Own, follow: Callable[[Level], Level]) -> list[Set]:
    """Of one city, indicator and industry: what to set, in order. Exact for the amounts of all periods.

    `follow(level)`: a level of any value in its partition that wins over it.
    """
    periods = sorted({each for period in now for each in period.ancestors()}, key=lambda p: (-p.grain, p.ordinal))
    top: dict[Period, Level] = {}
    right: dict[Period, Level] = {}
    sets: list[Set] = []
    for period in periods:
        over = max(_candidates(period, top, now), default=None)
        wanted = max(_candidates(period, right, without), default=None)
        own = now.get(period, {})
        if wanted is None:
            # No part has a level any more either: theirs were dropped before.
            for level in own.values():
                if level.value is not None:
                    sets.append(Set(period, follow(level)._replace(value=None), level))
            continue
        right[period] = wanted
        if over is not None and over.value == wanted.value:
            top[period] = over
            continue
        # It must win over what shows, and over what its own cell holds, which may be that there is none.
        partition = wanted.partition if over is None else over.partition
        held = [level for level in (over, own.get(partition)) if level is not None]
        top[period] = follow(max(held, key=lambda level: level[:3]))._replace(value=wanted.value)
        sets.append(Set(period, top[period], over))
    return sets


def _candidates(period: Period, found: Mapping[Period, Level], own: Own) -> Iterator[Level]:
    """The levels of the parts, and the own ones, of a period; what says that there is none does not count."""
    yield from (found[part] for part in period.parts() if part in found)
    yield from (level for level in own.get(period, {}).values() if level.value is not None)
