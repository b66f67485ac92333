"""From amounts to scores. `base-share`: an amount as a share of the whole country's amount in the base period, times a
scale.

Its own file, since other normalisations (fixed goalposts, min-max, z-score, rank) differ from it only here: a
normaliser maps the amounts of some columns and what it knows of the whole to scores, column by column.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.reasons import Reason

BASE_SHARE = "base-share"
NORMALISATIONS = (BASE_SHARE,)


class Base(NamedTuple):
    """What base-share divides by. `amount`: float64[leaves]; `usable`: bool[leaves], present and not 0."""

    amount: NDArray[np.float64]
    usable: NDArray[np.bool_]


def base_share(
    amounts: NDArray[np.int64], present: NDArray[np.bool_], base: Base, scale: float
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """score = (x / B) * scale (docs/formats.md section 4; DTI-2023, method section).

    amounts, present: [leaves, n] -> scores float64[leaves, n], NaN where missing, and the reasons int8[leaves, n].
    """
    usable = base.usable[:, None]
    divisor = np.where(base.usable, base.amount, 1.0)[:, None]
    ok = present & usable
    scores = amounts.astype(np.float64)
    scores /= divisor
    scores *= scale
    scores[~ok] = np.nan
    why = np.where(present, np.where(usable, Reason.NONE, Reason.NO_BASE), Reason.NO_DATA).astype(np.int8)
    return scores, why
