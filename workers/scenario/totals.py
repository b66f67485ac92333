"""What each city has in each quarter: whole numbers by city, indicator, industry that agree with the report's figures.

From a calibration (here `dti2023.toml`; ranked_totals.py makes those of `dti2022.toml`) in four steps, each a table of
(quarter, city, ...):

1. sizes: points of the national index in the first quarter, by city; those not named share what their agglomeration
   leaves.
2. paths: tiers move as the calibration says; inside a tier, cities drift and bend against each other.
3. indicators: proportional fitting to the cities' values and the nation's indicators, so that the composite and its
   layers are met at once.
4. industries: the same again inside each indicator that has industries.

Everything is deterministic (the noise has a seed of its own in the calibration), so a test computes the report's
figures from this table without playing a day of it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng

from workers.scenario.fit import Floats, fit
from workers.scenario.frame import Frame, Ints

CALIBRATIONS = {name: Path(__file__).with_name(f"{name.replace('-', '')}.toml") for name in ("dti-2023", "dti-2022")}


@dataclass(frozen=True)
class Totals:
    """`amounts[indicator]`: int64 (quarter, city, industry), in hundredths; one column where there are no industries.

    `industries[indicator]` names the columns (`[]`: the indicator has no industries).
    """

    quarters: list[str]
    frame: Frame
    amounts: dict[str, Ints]
    industries: dict[str, list[str]]


def calibration(name: str = "dti-2023") -> dict[str, Any]:
    """The calibration file of a scenario as nested dicts. Raises ValueError for an unknown name."""
    if name not in CALIBRATIONS:
        raise ValueError(f"no scenario {name!r}; there are {', '.join(map(repr, CALIBRATIONS))}")
    return tomllib.loads(CALIBRATIONS[name].read_text(encoding="utf-8"))


def totals(frame: Frame, given: dict[str, Any] | None = None) -> Totals:
    """Quarterly totals of the scenario for the cities of `frame`. Raises KeyError on a name that the frame lacks."""
    given = given or calibration()
    rng = default_rng(given["noise_seed"])
    values = _paths(given, frame, _sizes(given, frame, rng), rng)
    codes, weights, nation = indicators(given, given["nation"]["path"])
    pattern = tilts(given, frame) * np.exp(rng.normal(0, 0.12, (len(frame.codes), len(codes))))
    amounts: dict[str, Ints] = {code: np.empty(0, np.int64) for code in codes}
    industries: dict[str, list[str]] = {code: [] for code in codes}
    points = []
    for q, rows in enumerate(values):
        wave = np.exp(rng.normal(0, 0.006, pattern.shape))
        points.append(fit(pattern * wave, rows, weights * nation[q]))
    for j, code in enumerate(codes):
        units = entry_of(given, code)["base_units"] / (weights[j] * nation[0, j])
        scores = np.stack([table[:, j] for table in points])
        parts = scores[:, :, None]
        for kind in given["industries"].values():
            if code in kind["indicators"]:
                industries[code] = [name for name in kind if name != "indicators"]
                columns = [codes.index(other) for other in kind["indicators"]]
                shares = _industry_shares(
                    kind, industries[code], (nation[:, columns] * weights[columns]).sum(axis=1), rng
                )
                parts = _by_industry(given, frame, industries[code], scores, shares, rng)
        amounts[code] = np.maximum(np.rint(parts * units), 1).astype(np.int64)
    return Totals(given["quarters"], frame, amounts, industries)


def _sizes(given: dict[str, Any], frame: Frame, rng: Generator) -> Floats:
    sizes = np.zeros(len(frame.codes))
    for name, points in given["sizes"].items():
        sizes[frame.at[name]] = points
    weight = np.exp(rng.normal(0, 0.3, len(sizes)))
    for group, factor in given["scale"].items():
        weight[frame.groups[group]] *= factor
    outside = np.ones(len(sizes), dtype=bool)

    for group, points in given["agglomerations"].items():
        outside[frame.groups[group]] = False
        _share_out(sizes, weight, frame.groups[group], points)
    _share_out(sizes, weight, np.flatnonzero(outside), 100 - sum(given["agglomerations"].values()))
    return sizes


def _share_out(sizes: Floats, weight: Floats, inside: Ints, points: float) -> None:
    """Cities of `inside` without a size get what the named ones leave of `points`, in proportion to `weight`."""
    rest = inside[sizes[inside] == 0]
    if len(rest):
        sizes[rest] = (points - sizes[inside].sum()) * weight[rest] / weight[rest].sum()


def _paths(given: dict[str, Any], frame: Frame, sizes: Floats, rng: Generator) -> Floats:
    """City values (quarter, city): tier totals as the calibration says, cities moving inside them."""
    nation = np.array(given["nation"]["path"], dtype=np.float64)
    years = np.arange(len(nation)) / 4
    drift = np.zeros(len(sizes))
    for group, rate in given["drift"]["groups"].items():
        drift[frame.groups[group]] += rate
    for name, rate in given["drift"]["cities"].items():
        drift[frame.at[name]] += rate
    noise = np.zeros(len(sizes))
    for tier, entry in given["tiers"].items():
        noise[frame.groups[tier]] = entry["noise"]
    drift = drift + noise * rng.normal(0, 1, len(sizes))
    values = sizes * np.exp(years[:, None] * drift + noise * 0.5 * rng.normal(0, 1, (len(nation), len(sizes))))
    values[0] = sizes
    for name, bend in given["bends"].items():
        values[:, frame.at[name]] *= bend
    rest = nation.copy()
    for tier, entry in given["tiers"].items():
        inside = frame.groups[tier]
        path = rest
        if "lead" in entry:
            path = sizes[inside].sum() * _led(nation, entry["lead"])
            rest = rest - path
        values[:, inside] *= (path / values[:, inside].sum(axis=1))[:, None]
    return values


def _led(path: Floats, lead: float) -> Floats:
    """A path from 1 whose year-on-year rate is that of `path` plus `lead`; in its first year it gains `lead` a year."""
    own = np.empty_like(path)
    for q in range(len(path)):
        own[q] = path[q] / path[0] * (1 + lead * q / 4) if q < 4 else own[q - 4] * (path[q] / path[q - 4] + lead)
    return own


def entry_of(given: dict[str, Any], code: str) -> dict[str, Any]:
    """What the calibration says of an indicator of the layers. Raises StopIteration."""
    return next(layer["indicators"][code] for layer in given["layers"].values() if code in layer["indicators"])


def indicators(given: dict[str, Any], path: Sequence[float] | Floats) -> tuple[list[str], Floats, Floats]:
    """Codes, weights in the whole index (they sum to 1), and national paths (quarter, indicator) from 100.

    `path`: of the nation's index (quarter).
    """
    nation = np.array(path, dtype=np.float64)
    layers = given["layers"]
    points = sum(layer["weight"] for layer in layers.values())
    paths = {name: np.array(layer["path"], dtype=np.float64) for name, layer in layers.items() if "path" in layer}
    (left,) = layers.keys() - paths.keys()
    taken = sum(layers[name]["weight"] * path for name, path in paths.items())
    paths[left] = (nation * points - taken) / layers[left]["weight"]
    codes: list[str] = []
    weights: list[float] = []
    columns: list[Floats] = []
    for name, layer in layers.items():
        inner = layer["indicators"]
        scores = sum(entry["weight"] for entry in inner.values())
        own = {code: paths[entry["like"]] for code, entry in inner.items() if "like" in entry}
        fixed = sum((inner[code]["weight"] * path for code, path in own.items()), np.zeros(len(nation)))
        free = scores - sum(inner[code]["weight"] for code in own)
        for code, entry in inner.items():
            codes.append(code)
            weights.append(layer["weight"] / points * entry["weight"] / scores)
            columns.append(own.get(code, (scores * paths[name] - fixed) / free))
    return codes, np.array(weights), np.stack(columns, axis=1)


def tilts(given: dict[str, Any], frame: Frame) -> Floats:
    """Factors (city, indicator) of what cities or groups are strong in; those of a city and its groups multiply."""
    layer_of = [name for name, layer in given["layers"].items() for _ in layer["indicators"]]
    pattern = np.ones((len(frame.codes), len(layer_of)))
    for name, factors in given["tilts"].items():
        inside = frame.groups[name] if name in frame.groups else frame.at[name]
        pattern[inside] *= [factors[layer] for layer in layer_of]
    return pattern


def _industry_shares(kind: dict[str, Any], names: list[str], whole: Floats, rng: Generator) -> Floats:
    """Parts of the national total (quarter, industry), 1 in sum; over 2022 (quarters 4..7) about as the file says."""
    size = np.zeros((len(whole), len(names)))
    for k, name in enumerate(names):
        if "lead" in kind[name]:
            path = _led(whole, kind[name]["lead"])
            size[:, k] = kind[name]["share"] / 100 * path / (path[4:8].sum() / whole[4:8].sum()) / whole
    rest = np.array([kind[name]["share"] if "lead" not in kind[name] else 0.0 for name in names])
    years = (np.arange(len(whole)) - 5.5)[:, None] / 4
    moved = rest * np.exp(years * rng.normal(0, 0.03, len(names)))
    return size + (1 - size.sum(axis=1))[:, None] * moved / moved.sum(axis=1)[:, None]


def _by_industry(
    given: dict[str, Any], frame: Frame, names: list[str], scores: Floats, shares: Floats, rng: Generator
) -> Floats:
    """`scores` (quarter, city) split by industry, with the national parts `shares` (quarter, industry)."""
    profile = np.exp(rng.normal(0, 0.05, (len(frame.codes), len(names))))
    for target, factors in given["profiles"].items():
        inside = frame.groups[target] if target in frame.groups else np.array([frame.at[target]])
        row = np.array([factors.get(name, 1.0) for name in names])
        profile[inside] = row * np.exp(rng.normal(0, 0.02, (len(inside), len(names))))
    tables = []
    for q in range(len(scores)):
        wave = np.exp(rng.normal(0, 0.01, profile.shape))
        tables.append(fit(profile * shares[q] * wave, scores[q], scores[q].sum() * shares[q], rounds=25))
    return np.stack(tables)
