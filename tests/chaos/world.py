"""A whole Tidewatch on a set-up: workers under a supervisor, a feed that can pause, and a checker that looks on.

with World("a", folder, seed) as world:
    world.play(plan.rounds[0].feed)          # events flow
    ...                                      # faults
    world.heal()
    found = world.check()                    # the feed pauses; all that was sent is accounted for
"""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from index.catalogue import Catalogue
from tests.chaos.checks import ALERT_RULES, Checker, Found
from tests.chaos.clock import compile_clock
from tests.chaos.leaks import Leaks
from tests.chaos.reel import Reel
from tests.chaos.schedule import PARTITIONS, WORKERS, FeedPlan
from tests.chaos.setups import make_setup
from tests.chaos.supervisor import Supervisor
from tests.waiting import NotInTimeError, eventually
from tests.workers.faults import SESSION_S, Feed
from workers.prepare import prepare_topics
from workers.settings import REPOSITORY, Settings

SYSTEM = "dti-2023"
STILL_S = 120.0  # nothing moves for so long: it will not. Above any wait of a product that shares two cores with others
BEGIN_S = 120.0


class World:
    """See the head of this file. `seed` decides when ended workers start again; what else is random is in the plan."""

    def __init__(self, setup: str, folder: Path, seed: str) -> None:
        """Starts nothing yet. `folder` is made, and holds all logs."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.began = folder, time.monotonic()
        self.setup = make_setup(setup, folder / "servers", self.note)
        self.system, self.partitions = SYSTEM, PARTITIONS
        (folder / "temporary").mkdir(exist_ok=True)
        systems = folder / "systems"
        systems.mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / "systems" / f"{SYSTEM}.toml", systems)
        self.group = f"ingest-{uuid4()}"
        self.settings = Settings(
            kafka=self.setup.kafka_direct,
            redis=self.setup.redis_direct,
            partitions=PARTITIONS,
            systems=systems,
            alerts=ALERT_RULES,
        )
        self.catalogue = Catalogue.load(self.settings.catalogue)
        env = {
            "TIDEWATCH_SESSION_S": str(SESSION_S),
            "TIDEWATCH_GROUP": self.group,
            "TIDEWATCH_PARTITIONS": str(PARTITIONS),
            "TIDEWATCH_SYSTEMS": str(systems),
            "TIDEWATCH_ALERTS": str(ALERT_RULES),
            "TIDEWATCH_ROBUSTNESS": "off",
            "TMPDIR": str(folder / "temporary"),
        }
        self.workers = Supervisor(folder / "workers", self.setup.kafka, self.setup.redis, env, seed, self.note)
        self._reel = Reel(self.catalogue, SYSTEM)
        self.feeds: list[Feed] = []
        self.wrong: list[str] = []  # what a fault found that must not be: a failure of its round
        self.broker_down, self.redis_down = threading.Lock(), threading.Lock()  # one at a time below what they need
        self._checker: Checker | None = None
        self._leaks = Leaks(mark=f"TIDEWATCH_KAFKA={self.setup.kafka}", temporary=folder / "temporary")

    def __enter__(self) -> Self:
        """Start all; returns when the first revision is published."""
        self.setup.__enter__()
        try:
            prepare_topics(self.settings)
            checker = Checker(
                self.settings.kafka, self.settings.redis, SYSTEM, partitions=PARTITIONS, systems=self.settings.systems
            )
            self._checker = checker.__enter__()
            self.workers.__enter__()
            for role, count in WORKERS.items():
                self.workers.want(role, count)
            eventually(lambda: self.checker.watcher.revision > 0, BEGIN_S, self.workers.logs)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.note("at work")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everybody."""
        for feed in self.feeds[-1:]:
            feed.ended.set()
            feed.join()
        if self.workers.started:
            self.workers.__exit__()
        if self._checker is not None:
            self._checker.__exit__(kind, error, trace)
        self.setup.__exit__(kind, error, trace)

    @property
    def checker(self) -> Checker:
        """Looks on from before the first revision."""
        assert self._checker is not None
        return self._checker

    def clock(self) -> Path:
        """The library that puts a worker's wall clock off."""
        return compile_clock(self.folder)

    def now(self) -> float:
        """Seconds since the world began."""
        return time.monotonic() - self.began

    def note(self, what: str) -> None:
        """Print what happens, for whoever reads the report of a failure."""
        print(f"{self.now():8.2f} s  {what}", flush=True)

    # --- what flows ---------------------------------------------------------------------------------------------------

    def play(self, plan: FeedPlan) -> None:
        """Events flow from now, in a thread."""
        feed = self._reel.feed(self.settings.kafka, plan)
        self.feeds.append(feed)
        feed.start()

    def pause(self) -> None:
        """No event flows any more; all that were sent are acknowledged."""
        for feed in self.feeds[-1:]:
            feed.finish()

    def sent(self) -> int:
        """Events so far, in all."""
        return sum(feed.events for feed in self.feeds)

    def expected(self) -> Counter[str]:
        """What must become of them, by outcome."""
        return sum((feed.expected for feed in self.feeds), Counter())

    # --- the end of a round -------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Every server up and without a fault, every worker at work and awake."""
        self.setup.heal()
        self.workers.wake_all()
        for role, count in WORKERS.items():
            self.workers.want(role, count)
        eventually(self.workers.all_there, BEGIN_S, self.workers.logs)

    def check(self) -> tuple[Found, dict[str, Any]]:
        """Pause the feed, wait for rest, and hold everything against everything; raises nothing for what it finds.

        Returns what was found (what leaks among its failures), and what each worker keeps, for the record.
        """
        self.pause()
        found = self.checker.check(
            sent=self.sent(), expected=self.expected(), alive=self.workers.check, still_s=STILL_S
        )
        found.failures += self.wrong
        try:
            eventually(self.workers.ready, STILL_S, self.workers.logs)
        except NotInTimeError as error:
            found.failures.append(str(error))
            return found, {}
        at_work = self.workers.processes()
        pids, ports = ({name: each[i] for name, each in at_work.items()} for i in (0, 1))
        kept = self._leaks.measure(pids, ports=ports, cells=found.cells)
        found.failures += kept.failures
        return found, kept.fields()
