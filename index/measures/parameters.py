"""The parameters that a measure of a ranking can take: how each is read and checked, and its default."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from index.periods import Grain, Period
from index.tree import ROOT, Tree

REQUIRED = None  # in place of a default
MEAN = "mean"  # a threshold
_MOST_FIRST = 10**9


class Parameter(Struct, frozen=True):
    """One parameter of one measure. `default`: REQUIRED if it must be given; `choices`: of a word, else empty."""

    default: Any = REQUIRED
    choices: tuple[str, ...] = ()


Parameters = Mapping[str, Parameter]

OVER: Parameters = {"over": Parameter("pop", ("pop", "yoy", "mean_yoy"))}
OVER_PERIOD: Parameters = {"over": Parameter("pop", ("pop", "yoy"))}
OF: Parameters = {"of": Parameter("value", ("value", "pop", "yoy", "mean_yoy"))}
SIZE: Parameters = {"size": Parameter("value", ("value", "node_share")), "other": Parameter(ROOT)}
FROM: Parameters = {"from": Parameter()}
FIRST: Parameters = {"first": Parameter()}
THRESHOLD: Parameters = {"threshold": Parameter()}
OTHER: Parameters = {"other": Parameter(ROOT)}
NAMES = ("over", "from", "first", "threshold", "other", "size", "of")


def read_parameter(key: str, value: Any, parameter: Parameter, tree: Tree, years: tuple[int, int]) -> Any:
    """The checked value of one parameter: word, node name, Period, whole number or threshold.

    ValueError with the reason (without the key).
    """
    if parameter.choices:
        if value not in parameter.choices:
            raise ValueError(f"is {value!r}; known are {', '.join(parameter.choices)}")
        return value
    if key == "from":
        return _period(value, years)
    if key == "first":
        if type(value) is not int or not 1 <= value <= _MOST_FIRST:
            raise ValueError(f"is {value!r}; a whole number of at least 1 is needed")
        return value
    if key == "threshold":
        if value == MEAN:
            return MEAN
        if type(value) not in (int, float) or not math.isfinite(value):
            raise ValueError(f"is {value!r}; a number or 'mean' is needed")
        return float(value)
    if not isinstance(value, str) or value not in tree.number_of:
        raise ValueError(f"{value!r} is no node of the tree")
    return value


def check_from(since: Period, grains: tuple[Grain, ...]) -> None:
    """ValueError unless the ranking has the grain of `from` and no other: a span holds periods of one grain."""
    if grains != (since.grain,):
        label = since.grain.label
        raise ValueError(
            f"{since.name} is a {label}, and the ranking has {', '.join(g.label for g in grains)}; "
            f"give it grains = ['{label}'], or `from` another period"
        )


def _period(value: Any, years: tuple[int, int]) -> Period:
    if not isinstance(value, str):
        raise ValueError(f"is {value!r}; write a period as text, for example '2021Q1'")
    period = Period.parse(value)
    if not years[0] <= period.year <= years[1]:
        raise ValueError(f"{value} lies outside the catalogue's years {years[0]} to {years[1]}")
    return period
