"""What a measure gives: values and reasons of all places of a table; and sums that do not depend on their order."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from index.growth import Growth
from index.reasons import Reason

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Result = Growth  # `values` float64, NaN where missing; `why` int8, Reason
_NONE, _NOT_FINITE = np.int8(Reason.NONE), np.int8(Reason.NOT_FINITE)
Check = tuple[Mask | bool, Reason | NDArray[np.int8]]  # where it holds, and the reason (one, or one each)


def settle(values: Floats, *checks: Check) -> Result:
    """Values with the reason of the first check that holds; what is left and is no finite number is `not-finite`."""
    missing = np.where(np.isfinite(values), _NONE, _NOT_FINITE)
    for where, reason in reversed(checks):
        missing = np.where(where, np.asarray(reason, np.int8), missing)
    return Result(np.where(missing == _NONE, values, np.nan), missing)


def no(reason: Reason, n: int) -> Result:
    """n places that are all missing for the same reason."""
    return Result(np.full(n, np.nan), np.full(n, reason, np.int8))


def exact_sum(terms: Iterable[float]) -> float:
    """S(...) of docs/formats.md: the exact sum, rounded once; NaN where it leaves the range of a double."""
    try:
        return math.fsum(terms)
    except (OverflowError, ValueError):
        return math.nan


def power(base: float, exponent: float) -> float:
    """math.pow; infinite where it overflows, NaN where there is none (a negative base, or one that is NaN)."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.nan
