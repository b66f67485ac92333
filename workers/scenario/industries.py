"""Industries of the scenario dti-2022: parts of each province that rank as the report's tables print.

A province's part of an industry is its index of the industry / its whole index. The report prints, for seven
industries, the first ten provinces by that part and by growth (the mean of the year-over-year rates of 2021Q1 and
2022Q1). Parts in 2022Q1 follow the first ranking; how they came about from 2020Q1 follows the second; the industries
without a table take what is left.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from workers.scenario.fit import Floats, fit
from workers.scenario.frame import Frame

TABLES = Path(__file__).with_name("dti2022_industries.csv")
YEAR_AGO, LAST = 4, 8  # positions of 2021Q1 and 2022Q1


def printed_ranks(measure: str) -> dict[str, dict[str, int]]:
    """Of `share` or `growth`: industry -> province code -> printed rank."""
    ranks: dict[str, dict[str, int]] = {}
    with TABLES.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["measure"] == measure:
                ranks.setdefault(row["industry"], {})[f"province:{row['province_code']}"] = int(row["rank"])
    return ranks


def province_parts(given: dict[str, Any], frame: Frame, view: Floats) -> Floats:
    """Parts (quarter, province, industry), 1 in sum over the industries.

    `view`: the industry index of all industries together (quarter, city). Raises ValueError where nothing is left for
    the industries without a table.
    """
    knobs = given["industries"]
    provinces = frame.kinds["province"]
    whole = np.stack([view[:, frame.groups[code]].sum(axis=1) for code in provinces], axis=1)
    parts = np.zeros((len(view), len(provinces), len(knobs["size"])))
    free = [k for k, name in enumerate(knobs["size"]) if name not in knobs["tables"]]
    for k, name in enumerate(knobs["size"]):
        if name in knobs["tables"]:
            parts[:, :, k] = _last_parts(knobs, name, provinces)
            _grow_back(parts[:, :, k], whole, knobs["tables"][name], knobs, provinces)
    left = 1 - parts.sum(axis=2)
    if left.min() < 0.02:
        q, p = np.unravel_index(left.argmin(), left.shape)
        raise ValueError(f"{given['quarters'][q]} {provinces[p]}: {left[q, p]:.3f} is left for industries of no table")
    mix = np.tile([knobs["size"][list(knobs["size"])[k]] for k in free], (len(provinces), 1)).astype(np.float64)
    for i, code in enumerate(provinces):
        for j, k in enumerate(free):
            mix[i, j] *= knobs["strong"].get(code, {}).get(list(knobs["size"])[k], 1.0)
    parts[:, :, free] = left[:, :, None] * mix / mix.sum(axis=1, keepdims=True)
    return parts


def _last_parts(knobs: dict[str, Any], name: str, provinces: list[str]) -> Floats:
    """Parts in 2022Q1: the ten of the table as the calibration says, the others below the tenth."""
    table = knobs["tables"][name]
    ranks = printed_ranks("share")[table["printed"]]
    found = np.empty(len(provinces))
    for i, code in enumerate(provinces):
        below = table["ten"][-1] * (0.45 + 0.35 * (i * 7 % len(provinces)) / len(provinces))
        own = knobs["strong"].get(code, {}).get(name, below)
        if own >= table["ten"][-1]:
            raise ValueError(f"{code} {name}: {own} is no less than the tenth of the table")
        found[i] = table["ten"][ranks[code] - 1] if code in ranks else own
    return found / 100


def _grow_back(
    parts: Floats, whole: Floats, table: dict[str, Any], knobs: dict[str, Any], provinces: list[str]
) -> None:
    """`parts` (quarter, province), all as in 2022Q1, moved before it so that growth ranks as printed; in place.

    A province that is not in the table grows by `lead` more than its own whole; the ten lie above, `step` apart.
    """
    ranks = printed_ranks("growth")[table["printed"]]
    factor = whole[LAST] / whole[YEAR_AGO]
    own = (whole[YEAR_AGO] / whole[0] + factor) / 2 - 1
    tenth = knobs["step"] + table["lead"] + max(own[i] for i, code in enumerate(provinces) if code not in ranks)
    for i, code in enumerate(provinces):
        growth = tenth + knobs["step"] * (10 - ranks[code]) if code in ranks else own[i] + table["lead"]
        # Both years lead alike.
        now = factor[i] + growth - own[i]
        before = 2 + 2 * growth - now
        ratio = np.array([whole[LAST, i] / (now * before), whole[LAST, i] / now]) / whole[[0, YEAR_AGO], i]
        steps = np.interp(np.arange(len(whole)), [0, YEAR_AGO, LAST], np.log([*ratio, 1.0]))
        parts[:, i] *= np.exp(steps)


def split_by_province(given: dict[str, Any], frame: Frame, scores: Floats, parts: Floats, rng: Generator) -> Floats:
    """`scores` (quarter, city) of an indicator split (quarter, city, industry): each province has its `parts`."""
    table = np.empty((*scores.shape, parts.shape[2]))
    pattern = np.exp(rng.normal(0, 0.03, table.shape[1:]))
    for group, factors in given["industries"]["profiles"].items():
        pattern[frame.groups[group]] *= [factors.get(name, 1.0) for name in given["industries"]["size"]]
    for p, code in enumerate(frame.kinds["province"]):
        inside = frame.groups[code]
        for q, row in enumerate(scores[:, inside]):
            table[q, inside] = fit(pattern[inside] * parts[q, p], row, row.sum() * parts[q, p], rounds=12)
    return table
