"""A whole Tidewatch beside a test: real servers, workers as processes, a feed that flows, a watcher; and what must hold in the end.

    with Trial(servers, folder) as trial:
        trial.ingest("one"); trial.index("active")
        trial.feed(seed=7)           # flows in a thread until `settle`, or until the play is over
        ...                          # whatever goes wrong
        trial.settle()               # drained, verified, balanced, and the watcher is content

Each trial begins with empty topics and an empty Redis. Everything random comes from the seed, which is printed.
"""

import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4
from zlib import crc32

import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient

from index.catalogue import Catalogue
from stream.topics import DLQ, EVENTS, OUTPUTS, SYSTEM_PARTITIONS, all_topics
from tests.waiting import eventually
from tests.workers.watcher import Watcher
from workers.crew import Crew
from workers.drained import wait_until_drained
from workers.feed import Outbox, Sent, play
from workers.local import Servers
from workers.local.process import ChildProcess
from workers.run import prepare_topics
from workers.scenario import Play, Rates, Scenario, iter_batches, load
from workers.settings import Settings
from workers.verify import Report, verify

SYSTEM = "dti-2023"
PARTITIONS = 4
SESSION_S = 6  # the least that a broker allows: after so much silence Kafka gives a worker's share to others
STILL_S = 30.0  # nothing moves for so long: it will not
RATES = Rates(duplicates=0.03, late=0.03, corrections=0.02, restatements=0.01, bad=0.03, odd=0.02)
MARKS = {"accepted", "duplicate"}


class Feed(threading.Thread):
    """Plays in a thread of its own. `sent` grows; `expected` is what must come of the batches sent so far."""

    def __init__(self, kafka: str, scenario: Scenario, chosen: Play, days_per_second: float) -> None:
        super().__init__(name="feed")
        self.sent: Sent | None = None
        self.events = 0
        self.expected: Counter[str] = Counter()
        self.error: BaseException | None = None
        self.ended = threading.Event()
        self._arguments = kafka, scenario, chosen, days_per_second

    def run(self) -> None:
        kafka, scenario, chosen, days_per_second = self._arguments
        outbox = Outbox(kafka)
        try:
            self.sent = play(
                iter_batches(scenario, chosen),
                outbox,
                days_per_second=days_per_second,
                progress=self._progress,
                stop=self.ended,
            )
            for kind, n in self.sent.kinds.items():
                self.expected[kind if kind == "duplicate" or kind.startswith("rejected:") else "accepted"] += n
        except BaseException as error:
            self.error = error
        finally:
            outbox.close()

    def _progress(self, sent: Sent) -> None:
        self.events = sent.events

    def finish(self) -> Sent:
        """End after the batch under way; everything is acknowledged."""
        self.ended.set()
        self.join()
        if self.error is not None:
            raise self.error
        assert self.sent is not None
        return self.sent


class Trial:
    """See the head of this file."""

    def __init__(self, servers: Servers, folder: Path, seed: int) -> None:
        print(f"seed {seed}, folder {folder}")
        self.servers, self.folder, self.seed = servers, folder, seed
        self.random = random.Random(seed)
        self.settings = Settings(kafka=servers.kafka, redis=servers.redis, partitions=PARTITIONS)
        self.catalogue = Catalogue.load(self.settings.catalogue)
        self.scenario = load(self.catalogue, SYSTEM)
        self.redis = redis.Redis.from_url(servers.redis, decode_responses=True)
        wipe(servers)
        prepare_topics(self.settings)
        env = {"TIDEWATCH_SESSION_S": str(SESSION_S), "TIDEWATCH_GROUP": f"ingest-{uuid4()}"}
        self.crew = Crew(folder / "workers", servers.kafka, servers.redis, env)
        self.watcher = Watcher(servers.kafka, SYSTEM)
        self.feeds: list[Feed] = []
        self.extra = 0  # events that were sent by hand
        self.expected: Counter[str] | None = Counter()  # of those; None: not foreseen, only the sum must be right
        self._ends = Ends(servers.kafka)

    def __enter__(self) -> Self:
        self.watcher.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for feed in self.feeds:
            feed.ended.set()
            feed.join()
        for worker in self.crew.workers.values():
            worker.send(signal.SIGCONT)
        if kind is not None:
            for log in sorted(self.crew.folder.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-6000:]}")
        self.crew.stop()
        self.watcher.__exit__(kind, error, trace)
        self._ends.close()
        self.redis.close()

    # --- who works ----------------------------------------------------------------------------------------------------

    def ingest(self, name: str, *, ready: bool = True, **env: str) -> ChildProcess:
        """Start an ingest worker; with `ready`, wait until it owns something."""
        worker = self.crew.start(name, "ingest", env=env)
        if ready:
            self.until_log(name, "acquired")
        return worker

    def index(self, name: str, *, ready: bool = True, **env: str) -> ChildProcess:
        """Start an index worker; with `ready`, wait until it runs the system."""
        worker = self.crew.start(name, "index", env=env)
        if ready:
            self.until_log(name, "running  ")
        return worker

    def until_log(self, name: str, *texts: str, times: int = 1, timeout_s: float = 30.0) -> str:
        """Wait until a line of the worker's log holds all `texts`, `times` times; returns the last such line."""

        def look() -> str:
            found = self.lines(name, *texts)
            return found[-1] if len(found) >= times else ""

        return eventually(look, timeout_s, lambda: self.crew.log(name)[-2000:])

    def lines(self, name: str, *texts: str) -> list[str]:
        """Lines of a worker's log that hold all `texts`."""
        return [line for line in self.crew.log(name).splitlines() if all(text in line for text in texts)]

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a worker."""
        self.crew.workers[name].send(number)

    def owned(self, name: str) -> set[int]:
        """The partitions that an ingest worker owns, by its log."""
        held: set[int] = set()
        for line in self.crew.log(name).splitlines():
            found = [part for part in line.split() if part.startswith("partition=")]
            if "acquired" in line:
                held.add(int(found[0][10:]))
            elif "released" in line or "stopped owning" in line:
                held.discard(int(found[0][10:]))
        return held

    def stop_in_mid_batch(self, name: str, *, timeout_s: float = 20.0) -> None:
        """SIGSTOP an ingest worker at a moment when events of a partition of its own wait for it."""

        def caught() -> bool:
            self.pause()
            self.signal(name, signal.SIGSTOP)
            stored, ends = self.offsets(), self._ends.of_events()
            if any(stored[p] < ends[p] for p in self.owned(name)):
                return True
            self.signal(name, signal.SIGCONT)
            return False

        eventually(caught, timeout_s)

    def stop_in_mid_transaction(self, name: str, *, timeout_s: float = 20.0) -> None:
        """SIGSTOP an index worker at a moment when its transaction is open: records are there that no reader may see."""

        def caught() -> bool:
            self.pause()
            self.signal(name, signal.SIGSTOP)
            # A commit that was on its way is finished within milliseconds: what is still open then stays open.
            if all(self._ends.hidden() for _ in range(10)):
                return True
            self.signal(name, signal.SIGCONT)
            return False

        eventually(caught, timeout_s)

    def pause(self) -> None:
        """A random moment, so that a fault does not always meet the same step."""
        time.sleep(self.random.uniform(0, 0.05))

    # --- what flows ---------------------------------------------------------------------------------------------------

    def feed(
        self,
        *,
        days: int | None = None,
        days_per_second: float = 40.0,
        density: float = 0.02,
        cities: int = 40,
        first_seq: int = 1,
        rates: Rates = RATES,
        array: int = 1,
    ) -> Feed:
        """Begin to play; ends with the play, or at `finish`."""
        chosen = Play(
            seed=self.random.randrange(2**32),
            rates=rates,
            density=density,
            days=days,
            cities=cities,
            first_seq=first_seq,
            array=array,
        )
        feed = Feed(self.servers.kafka, self.scenario, chosen, days_per_second)
        self.feeds.append(feed)
        feed.start()
        return feed

    def flows(self, events: int = 500) -> None:
        """Wait until so many more events have been sent, and a further revision was published."""
        feed, revision = self.feeds[-1], self.watcher.revision
        until = feed.events + events
        eventually(lambda: (feed.events >= until or not feed.is_alive()) and self.watcher.revision > revision, STILL_S)
        assert feed.is_alive(), "the play is over before its time"

    def offsets(self) -> dict[int, int]:
        """The next offset of each partition, as Redis has it."""
        return {p: int(self.redis.hget(f"{{tw:{p}}}:meta", "offset") or 0) for p in range(PARTITIONS)}

    def ends(self) -> dict[int, int]:
        """The next offset of each partition of `indicator-events`."""
        return self._ends.of_events()

    # --- Redis in time ------------------------------------------------------------------------------------------------

    def copy_redis(self) -> tuple[Path, dict[int, int]]:
        """A copy of Redis's data as they are on its disk now; and offsets that the copy does not lie beyond."""
        copy = self.folder / f"redis-{uuid4()}"
        shutil.copytree(self.servers.redis_server.folder, copy)
        return copy, self.offsets()

    def restore_redis(self, copy: Path, before: Callable[[], None] = lambda: None) -> None:
        """Redis dies, an earlier copy of its data is put back (then `before` is called), and it starts."""
        server = self.servers.redis_server
        server.kill()
        for name in ("appendonly.aof", "appendonlydir"):
            here, there = server.folder / name, copy / name
            if here.is_dir():
                shutil.rmtree(here)
            if there.is_dir():
                shutil.copytree(there, here)
            elif there.exists():
                shutil.copyfile(there, here)
        before()
        server.start()

    # --- the end ------------------------------------------------------------------------------------------------------

    def drained(self) -> int:
        """End the feeds, wait until everything is published; returns the last revision."""
        for feed in self.feeds:
            feed.finish()
        wait_until_drained(
            self.servers.kafka, self.servers.redis, self.ends(), [SYSTEM], timeout_s=STILL_S, check=self.crew.check
        )
        return self.watcher.revision

    def settle(self) -> Report:
        """All that must hold after any fault, once it is over: see docs/reliability of DESIGN section 1."""
        self.drained()
        self.watcher.check()
        report = verify(self.servers.kafka, self.servers.redis, SYSTEM)
        assert report.ok, [tuple(each) for each in report.differences[:10]]
        assert report.at_rest
        assert report.offsets == self.ends() == self.offsets()
        self.watcher.content(report.revision)
        counts = Counter(report.counts)
        sent = self.extra + sum(feed.finish().events for feed in self.feeds)
        assert sent == sum(counts.values()), f"sent {sent}, counted {sum(counts.values())}: {dict(counts)}"
        if self.expected is not None:
            expected = sum((feed.expected for feed in self.feeds), self.expected)
            assert counts == expected
        letters = dead_letters(self.servers.kafka)
        assert sum(n for name, n in counts.items() if name not in MARKS) == len(letters)
        assert Counter(f"rejected:{reason}" for reason in letters.values()) == Counter(
            {name: n for name, n in counts.items() if name not in MARKS}
        )
        self.crew.check()
        return report


def wipe(servers: Servers) -> None:
    """No topics, no keys."""
    admin = AdminClient({"bootstrap.servers": servers.kafka})
    ours = {topic.name for topic in all_topics(1)}
    held = ours & admin.list_topics(timeout=10).topics.keys()
    if held:
        for future in admin.delete_topics(sorted(held)).values():
            future.result()
        eventually(lambda: not ours & admin.list_topics(timeout=10).topics.keys())
    with redis.Redis.from_url(servers.redis) as client:
        client.flushall()


class Ends:
    """Where partitions end: for a reader of committed records, and for one who sees all."""

    def __init__(self, kafka: str) -> None:
        self._all, self._committed = (
            Consumer({"bootstrap.servers": kafka, "group.id": f"ends-{uuid4()}", "isolation.level": level})
            for level in ("read_uncommitted", "read_committed")
        )
        self._outputs = [TopicPartition(topic, crc32(SYSTEM.encode()) % SYSTEM_PARTITIONS) for topic in OUTPUTS]

    def of_events(self) -> dict[int, int]:
        """Next offset of each partition of `indicator-events`."""
        return {
            p: self._all.get_watermark_offsets(TopicPartition(EVENTS, p), timeout=10)[1] for p in range(PARTITIONS)
        }

    def hidden(self) -> int:
        """How many records of the outputs lie behind the last stable offset: of a transaction that is not ended."""
        return sum(
            self._all.get_watermark_offsets(where, timeout=10)[1]
            - self._committed.get_watermark_offsets(where, timeout=10)[1]
            for where in self._outputs
        )

    def close(self) -> None:
        """Drop the connections."""
        self._all.close()
        self._committed.close()


def aborted_records(kafka: str) -> int:
    """How many records of the system's outputs were written and never committed."""
    return len(_offsets(kafka, "read_uncommitted")) - len(_offsets(kafka, "read_committed"))


def _offsets(kafka: str, level: str) -> list[tuple[str, int]]:
    where = [(topic, crc32(SYSTEM.encode()) % SYSTEM_PARTITIONS) for topic in OUTPUTS]
    return [(topic, offset) for topic, offset, _, _ in _read(kafka, where, level)]


def dead_letters(kafka: str) -> dict[str, str]:
    """Reason by key, of the dead-letter topic: one that was written again stands once."""
    return {
        key.decode(): dict(headers)["reason"].decode()
        for _, _, key, headers in _read(kafka, [(DLQ, p) for p in range(PARTITIONS)], "read_committed")
    }


def _read(kafka: str, where: list[tuple[str, int]], level: str) -> list[tuple[str, int, Any, Any]]:
    """(topic, offset, key, headers) of everything up to where partitions end now."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": f"reads-{uuid4()}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": level,
            "fetch.wait.max.ms": 10,
        }
    )
    found: list[tuple[str, int, Any, Any]] = []
    left = len(where)
    deadline = time.monotonic() + STILL_S
    try:
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for topic, partition in where])
        while left:
            assert time.monotonic() < deadline, f"{left} of {where} not read to the end"
            for message in consumer.consume(10_000, timeout=0.1):
                error = message.error()
                if error is None:
                    found.append((message.topic(), message.offset(), message.key(), message.headers()))
                elif error.code() == KafkaError._PARTITION_EOF:
                    left -= 1
    finally:
        consumer.close()
    return found
