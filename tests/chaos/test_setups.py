"""Set-up c starts, events flow through real workers, servers die, others take over, and verify finds nothing.

Set-ups a and b are what the short soak runs on (tests/chaos/test_soak.py).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from index.catalogue import Catalogue
from stream.ends import Ends
from stream.errors import UnreachableError
from stream.topics import EVENTS
from tests.chaos.setups import Setup, make_setup
from tests.waiting import eventually
from tests.workers.faults import PARTITIONS, RATES, SESSION_S, STILL_S, SYSTEM, Feed
from workers.crew import Crew
from workers.doctor import examine
from workers.drained import wait_until_drained
from workers.finding import Level
from workers.prepare import prepare_topics
from workers.scenario import Play, iter_batches, load
from workers.settings import Settings
from workers.verify import verify

pytestmark = pytest.mark.servers

DAYS_PER_S = 6.0  # of a play of 820 days: longer than any of these tests


class Flow:
    """Two ingest workers, an index worker and a feed on a set-up; `check` at the end."""

    def __init__(self, setup: Setup, folder: Path) -> None:
        self.setup, self.began = setup, time.monotonic()
        settings = Settings(kafka=setup.kafka, redis=setup.redis, partitions=PARTITIONS)
        prepare_topics(settings)
        env = {"TIDEWATCH_SESSION_S": str(SESSION_S), "TIDEWATCH_GROUP": f"ingest-{uuid4()}"}
        self.group = env["TIDEWATCH_GROUP"]
        self.crew = Crew(folder / "workers", setup.kafka, setup.redis, env)
        for name, what in (("ingest-1", "ingest"), ("ingest-2", "ingest"), ("index-1", "index")):
            self.crew.start(name, what)
        seed = random.SystemRandom().randrange(2**32)
        print(f"feed seed {seed}, logs in {folder}")
        chosen = Play(seed=seed, rates=RATES, density=0.05, cities=16)
        batches = iter_batches(load(Catalogue.load(settings.catalogue), SYSTEM), chosen)
        self.feed = Feed(setup.kafka_direct, batches, DAYS_PER_S)
        self.ends = Ends(setup.kafka_direct, topic=EVENTS)

    def __enter__(self) -> Flow:
        self.feed.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.feed.ended.set()
        self.feed.join()
        self.crew.stop()

    def note(self, what: str) -> None:
        print(f"{time.monotonic() - self.began:7.2f} s  {what}")

    def logs(self) -> str:
        return "\n".join(f"--- {name}\n{self.crew.log(name)[-3000:]}" for name in self.crew.workers)

    def flows(self, events: int = 300) -> None:
        """So many more events are sent, and all that was sent until now passes into Redis."""
        until = self.feed.events + events
        eventually(lambda: self.feed.events >= until, STILL_S, self.logs)
        assert self.feed.is_alive()
        self.drained()

    def log_ends(self) -> dict[int, int]:
        try:
            return self.ends.ask(list(range(PARTITIONS)))
        except UnreachableError as error:  # until the partitions of a broker that died have new leaders
            raise OSError(str(error)) from None

    def drained(self) -> None:
        self.crew.check()
        ends = eventually(self.log_ends, STILL_S)
        wait_until_drained(
            self.setup.kafka_direct,
            self.setup.redis_direct,
            ends,
            [SYSTEM],
            timeout_s=2 * STILL_S,
            check=self.crew.check,
        )
        self.note(f"drained: {sum(ends.values())} events and more")

    def check(self) -> None:
        """The feed ends; everything it sent is in the aggregates once, and published."""
        sent = self.feed.finish()
        self.drained()
        report = verify(self.setup.kafka_direct, self.setup.redis_direct, SYSTEM)
        assert report.ok, [tuple(each) for each in report.differences[:10]]
        assert sum(report.counts.values()) == sent.events
        assert report.counts == dict(self.feed.expected)
        assert "Traceback" not in self.logs()
        settings = Settings(kafka=self.setup.kafka, redis=self.setup.redis, partitions=PARTITIONS)
        wrong = [finding for finding in asyncio.run(examine(settings)) if finding.level != Level.OK]
        assert not wrong
        self.note(f"verified: {sent.events} events, revision {report.revision}")


def tried(name: str, folder: Path, faults: Callable[[Setup, Flow], None]) -> None:
    with make_setup(name, folder / "servers", print) as setup, Flow(setup, folder) as flow:
        try:
            flow.flows()
            faults(setup, flow)
            setup.heal()
            flow.check()
        except BaseException:
            print(flow.logs())
            raise


def test_replicated_with_a_cluster(tmp_path: Path) -> None:
    def faults(setup: Setup, flow: Flow) -> None:
        primary = setup.redis_primary(0)
        setup.lag(primary)
        setup.brokers[setup.coordinator(f"tidewatch/{SYSTEM}")].kill()
        flow.flows()
        setup.fail_over(primary, kill=True)
        setup.fail_over(setup.redis_primary(3))

    tried("c", tmp_path, faults)
