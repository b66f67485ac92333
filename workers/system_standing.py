"""How an index system stands: its last revision, what that includes, and how far behind the log it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from stream.messages import Counts, Revision
from workers.hub import Cut
from workers.lag import Lag


class SystemStanding:
    """Of one system that this worker runs. Times are UTC, seconds since 1970; `revision` None before the first."""

    def __init__(self, *, wall: Callable[[], float] = time.time) -> None:
        self.running = False  # following the feed, not reconciling
        self.revision: int | None = None
        self.committed_s: float | None = None
        self.watermark_us: int | None = None
        self.counts = Counts(rejected={})
        self._offsets: dict[int, int] = {}
        self._wall = wall
        self._lag = Lag(wall())
        self._asked = False

    def found(self, revision: Revision) -> None:
        """What a predecessor published last was read back."""
        self._take(revision.revision, revision.offsets, revision.watermark, revision.counts)

    def committed(self, revision: int, cut: Cut) -> None:
        """A revision is committed."""
        self._take(revision, cut.offsets, cut.watermark_us, cut.counts)

    def _take(self, revision: int, offsets: Mapping[str, int], watermark_us: int | None, counts: Counts) -> None:
        if revision != self.revision:
            self.committed_s = self._wall()
        self.revision, self.watermark_us, self.counts = revision, watermark_us, counts
        self._offsets = {int(partition): offset for partition, offset in offsets.items()}

    def asked(self, ends: Mapping[int, int], at_s: float) -> None:
        """Kafka said at `at_s` where the log's partitions end."""
        self._asked = True
        self._lag.asked(ends, at_s)

    def lag_messages(self) -> int | None:
        """Messages of the log that no revision includes; None before the ends are known."""
        return self._lag.messages(self._offsets) if self._asked else None

    def lag_s(self) -> float | None:
        """How old what is published is; 0 at the end of the log, None before the ends are known."""
        return self._lag.seconds(self._offsets, self._wall()) if self._asked else None
