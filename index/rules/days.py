"""Days of event time: what each series gained on each, from the values at the days' ends.

A value is what its period holds so far, so a day's flow is the difference of two ends; the new period's first value
counts from 0 on. The end of a day falls between two revisions: values are interpolated by the watermark, so that how
coarse the revisions are does not matter. Where the watermark leaps over more than LEAP days (a feed that begins anew),
and on the first, partial day, and in the base period, whose running total is the unit, the flow is not known.

Cost: one copy of the values at a revision in which a day ends, else nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from index.rules.rule import MAX_REACH
from index.rules.state import Matrix, State
from index.rules.world import World

LEAP = 4


def ends_days(world: World, state: State, now_us: int) -> bool:
    """Whether a day has ended since the last revision."""
    return state.day is not None and now_us >= world.calendar.start_of_day_us(state.day + 1)


def values_of(world: World, state: State) -> dict[str, Matrix]:
    """A copy of the values of the periods that the days under way belong to: to be taken before the updates apply."""
    return {name: matrix.copy() for name, matrix in state.values.items()}


def close_days(world: World, state: State, before: dict[str, Matrix], now_us: int) -> Iterator[int]:
    """Record the days that have ended by `now_us`, the watermark of the revision just applied, and yield each, when
    `state.day` is the next one.

    `before`: the values before it, of which `state.watermark_us` was the watermark.
    """
    calendar = world.calendar
    today = calendar.days_ended_by(now_us)
    if state.day is None:
        state.day, state.base = today, None
        return
    first, then_us = state.day, state.watermark_us
    assert then_us is not None  # a day is under way since the first watermark
    if today - first > LEAP:
        for day in range(max(first, today - MAX_REACH), today):
            _record(world, state, day, None)
        state.day, state.base = today, _total(world, state.values, today)
        state.touched.add("base")
        yield today - 1
        return
    for day in range(first, today):
        end_us = calendar.start_of_day_us(day + 1)
        part = (end_us - then_us) / (now_us - then_us) if now_us > then_us else 1.0
        at_end = _between(world, before, state.values, day, part)
        known = state.base is not None and not _in_base(world, day)
        _record(world, state, day, _minus(at_end, state.base) if known and state.base is not None else None)
        state.base = at_end
        if world.period_of_day(day + 1) != world.period_of_day(day):
            state.base = _between(world, before, state.values, day + 1, part)
        state.day = day + 1
        state.touched.add("base")
        yield day


def _in_base(world: World, day: int) -> bool:
    """Whether the unit itself grows with the day: no difference of values is a flow then."""
    return world.base is not None and day in world.base.days()


def _record(world: World, state: State, day: int, flow: Matrix | None) -> None:
    if flow is None:
        flow = np.full((len(world.codes), len(world.nodes)), np.nan)
    state.flows[day] = flow
    state.touched.add(f"day/{day % MAX_REACH}")
    for old in [each for each in state.flows if each <= day - MAX_REACH]:
        del state.flows[old]


def _total(world: World, values: dict[str, Matrix], day: int) -> Matrix:
    """The day's period and the next, which other partitions may have begun; NaN where neither has a value."""
    period = world.period_of_day(day)
    total = np.full((len(world.codes), len(world.nodes)), np.nan)
    for name in (period.name, period.successor.name):
        matrix = values.get(name)
        if matrix is not None:
            total = np.where(np.isnan(total), matrix, total + np.nan_to_num(matrix))
    return total


def _between(world: World, before: dict[str, Matrix], after: dict[str, Matrix], day: int, part: float) -> Matrix:
    old, new = _total(world, before, day), _total(world, after, day)
    old = np.where(np.isnan(old), 0.0, old)  # a value that appears grew from nothing
    at: Matrix = old + (new - old) * min(max(part, 0.0), 1.0)
    return at


def _minus(at_end: Matrix, base: Matrix) -> Matrix:
    flow: Matrix = at_end - np.where(np.isnan(base), 0.0, base)
    return flow


def moves_today(world: World, state: State, row: int, node: int) -> bool:
    """Whether a series has gained anything on the day under way."""
    if state.day is None or state.base is None:
        return False
    total = 0.0
    period = world.period_of_day(state.day)
    for name in (period.name, period.successor.name):
        matrix = state.values.get(name)
        if matrix is not None and not np.isnan(matrix[row, node]):
            total += float(matrix[row, node])
    base = float(state.base[row, node])
    return total != (0.0 if np.isnan(base) else base)


def window(world: World, state: State, days: int) -> Matrix:
    """float64[days, rows, nodes]: the flows of the last days that have ended, NaN where not known; the latest last."""
    shape = len(world.codes), len(world.nodes)
    nothing = np.full(shape, np.nan)
    if state.day is None:
        return np.full((days, *shape), np.nan)
    return np.stack([state.flows.get(day, nothing) for day in range(state.day - days, state.day)])
