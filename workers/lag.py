"""How old is what has been reached: from the ends of the log, as they were asked for from time to time.

What lies before an end that was asked for at t was in the log at t. So whoever has reached that end holds everything
that was in the log at t, and what it does not hold is younger. Needs no clock but this process's own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

# Ends that were asked for and are not reached yet. When more are outstanding, the oldest are forgotten: the age is then
# rounded up until a younger one is reached.
OUTSTANDING = 64


class Lag:
    """`asked` whenever ends are known; `messages` and `seconds` at any time. Offsets: {partition: next offset}."""

    def __init__(self, began: float) -> None:
        """`began`: now, on the clock that all times here are of. Seconds count from there until an end is reached."""
        self.ends: dict[int, int] = {}
        self.whole_at = began  # everything that was in the log then has been reached
        self._outstanding: deque[tuple[float, dict[int, int]]] = deque(maxlen=OUTSTANDING)

    def asked(self, ends: Mapping[int, int], at: float) -> None:
        """The ends at `at`."""
        self.ends = dict(ends)
        self._outstanding.append((at, self.ends))

    def messages(self, offsets: Mapping[int, int]) -> int:
        """Messages before the ends last asked for that are not reached."""
        return sum(max(0, end - offsets.get(p, 0)) for p, end in self.ends.items())

    def seconds(self, offsets: Mapping[int, int], now: float) -> float:
        """Age of what is reached: 0 at the ends last asked for, else since the youngest ends that are reached."""
        if self._outstanding and _reached(offsets, self.ends):
            # Older ones may never be: an end behind a transaction's marker is taken back later (stream.ends).
            self.whole_at = self._outstanding[-1][0]
            self._outstanding.clear()
        while self._outstanding and _reached(offsets, self._outstanding[0][1]):
            self.whole_at = self._outstanding.popleft()[0]
        return now - self.whole_at if self._outstanding else 0.0


def _reached(offsets: Mapping[int, int], ends: Mapping[int, int]) -> bool:
    return all(offsets.get(p, 0) >= end for p, end in ends.items())
