"""Growth of values between whole periods: period over period, year over year, and the mean of year-over-year growths.

docs/formats.md section 4 (DTI-2022: the growth of a city is the mean of its year-over-year rates). Elementwise, so any
rows give the same bits as all. A growth that is missing is NaN and has a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.reasons import Reason

Floats = NDArray[np.float64]


class Kind(IntEnum):
    """The growths of a value, by their place in arrays."""

    POP = 0
    YOY = 1
    MEAN_YOY = 2
    TO_DATE = 3


class Growth(NamedTuple):
    """`values` float64, NaN where missing; `why` int8 of the same shape, Reason."""

    values: Floats
    why: NDArray[np.int8]


def ratio(value: Floats, before: Floats, first_missing: Reason = Reason.NO_VALUE) -> Growth:
    """value / before - 1. Reasons, in this order: `first_missing`, no-predecessor, zero-predecessor, not-finite."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        growth = value / before - 1.0
    missing = np.isnan(value)
    none_before = np.isnan(before)
    zero_before = before == 0.0
    why = np.where(
        missing,
        first_missing,
        np.where(none_before, Reason.NO_PREDECESSOR, np.where(zero_before, Reason.ZERO_PREDECESSOR, Reason.NONE)),
    ).astype(np.int8)
    return _finite(growth, why)


def over(value: Floats, before: Floats | None, is_open: bool) -> Growth:
    """Growth of a period's values over those of another (None.

    That period has none). Missing while the period is open.
    """
    if is_open:
        why = np.where(np.isnan(value), Reason.NO_VALUE, Reason.OPEN).astype(np.int8)
        return Growth(np.full(value.shape, np.nan), why)
    return ratio(value, np.full(value.shape, np.nan) if before is None else before)


def mean(growths: Sequence[Floats | None], is_open: bool, shape: tuple[int, ...]) -> Growth:
    """((g1 + g2) + ...) / n over the periods of the span, in order; `gap` where one is missing (None: all of that
    period).

    An empty span is `outside-span`, whether open or not; then `open`.
    """
    if not growths or is_open:
        reason = Reason.OPEN if growths else Reason.OUTSIDE_SPAN
        return Growth(np.full(shape, np.nan), np.full(shape, reason, np.int8))
    total = np.zeros(shape)
    for number, growth in enumerate(growths):
        if growth is None:
            return Growth(np.full(shape, np.nan), np.full(shape, Reason.GAP, np.int8))
        total = growth if number == 0 else total + growth
    result = total / len(growths)
    return _finite(result, np.where(np.isnan(result), Reason.GAP, Reason.NONE).astype(np.int8))


def share(part: Floats, whole: Floats) -> Growth:
    """part / whole. Reasons, in this order: `no-value`, `no-parent`, `zero-parent`, `not-finite`."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        result = part / whole
    why = np.where(
        np.isnan(part),
        Reason.NO_VALUE,
        np.where(np.isnan(whole), Reason.NO_PARENT, np.where(whole == 0.0, Reason.ZERO_PARENT, Reason.NONE)),
    ).astype(np.int8)
    return _finite(result, why)


def _finite(values: Floats, why: NDArray[np.int8]) -> Growth:
    """NaN where there is a reason; what has none and is no finite number is `not-finite`. In place."""
    beyond = np.isinf(values)
    if beyond.any():
        why[beyond & (why == Reason.NONE)] = Reason.NOT_FINITE
    values[why != Reason.NONE] = np.nan
    return Growth(values, why)
