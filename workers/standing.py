"""How a partition stands: what Redis holds of it, where its log ends, and when it last got on.

Progress is a flush, or Kafka's word that nothing is left to do. So a worker that is alive but stuck shows, whatever it
is stuck in: nothing of this is moved by time alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from state.keys import Offset, Partition
from workers.lag import Lag


class Standing:
    """Of one partition, from acquire on. Times are UTC, seconds since 1970."""

    def __init__(
        self,
        partition: Partition,
        offset: Offset,
        watermark_us: int | None,
        counts: dict[str, int],
        catalogue: int,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """As Redis has it at the acquire."""
        self.partition, self.flushed, self.catalogue = partition, offset, catalogue
        self._watermark_us, self._counts, self._wall = watermark_us, dict(counts), wall
        self._moved_s = wall()
        self._lag = Lag(self._moved_s)
        self._asked = False

    def moved(self, end: Offset, watermark_us: int | None, counts: dict[str, int]) -> None:
        """A flush is in Redis, up to `end`; `counts` are those that it wrote."""
        self.flushed, self._watermark_us, self._counts = end, watermark_us, counts
        self._moved_s = self._wall()

    def asked(self, end: int, at_s: float) -> None:
        """Kafka said at `at_s` that the log ends at `end`."""
        self._asked = True
        self._lag.asked({self.partition: end}, at_s)
        if self.flushed >= end:
            self._moved_s = max(self._moved_s, at_s)

    @property
    def end(self) -> int | None:
        """End of the log as last asked for; None before."""
        return self._lag.ends.get(self.partition)

    def messages(self) -> int | None:
        """Messages before the end that Redis does not hold; None before the end is known."""
        return self._lag.messages({self.partition: self.flushed}) if self._asked else None

    def seconds(self) -> float | None:
        """At most so old is the oldest of them; 0 where there is none, None before the end is known."""
        return self._lag.seconds({self.partition: self.flushed}, self._wall()) if self._asked else None

    def progress(self) -> float:
        """When the partition last got on."""
        return self._moved_s

    def watermark_s(self) -> float | None:
        """Event time; None before the first accepted event."""
        return None if self._watermark_us is None else self._watermark_us / 1e6

    def stored(self) -> tuple[int, int, int]:
        """Events accepted, duplicate and rejected, as Redis counts them."""
        rejected = sum(n for name, n in self._counts.items() if name.startswith("rejected:"))
        return self._counts.get("accepted", 0), self._counts.get("duplicate", 0), rejected
