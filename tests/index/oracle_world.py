"""What the slow oracle starts from: events, the settings of a world, and periods as (first month, number of months).

Months are counted from year 0; days are datetime.date. Shares no code with index/.
"""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import dataclass, field
from typing import Any

UTC8 = dt.timedelta(hours=8)
DAY_US = 86_400_000_000
EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True)
class Event:
    """One accepted event. `at_us`: UTC; the catalogue's zone is UTC+8. `period`: given by the event, or None."""

    partition: int
    source: str
    seq: int
    city: str
    indicator: str
    industry: str
    value: int
    at_us: int
    period: str | None = None
    drop: bool = False

    @functools.cached_property
    def day(self) -> dt.date:
        return EPOCH + dt.timedelta(days=(self.at_us + 8 * 3600 * 10**6) // DAY_US)


@dataclass
class World:
    """Catalogue and definition, as far as the maths needs them."""

    cities: list[str]
    groups: dict[str, tuple[str, list[str]]]  # code -> (kind, members)
    stocks: set[str]
    tree: dict[str, list[tuple[str, float]]]  # inner node -> [(child, weight)], root "index"
    base: str
    scale: float
    grains: list[str]
    kinds: list[str]
    nation: str | None
    grace_s: int
    renormalise: bool
    min_coverage: float
    mean_yoy_from: str | None
    rankings: list[dict[str, Any]]
    base_kind: str = "city"
    normalise: str = "base-share"
    options: dict[str, dict[str, Any]] = field(default_factory=dict)  # of leaves, by name
    aggregates: dict[str, str] = field(default_factory=dict)  # of inner nodes that are not arithmetic
    families: dict[str, tuple[str, list[str], list[tuple[str, float]]]] = field(default_factory=dict)
    # node with `industries`: set, the industries, leaves with weights; `tree` holds it expanded
    group_rule: str = "sum"
    mergers: list[tuple[str, str, str]] = field(default_factory=list)  # code, into, month
    merger_rule: str = "restate"
    mean_yoy_step: str = "period"
    industries: dict[str, list[str]] = field(default_factory=lambda: {"cloud": ["retail", "food"]})
    decimals: int = 2
    events: list[Event] = field(default_factory=list)
    watermark: int | None = None

    def entities(self) -> dict[str, tuple[str, list[str]]]:
        """Rows: code -> (kind, the base entities in it); under restate merged codes are none."""
        gone = {code for code, _, _ in self.mergers} if self.merger_rule == "restate" else set()
        known = {c: (self.base_kind, [c]) for c in self.cities if c not in gone}
        groups = {g: (k, [c for c in m if c not in gone]) for g, (k, m) in self.groups.items() if k in self.kinds}
        return known | groups

    def whole(self, leaf: str) -> bool:
        """Whether `industries =` made it."""
        return any(
            leaf == f"{child}/{i}" for _, only, below in self.families.values() for i in only for child, _ in below
        )


# --- periods ----------------------------------------------------------------------------------------------------------


@functools.cache
def months_of(name: str) -> tuple[int, int]:
    year = int(name[:4]) * 12
    rest = name[4:]
    if rest == "":
        return year, 12
    if rest[0] == "H":
        return year + 6 * (int(rest[1]) - 1), 6
    if rest[0] == "Q":
        return year + 3 * (int(rest[1]) - 1), 3
    return year + int(rest[1:]) - 1, 1


@functools.cache
def name_of(first: int, n: int) -> str:
    year, month = divmod(first, 12)
    return {
        12: f"{year:04d}",
        6: f"{year:04d}H{month // 6 + 1}",
        3: f"{year:04d}Q{month // 3 + 1}",
        1: f"{year:04d}-{month + 1:02d}",
    }[n]


@functools.cache
def shift(name: str, periods: int) -> str:
    first, n = months_of(name)
    return name_of(first + periods * n, n)


def year_ago(name: str) -> str:
    first, n = months_of(name)
    return name_of(first - 12, n)


def grain(name: str) -> str:
    return {12: "year", 6: "half", 3: "quarter", 1: "month"}[months_of(name)[1]]


@functools.cache
def first_day(name: str) -> dt.date:
    first, _ = months_of(name)
    return dt.date(first // 12, first % 12 + 1, 1)


@functools.cache
def n_days(name: str) -> int:
    return (first_day(shift(name, 1)) - first_day(name)).days


def start_us(day: dt.date) -> int:
    return (day - EPOCH).days * DAY_US - 8 * 3600 * 10**6


@functools.cache
def inside(part: str, whole: str) -> bool:
    (a, n), (b, m) = months_of(part), months_of(whole)
    return b <= a and a + n <= b + m
