"""Checks of single values of a definition: each returns the value in its type, or raises ValueError with what to do."""

from __future__ import annotations

import math
from typing import Any

from index.catalogue_checks import CODE, CODE_RULE


def name(value: Any) -> str:
    """A name that can stand in a message key; ValueError otherwise."""
    if not isinstance(value, str) or not CODE.fullmatch(value):
        raise ValueError(f"{value!r}: a name {CODE_RULE}")
    return value


def whole(value: Any, low: int, high: int) -> int:
    """A whole number in low..high; ValueError otherwise."""
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"is {value!r}; a whole number from {low} to {high} is needed")
    return value


def one_of(value: Any, known: tuple[str, ...]) -> str:
    """One of the known words; ValueError otherwise."""
    if value not in known:
        raise ValueError(f"is {value!r}; known are {', '.join(known)}")
    return str(value)


def number(value: Any, low: float, high: float) -> float:
    """A number in low..high; ValueError otherwise, also for NaN."""
    if type(value) not in (int, float) or not low <= value <= high:
        raise ValueError(f"is {value!r}; a number from {low} to {high} is needed")
    return float(value)


def finite(value: Any) -> float:
    """Any number but infinity and NaN; ValueError otherwise."""
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"is {value!r}; a finite number is needed")
    return float(value)


def text(value: Any) -> str:
    """A text that is not empty; ValueError otherwise."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"is {value!r}; a text is needed")
    return value


def truth(value: Any) -> bool:
    """True or false; ValueError otherwise."""
    if not isinstance(value, bool):
        raise ValueError(f"is {value!r}; write true or false")
    return value
