"""A printed figure stands for all numbers that round to it: spans, what follows from them, and the stated facts."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

from tests.published.play import rows

FACTS = {row["id"]: row for row in rows("published_facts")}


class Span(NamedTuple):
    """From..to: what a printed or a recomputed figure may be."""

    low: float
    high: float


def span(text: str) -> Span:
    """All that rounds to a printed text."""
    half = 0.5 * 10 ** -len(text.partition(".")[2]) * (1 - 1e-9)  # a number on the edge rounds to one side only
    return Span(float(text) - half, float(text) + half)


def exactly(number: float) -> Span:
    """A count: nothing but itself."""
    return Span(number, number)


def fact(name: str) -> Span:
    """What a stated fact stands for."""
    row = FACTS[name]
    return exactly(float(row["value"])) if row["unit"] in ("count", "rank") else span(row["value"])


def follows(formula: Callable[..., float], *inputs: Span | str) -> Span:
    """What a formula that rises or falls in each input gives over their spans; a name stands for that fact's."""
    spans = [fact(given) if isinstance(given, str) else given for given in inputs]
    results = [formula(*corner) for corner in itertools.product(*spans)]
    return Span(min(results), max(results))


def holds(name: str, found: Span) -> bool:
    """Whether a fact agrees with what was recomputed. About: within a twentieth."""
    stated, value = fact(name), float(FACTS[name]["value"])
    match FACTS[name]["qualifier"]:
        case "eq":
            return found.low <= stated.high and found.high >= stated.low
        case "approx":
            return found.low <= value * 1.05 and found.high >= value * 0.95
        case "gt":
            return found.low > value
        case "ge":
            return found.low >= value
        case "lt":
            return found.high < value
        case "le":
            return found.high <= value
    raise AssertionError(FACTS[name])
