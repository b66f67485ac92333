"""Asks Kafka from time to time where the log ends: whether it answers at all, and how far behind we are.

A worker that has nothing to read and nothing to write would else never notice that Kafka is away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from stream.ends import Ends
from stream.errors import UnreachableError
from workers.health import Health

log = structlog.get_logger(__name__)

EVERY_S = 2.0
ANSWER_S = 2.0
AGAIN_S = 0.5  # after one failure, which is no news
TASK = "probe"

Positions = Callable[[], dict[int, int]]  # partition -> next offset that we hold
Told = Callable[[dict[int, int], float], None]  # ends, and when they were asked for (UTC, seconds since 1970)


class Probe:
    """`await run()` until `stop()`. Tells `told` the ends of the partitions that `positions` names."""

    def __init__(
        self,
        ends: Ends,
        positions: Positions,
        told: Told,
        health: Health,
        *,
        every_s: float = EVERY_S,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._ends, self._positions, self._told, self._health = ends, positions, told, health
        self._every_s, self._wall = every_s, wall
        self._ending = asyncio.Event()
        self._failures = 0
        self._before: tuple[dict[int, int], dict[int, int]] = {}, {}

    async def run(self) -> None:
        """Ask until `stop()`. Errors: none; that Kafka is away is said to people, and shows in /readyz."""
        try:
            while not self._ending.is_set():
                self._health.turn(TASK)
                await self._ask()
                await self._pause(AGAIN_S if self._failures == 1 else self._every_s)
        finally:
            self._health.rest(TASK)
            if self._failures > 1:
                self._health.goes_on("Kafka")

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._ending.wait(), seconds)
        except TimeoutError:
            return

    async def _ask(self) -> None:
        positions, at_s = self._positions(), self._wall()
        try:
            ends = await asyncio.to_thread(self._look, positions)
        except UnreachableError as error:
            self._failures += 1
            # A connection that broke while it was idle shows itself like that.
            if self._failures > 1 and self._health.waits("Kafka", str(error), anew=self._failures == 2):
                log.warning("waiting", server="Kafka", reason=str(error), action="asking again until it answers")
            return
        self._answers()
        self._told(ends, at_s)

    def _look(self, positions: dict[int, int]) -> dict[int, int]:
        """Blocking. What stands still before its end, and stood there the last time, may be at its end all the same."""
        # Who holds nothing asks as well: partitions may have been lost because no broker answers.
        ends = self._ends.ask(sorted(positions) or [0], ANSWER_S)
        ends = {p: ends[p] for p in positions}
        were, ended = self._before
        still = {p: end for p, end in ends.items() if were.get(p) == positions[p] and ended.get(p) == end}
        self._before = positions, ends
        return {**ends, **self._ends.without_markers(positions, still)}

    def _answers(self) -> None:
        if self._failures > 1 and self._health.goes_on("Kafka"):
            log.info("answers again", server="Kafka")
        self._failures = 0

    def stop(self) -> None:
        """End at the next turn; an answer that is waited for takes a few seconds at most."""
        self._ending.set()
