"""Totals of the scenario dti-2022: the city values of ranked.py split over indicators and industries.

1. values: from the printed tables (ranked.py); the nation's path is their sum.
2. indicators: proportional fitting to the cities' values and the nation's layers, and to the parts that the report
   states (a layer's part in a group, or in one group beside another).
3. industries: parts of each province by quarter (industries.py), fitted to its cities.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import default_rng

from workers.scenario.fit import Floats, Part, fit
from workers.scenario.frame import Frame, Ints
from workers.scenario.industries import province_parts, split_by_province
from workers.scenario.ranked import ranked_values
from workers.scenario.totals import Totals, entry_of, indicators, tilts


def ranked_totals(frame: Frame, given: dict[str, Any]) -> Totals:
    """Quarterly totals of the scenario for the cities of `frame`. Errors: as `ranked_values`."""
    rng = default_rng(given["noise_seed"])
    values = ranked_values(given, frame, rng)
    codes, weights, nation = indicators(given, values.sum(axis=1))
    if nation.min() <= 0:
        raise ValueError("the paths of the layers leave nothing for the last one")
    pattern = tilts(given, frame) * np.exp(rng.normal(0, 0.1, (len(frame.codes), len(codes))))
    points: list[Floats] = []
    for q, rows in enumerate(values):
        wave = np.exp(rng.normal(0, 0.006, pattern.shape))
        points.append(fit(pattern * wave, rows, weights * nation[q], rounds=100, parts=_parts(given, frame, codes, q)))
    scores = np.stack(points)
    amounts: dict[str, Ints] = {}
    industries: dict[str, list[str]] = {}
    names = list(given["industries"]["size"])
    key = given["industries"]["key"]
    # In the industry view an indicator weighs what its panel says, in units of its own base quarter.
    view = sum(
        weight * scores[:, :, codes.index(code)] / (weights[codes.index(code)] * nation[0, codes.index(code)])
        for code, weight in key.items()
    )
    parts = province_parts(given, frame, view)
    for j, code in enumerate(codes):
        units = entry_of(given, code)["base_units"] / (weights[j] * nation[0, j])
        table = scores[:, :, j, None]
        industries[code] = []
        if code in given["industries"]["indicators"]:
            industries[code] = names
            table = split_by_province(given, frame, scores[:, :, j], parts, rng)
        amounts[code] = np.maximum(np.rint(table * units), 1).astype(np.int64)
    for code, entry in given["beside"].items():
        like = scores[:, :, codes.index(entry["like"])]
        table = like * np.exp(rng.normal(0, 0.1, like.shape[1])) / like[0].sum() * entry["base_units"]
        amounts[code] = np.maximum(np.rint(table[:, :, None]), 1).astype(np.int64)
        industries[code] = []
    return Totals(given["quarters"], frame, amounts, industries)


def _parts(given: dict[str, Any], frame: Frame, codes: list[str], q: int) -> list[Part]:
    """The parts of the calibration that are stated for quarter `q`."""
    columns = {name: np.array([codes.index(c) for c in layer["indicators"]]) for name, layer in given["layers"].items()}
    everything = np.arange(len(codes))
    return [
        Part(
            frame.groups[entry["group"]],
            columns[entry["layer"]],
            frame.groups[entry.get("beside", entry["group"])],
            columns[entry["layer"]] if "beside" in entry else everything,
            entry["ratio"][q],
        )
        for entry in given["parts"]
        if entry["ratio"][q]
    ]
