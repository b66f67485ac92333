"""City values that end in printed ranks and growths: the calibrated construction behind the scenario dti-2022.

A printed table gives each city of an agglomeration its rank by the whole of 2021 and by 2022Q1, and g, the mean of its
year-over-year rates of 2021Q1 and 2022Q1. With v0, v4, v8 the values of the first quarters of 2020, 2021 and 2022,

    g = ((v4 / v0 - 1) + (v8 / v4 - 1)) / 2,   so of (v8, its yearly factor b = v8 / v4) the rest follows:
    v4 = v8 / b,   v0 = v4 / (2 + 2 g - b)

The calibration names v8 by rank (a few ranks, the others between them) and b; 2021 as a whole is a multiple of v8,
handed out in the order of the ranks of 2021. The other quarters lie between. Cities of no table share what the
nation leaves.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from workers.scenario.fit import Floats
from workers.scenario.frame import Frame, Ints

TABLES = Path(__file__).with_name("dti2022_cities.csv")
QUARTERS = 9
TIE_STEP = 1e-4  # printed growths that are equal differ by so much, in the order of their printed ranks
RECOVERY = (0.45, 0.7, 0.88)  # how much of the first year's rise (in logarithms) 2020Q2, Q3 and Q4 have made
WITHIN = (0.97, 1.0, 1.03)  # 2021Q2, Q3 and Q4 beside their mean


def printed_tables() -> dict[str, list[dict[str, str]]]:
    """The rows of the seven printed tables, by agglomeration."""
    tables: dict[str, list[dict[str, str]]] = {}
    with TABLES.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            tables.setdefault(row["agglomeration"], []).append(row)
    return tables


def ranked_values(given: dict[str, Any], frame: Frame, rng: Generator) -> Floats:
    """City values (quarter, city); they sum to 100 in 2020Q1 and to `nation.last` in 2022Q1.

    Raises ValueError where the calibration contradicts itself, KeyError on a name that the frame lacks.
    """
    first, last, factor, year = (np.zeros(len(frame.codes)) for _ in range(4))
    for table, rows in printed_tables().items():
        knobs = given["tables"][table]
        cities = np.array([frame.codes.index(row["city_code"]) for row in rows])
        order = np.array([int(row["rank_now"]) for row in rows]) - 1
        sizes = _between(knobs["sizes"], len(rows))
        last[cities] = sizes[order]
        factor[cities] = [given["factor"].get(row["city"], knobs["factor"]) for row in rows]
        rise = 2 + 2 * _growths(rows) - factor[cities]
        first[cities] = last[cities] / factor[cities] / rise
        years = sizes * knobs["year"]
        year[cities] = years[np.array([int(row["rank_prev_implied"]) for row in rows]) - 1]
        for row, city in zip(rows, cities.tolist(), strict=True):
            year[city] = given["year"].get(row["city"], year[city])
        _check_order(table, year[cities], rows)
    _others(given, frame, rng, first, last, factor, year)
    return _quarters(first, last / factor, last, year)


def _between(sizes: dict[str, float], count: int) -> Floats:
    """A size for each rank: those named, and geometric steps between them."""
    ranks = np.array([int(rank) for rank in sizes], dtype=np.float64)
    return np.exp(np.interp(np.arange(1, count + 1), ranks, np.log(list(sizes.values()))))


def _growths(rows: list[dict[str, str]]) -> Floats:
    """Printed growths; equal ones a little apart, so that their ranks are those printed."""
    growths = np.array([float(row["yoy"]) for row in rows])
    ranks = np.array([int(row["yoy_rank"]) for row in rows])
    for i in range(len(rows)):
        same = ranks[growths == growths[i]]
        ranks_mean = same.mean()
        if len(same) > 1:
            growths = growths.copy()
            growths[i] -= (ranks[i] - ranks_mean) * TIE_STEP
    return growths


def _check_order(table: str, year: Floats, rows: list[dict[str, str]]) -> None:
    ranks = np.array([int(row["rank_prev_implied"]) for row in rows])
    if not (np.diff(year[np.argsort(ranks)]) < 0).all():
        raise ValueError(f"{table}: `year` of a city contradicts its rank of 2021")


def _others(
    given: dict[str, Any], frame: Frame, rng: Generator, first: Floats, last: Floats, factor: Floats, year: Floats
) -> None:
    """Cities of no table, in place."""
    knobs = given["others"]
    outside = last == 0
    noise = knobs["noise"]
    weight = np.exp(rng.normal(0, 0.35, len(last)))
    for group, scale in knobs["scale"].items():
        weight[frame.groups[group]] *= scale
    growth = np.full(len(last), knobs["growth"]["rest"])
    for group, rate in knobs["growth"]["groups"].items():
        growth[frame.groups[group]] = rate
    growth += noise * rng.normal(0, 1, len(last))
    free = factor == 0
    factor[free] = knobs["factor"] + 0.3 * noise * rng.normal(0, 1, int(free.sum()))
    for name, points in knobs["sizes"].items():
        last[frame.at[name]] = points
    for group, points in knobs["groups"].items():
        _share_out(last, weight, frame.groups[group], points)
    for group, like in knobs["ties"].items():
        _share_out(last, weight, frame.groups[group], float(last[frame.groups[like]].sum()))
    rest = np.flatnonzero(last == 0)
    last[rest] = (given["nation"]["last"] - last.sum()) * weight[rest] / weight[rest].sum()
    first[outside] = (last / factor / (2 + 2 * growth - factor))[outside]
    first[outside] *= (100 - first[~outside].sum()) / first[outside].sum()
    year[outside] = last[outside] * (knobs["year"] + 0.3 * noise * rng.normal(0, 1, int(outside.sum())))
    if last.min() <= 0 or first.min() <= 0:
        raise ValueError("the tables leave nothing for a city of no table")


def _share_out(last: Floats, weight: Floats, inside: Ints, points: float) -> None:
    """Cities of `inside` without a size get what the others leave of `points`, in proportion to `weight`."""
    rest = inside[last[inside] == 0]
    last[rest] = (points - last[inside].sum()) * weight[rest] / weight[rest].sum()


def _quarters(first: Floats, middle: Floats, last: Floats, year: Floats) -> Floats:
    """All nine quarters from 2020Q1, 2021Q1, 2022Q1 and the sum of 2021."""
    values = np.empty((QUARTERS, len(first)))
    values[0], values[4], values[8] = first, middle, last
    for q, part in enumerate(RECOVERY, start=1):
        values[q] = first * (middle / first) ** part
    for q, part in enumerate(WITHIN, start=5):
        values[q] = (year - middle) / 3 * part
    if values.min() <= 0:
        raise ValueError("a quarter of a city is not positive: `year` and `factor` of its table do not fit")
    return values
