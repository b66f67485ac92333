"""Amounts by the slow oracle: every number is searched out of the events again (docs/formats.md sections 3 and 4)."""

from __future__ import annotations

import datetime as dt

from tests.index.oracle_world import Event, World, first_day, inside, months_of, n_days, name_of

Key = tuple[str, str | None]  # indicator, industry (None: all)


def own_period(event: Event) -> str:
    return event.period or name_of(event.day.year * 12 + event.day.month - 1, 1)


def counted_for(world: World, city: str, month: int) -> str:
    """The base entity in which a code counts in a month (counted from year 0)."""
    for code, into, since in world.mergers:
        if code == city and (world.merger_rule == "restate" or months_of(since)[0] <= month):
            return counted_for(world, into, month)
    return city


def merged(world: World, city: str, period: str) -> bool:
    return counted_for(world, city, months_of(period)[0]) != city


def held(world: World, days: bool = False) -> list[Event]:
    """The events whose cells (`days`: day cells) are there: a drop ends a flow's whose sum is 0, and a stock's of which
    it is the latest.
    """
    if not any(e.drop for e in world.events):
        return [e for e in world.events if not days or e.period is None]
    found: dict[tuple[object, ...], list[Event]] = {}
    for e in world.events:
        if days and (e.period is not None or e.indicator in world.stocks):
            continue
        key = (e.partition, e.city, e.indicator, *((e.day,) if days else (own_period(e), e.industry)))
        cell = found.setdefault(key, [])
        if e.indicator in world.stocks or not e.drop:
            cell.append(e)
        elif sum(each.value for each in cell) == 0:
            cell.clear()
    for cell in found.values():
        if cell and cell[0].indicator in world.stocks and max(cell, key=lambda e: (e.at_us, e.source, e.seq)).drop:
            cell.clear()
    return [e for cell in found.values() for e in cell if not e.drop]


def cells(world: World, key: Key, cities: list[str], period: str) -> list[Event]:
    """The events that make up the amount of some base entities."""
    indicator, industry = key
    stock = indicator in world.stocks
    return [
        e
        for e in held(world)
        if e.indicator == indicator
        and industry in (None, e.industry)
        and inside(own_period(e), period)
        and counted_for(world, e.city, months_of(period if stock else own_period(e))[0]) in cities
    ]


def amount(world: World, key: Key, cities: list[str], period: str) -> int | None:
    """None: no cell below."""
    found = cells(world, key, cities, period)
    if not found:
        return None
    if key[0] not in world.stocks:
        return sum(e.value for e in found)
    total = 0
    for cell in {(e.city, e.industry) for e in found}:
        reports = [(e.at_us, e.source, e.seq, e.value) for e in found if (e.city, e.industry) == cell]
        total += max(reports)[3]
    return total


def days_amount(world: World, key: Key, cities: list[str], period: str, n: int) -> int | None:
    """Of the first n days; a single industry has no days."""
    first = first_day(period)
    found = [
        e.value
        for e in held(world, days=True)
        if e.indicator == key[0]
        and key[1] is None
        and e.period is None
        and first <= e.day < first + dt.timedelta(days=n)
        and counted_for(world, e.city, e.day.year * 12 + e.day.month - 1) in cities
    ]
    return sum(found) if found else None


def undated(world: World, key: Key, cities: list[str], period: str) -> bool:
    """Whether a flow is present in amounts that its day cells do not add up to."""
    if key[0] in world.stocks:
        return False
    whole = amount(world, key, cities, period)
    return whole is not None and (days_amount(world, key, cities, period, n_days(period)) or 0) != whole
