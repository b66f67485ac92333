"""Events that passed every check but the sequence: what stream.validate makes and state.aggregates takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]


@dataclass(slots=True)
class Valid:
    """Events of one partition that passed every check but the sequence, in log order; all arrays have length n.

    `source` indexes `sources`; `period` is a packed period, or NO_PERIOD for the month of `day`; `day` is the local
    epoch day of `at_us`; `industry` indexes the indicator's industries; `value` is in units of 10^-decimals. `drop`:
    which events say that nothing is there (their value is 0); None: none of them.
    """

    sources: list[str]
    source: NDArray[np.int32]
    seq: Int64
    city: NDArray[np.int32]
    indicator: NDArray[np.int32]
    industry: NDArray[np.int32]
    value: Int64
    at_us: Int64
    day: NDArray[np.int32]
    period: NDArray[np.int32]
    drop: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.seq)

    def rows(self, where: slice | NDArray[np.intp]) -> Valid:
        """The chosen events; views where `where` is a slice."""
        return Valid(
            self.sources,
            self.source[where],
            self.seq[where],
            self.city[where],
            self.indicator[where],
            self.industry[where],
            self.value[where],
            self.at_us[where],
            self.day[where],
            self.period[where],
            None if self.drop is None else self.drop[where],
        )
