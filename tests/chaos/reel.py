"""Plays of the scenario one after the other, which can be interrupted between two batches and gone on with.

A `Feed` takes from here until it is told to end; what it took and did not send is handed to the next one, so no event
that a later one rests on is ever left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

from index.catalogue import Catalogue
from tests.chaos.schedule import FeedPlan
from tests.workers.faults import RATES, SEQS, Feed
from workers.feed import Sent
from workers.scenario import Play, iter_batches, load
from workers.scenario.play import Batch

PEEKED = 30  # batches, by which the events of a day are judged
DENSITY = {8: 0.4, 16: 0.2, 40: 0.1}  # by the number of cities: some 80 events a day


class Reel:
    """An endless iterator over batches; a new play, as the plan says then, begins where one is over."""

    def __init__(self, catalogue: Catalogue, system: str) -> None:
        self._scenario = load(catalogue, system)
        self._plays = 0
        self._plan: FeedPlan | None = None
        self._playing: FeedPlan | None = None
        self._batches: Iterator[Batch] = iter(())
        self._ahead: deque[Batch] = deque()
        self._taken: Batch | None = None

    def feed(self, kafka: str, plan: FeedPlan) -> Feed:
        """A feed that goes on from here, not yet started. The one before has ended."""
        self._plan = plan
        if self._taken is not None:
            self._ahead.appendleft(self._taken)
            self._taken = None
        if self._playing != plan:
            self._begin()
        else:
            self._look_ahead()
        spans = (self._ahead[-1].day - self._ahead[0].day).days + 1
        per_day = sum(batch.events for batch in self._ahead) / spans
        return _Told(kafka, self, plan.per_second / per_day)

    def __iter__(self) -> Reel:
        return self

    def __next__(self) -> Batch:
        """The next batch."""
        if not self._ahead:
            self._look_ahead(1)
        self._taken = self._ahead.popleft()
        return self._taken

    def sent(self) -> None:
        """The batch taken last is sent, whole."""
        self._taken = None

    def _look_ahead(self, batches: int = PEEKED) -> None:
        self._ahead.extend(islice(self._batches, batches - len(self._ahead)))
        if not self._ahead:
            self._begin()

    def _begin(self) -> None:
        plan = self._plan
        assert plan is not None
        self._playing = plan
        play = Play(
            seed=plan.seed + self._plays,
            rates=RATES,
            density=DENSITY[plan.cities],
            cities=plan.cities,
            first_seq=1 + self._plays * SEQS,
            array=plan.array,
        )
        self._plays += 1
        self._batches = iter_batches(self._scenario, play)
        self._ahead = deque(islice(self._batches, PEEKED))


class _Told(Feed):
    """A feed that tells its reel which batches are sent."""

    def __init__(self, kafka: str, reel: Reel, days_per_second: float) -> None:
        super().__init__(kafka, reel, days_per_second)
        self._reel = reel

    def _progress(self, sent: Sent) -> None:
        super()._progress(sent)
        self._reel.sent()
