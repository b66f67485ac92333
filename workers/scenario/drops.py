"""Planted drops, and what looks like one and is none: kinds, places, times and sizes drawn from a seed.

| kind | what happens | an alert is |
| --- | --- | --- |
| city, province | the level falls by 20 to 60 % at once, for 3 to 8 weeks | wanted |
| indicator | one indicator falls by 20 to 80 % in a province, region or agglomeration, for 3 to 8 weeks | wanted |
| slide | a city or province falls by 25 to 50 % within 4 to 8 weeks, and stays there for as long | wanted |
| spike | a city or province rises by 40 to 100 % for 1 to 3 days, and is as before | wrong |
| dip | a city or province falls by 30 to 60 % for one day | wrong |
| holiday | a public holiday of 3 to 7 days, everywhere, at a date that no calendar knows | wrong |
| quarter | of a quarter's first day 40 to 70 % are reported days late, of the second half as much | wrong |
| source, still | a source or a city sends nothing for 4 to 8 days, then all of it | wanted: `silence`; a fall: wrong |

Two plants never touch the same province within REST days of each other, so that what an alert is due to is plain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from workers.scenario.daily import Daily

FALLS = ("city", "province", "indicator", "slide")
HARMLESS = ("spike", "dip", "holiday", "quarter")
SILENT = ("source", "still")
KINDS = (*FALLS, *HARMLESS, *SILENT)
# How many of each a whole play gets.
MIXED = {"city": 5, "province": 3, "indicator": 3, "slide": 3, "spike": 3, "dip": 3, "holiday": 2, "quarter": 2,
         "source": 2, "still": 2}  # fmt: skip
WARM_UP = 150  # days without any plant: rules learn what is usual
AFTER = 30  # days that a play goes on behind the last plant
REST = 45
_ROUNDS, _TRIES = 8, 400
# Days (of a slide: until it has come down), and by what part.
SIZES = {"city": (21, 56, 0.2, 0.6), "province": (21, 56, 0.2, 0.6), "slide": (28, 56, 0.25, 0.5),
         "spike": (1, 3, 0.4, 1.0), "dip": (1, 1, 0.3, 0.6), "still": (4, 8, 1.0, 1.0)}  # fmt: skip


@dataclass(frozen=True)
class Plant:
    """`cities`, `indicators`: positions, of whom it concerns. Days `first` to `last`, both included.

    `entity`: its code, or `source:NAME`. `size`: fraction by which it falls (rises, is late).
    """

    kind: str
    entity: str
    cities: tuple[int, ...]
    indicators: tuple[int, ...]
    first: int
    last: int
    size: float

    def describe(self, days: Daily) -> str:
        """For people: kind, place, dates, size."""
        what = "" if len(self.indicators) == len(days.indicators) else " " + ",".join(
            days.indicators[i] for i in self.indicators
        )  # fmt: skip
        return f"{self.kind} {self.entity}{what} {days.day(self.first)}..{days.day(self.last)} {self.size:.0%}"


def draw(days: Daily, kinds: Sequence[str], rng: Generator, last_day: int | None = None) -> list[Plant]:
    """One plant of each of `kinds` (names may repeat), by day. ValueError: an unknown kind, or no room is left.

    `last_day`: no plant ends later than AFTER days before it (default: the last of `days`).
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"no kind of plant {unknown[0]!r}; there are {', '.join(KINDS)}")
    end = len(days) if last_day is None else last_day
    for _ in range(_ROUNDS):  # one that took much room may have left none
        plants = _all(days, kinds, rng, end)
        if plants is not None:
            return sorted(plants, key=lambda p: (p.first, p.kind, p.entity))
    raise ValueError(f"no room for {len(kinds)} plants in {end} days; ask for fewer")


def _all(days: Daily, kinds: Sequence[str], rng: Generator, end: int) -> list[Plant] | None:
    province = np.empty(len(days.frame.codes), np.int64)
    for number, code in enumerate(days.frame.kinds["province"]):
        province[days.frame.groups[code]] = number
    taken: list[tuple[frozenset[int], int, int]] = []
    plants = []
    for kind in sorted(kinds, key=lambda k: (k != "source", k != "indicator")):  # those that need most room first
        for _ in range(_TRIES):
            plant = _one(days, kind, rng, end)
            where = frozenset(province[list(plant.cities)].tolist())
            free = all(plant.last + REST < a or plant.first > b + REST or not where & p for p, a, b in taken)
            if plant.last < end - AFTER and (free or kind == "holiday"):
                break
        else:
            return None
        if kind != "holiday":
            taken.append((where, plant.first, plant.last))
        plants.append(plant)
    return plants


def _one(days: Daily, kind: str, rng: Generator, end: int) -> Plant:
    frame, every = days.frame, tuple(range(len(days.indicators)))
    first = int(rng.integers(WARM_UP, max(WARM_UP + 1, end - AFTER)))
    if kind == "holiday":
        return Plant(
            kind, "nation:CN", tuple(range(len(frame.codes))), every, first, first + int(rng.integers(2, 7)), 0.0
        )
    if kind == "source":
        number = int(rng.integers(len(days.sources)))
        whose, what = np.nonzero(days.source_of == number)
        name = f"source:{days.sources[number]}"
        last = first + int(rng.integers(3, 8))
        return Plant(kind, name, _unique(whose), _unique(what), first, last, 1.0)
    if kind == "indicator":
        groups = [g for k in ("province", "region", "agglomeration") for g in frame.kinds[k]]
        entity = _pick(groups, rng)
        chosen = (int(rng.integers(len(every))),)
        last = first + int(rng.integers(21, 57))
        return Plant(kind, entity, _members(days, entity), chosen, first, last, float(rng.uniform(0.2, 0.8)))
    broad = kind == "province" or (kind not in ("city", "still") and rng.random() < 0.5)
    entity = _pick(frame.kinds["province"] if broad else frame.codes, rng)
    cities = _members(days, entity)
    if kind == "quarter":
        starts = [n for n in range(WARM_UP, end - AFTER) if days.day(n).day == 1 and days.day(n).month % 3 == 1]
        first = int(rng.choice(starts))
        return Plant(kind, entity, cities, every, first, first + 1, float(rng.uniform(0.4, 0.7)))
    shortest, longest, low, high = SIZES[kind]
    length = int(rng.integers(shortest, longest + 1)) * (2 if kind == "slide" else 1)
    return Plant(kind, entity, cities, every, first, first + length - 1, float(rng.uniform(low, high)))


def _unique(values: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(np.unique(values).tolist())


def _pick(codes: Sequence[str], rng: Generator) -> str:
    return codes[int(rng.integers(len(codes)))]


def _members(days: Daily, entity: str) -> tuple[int, ...]:
    if entity in days.frame.groups:
        return tuple(days.frame.groups[entity].tolist())
    return (days.frame.codes.index(entity),)
