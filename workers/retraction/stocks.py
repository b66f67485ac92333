"""Levels to set so that a stock has, in every period, the level that it would have without the selection.

A level cannot be taken away by an event, only be followed by a later one. So the level that would stand is set again,
at the time of the one to be covered, where a later source or sequence number wins. That moves it in time, and may put
it before a level of a longer period that it should not cover: then that period's own level is set again as well, from
the finest period to the coarsest. A period in which nobody else has said anything keeps the level that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from index.periods import Period
from workers.retraction.ledger import Level


class Set(NamedTuple):
    """Set `level` in `period`'s own cell; `over`: the level that it covers."""

    period: Period
    level: Level
    over: Level


def levels_to_set(
    now: Mapping[Period, Level], without: Mapping[Period, Level], follow: Callable[[Level], Level]
) -> tuple[list[Set], list[Period]]:
    """Of one city, indicator and industry, the own levels by period: (sets in order, periods that cannot be mended).

    `follow(level)`: a level of any value that wins over it. Exact for the amounts of all periods.
    """
    periods = sorted({each for period in now for each in period.ancestors()}, key=lambda p: (-p.grain, p.ordinal))
    top: dict[Period, Level] = {}
    right: dict[Period, Level] = {}
    sets, stuck = [], []
    for period in periods:
        for levels, own in (top, now), (right, without):
            found = [levels[part] for part in period.parts() if part in levels]
            found += [own[period]] if period in own else []
            if found:
                levels[period] = max(found)
        over, wanted = top[period], right.get(period)
        if wanted is None:
            stuck.append(period)
        elif over.value != wanted.value:
            top[period] = follow(over)._replace(value=wanted.value)
            sets.append(Set(period, top[period], over))
    return sets, stuck
