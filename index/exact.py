"""Adding integers so that a wrap cannot pass silently."""

import numpy as np
from numpy.typing import NDArray

from index.errors import AmountOverflowError

BOUND = 2**62  # half of where int64 wraps; the callers see to it that one batch cannot cross the other half


def add_exactly(sums: NDArray[np.int64], places: NDArray[np.int64], deltas: NDArray[np.int64], where: str) -> None:
    """sums.flat[places] += deltas, places may repeat. AmountOverflowError, naming `where`, when a sum reaches 2^62.

    `sums` is contiguous and below 2^62 before; the deltas' absolute values sum to at most 2^61.
    """
    flat = sums.reshape(-1)
    np.add.at(flat, places, deltas)
    reached = flat[places]
    if len(reached) and not (reached.min() > -BOUND and reached.max() < BOUND):
        raise AmountOverflowError(f"{where}: an amount reached 2^62 units; give the indicator fewer decimals")
