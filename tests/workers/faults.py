"""A whole Tidewatch beside a test: real servers, workers as processes, a feed that flows, and a watcher.

    with Trial(servers, folder, seed) as trial:   # from nothing: empty topics, an empty Redis
        trial.workers(ingest=2, index=1)
        trial.feed()                              # flows in a thread until `settle`
        ...                                       # whatever goes wrong
        trial.settle()                            # drained, verified, balanced, and the watcher is content

All that is random comes from the seed, which is printed.
"""

import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4
from zlib import crc32

import redis
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient

from index.catalogue import Catalogue
from stream.topics import DLQ, EVENTS, OUTPUTS, SYSTEM_PARTITIONS, all_topics
from tests.waiting import eventually
from tests.workers.redis_copy import copy_data, put_data_back
from tests.workers.watcher import REST_S, Watcher
from workers.crew import Crew
from workers.drained import wait_until_drained
from workers.feed import Outbox, Sent, play
from workers.local import Servers
from workers.prepare import prepare_topics
from workers.scenario import Play, Rates, iter_batches, load
from workers.scenario.play import Batch
from workers.settings import Settings
from workers.verify import Report, verify

SYSTEM = "dti-2023"
PARTITIONS = 4
SESSION_S = 6  # the least that a broker allows: after so much silence Kafka gives a worker's share to others
STILL_S = 90.0  # nothing moves for so long: it will not, also on a machine that has much else to do
SEQS = 10_000_000  # sequence numbers of a source in one play: far fewer are used, and far more would be a jump
# Many are bad, so that most batches of a few events have a dead letter.
RATES = Rates(duplicates=0.05, late=0.05, corrections=0.03, restatements=0.02, bad=0.15, odd=0.03)
LOOKS, LOOK_S = 10, 0.02


class Feed(threading.Thread):
    """Plays batches in a thread of its own. `sent` grows; `expected` is what must come of the batches sent so far."""

    def __init__(self, kafka: str, batches: Iterable[Batch], days_per_second: float) -> None:
        super().__init__(name="feed")
        self.sent: Sent | None = None
        self.events = 0
        self.expected: Counter[str] = Counter()
        self.error: BaseException | None = None
        self.ended = threading.Event()
        self._arguments = kafka, batches, days_per_second

    def run(self) -> None:
        kafka, batches, days_per_second = self._arguments
        outbox = Outbox(kafka)
        try:
            self.sent = play(
                batches,
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
    """See the head of this file. Workers have names that are used once: `ingest-1`, `index-2`, ..."""

    def __init__(self, servers: Servers, folder: Path, seed: str) -> None:
        """Empty topics, an empty Redis, nobody at work."""
        print(f"seed {seed}, logs in {folder}")
        self.servers, self.folder = servers, folder
        self.random = random.Random(seed)
        self.began = time.monotonic()
        self.settings = Settings(kafka=servers.kafka, redis=servers.redis, partitions=PARTITIONS)
        self.catalogue = Catalogue.load(self.settings.catalogue)
        self.redis = redis.Redis.from_url(servers.redis, decode_responses=True)
        if not servers.redis_server.running():  # an earlier test may have ended badly
            servers.redis_server.start()
        wipe(servers)
        prepare_topics(self.settings)
        env = {"TIDEWATCH_SESSION_S": str(SESSION_S), "TIDEWATCH_GROUP": f"ingest-{uuid4()}"}
        self.crew = Crew(folder / "workers", servers.kafka, servers.redis, env)
        self.feeds: list[Feed] = []
        self._plays = count()
        self.by_hand: Counter[str] = Counter()  # outcome of the events that no feed sent, as the counts name it
        self.watcher = Watcher(servers.kafka, SYSTEM)
        self._numbers: Counter[str] = Counter()
        self._ends = Ends(servers.kafka)
        self._settled = False

    def __enter__(self) -> Self:
        """The watcher looks on from now."""
        self.watcher.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everybody; where it did not end well, show what the workers said."""
        for feed in self.feeds:
            feed.ended.set()
            feed.join()
        if not self._settled:
            print(self.logs(""))
        for worker in self.crew.workers.values():
            worker.send(signal.SIGCONT)
        self.crew.stop()
        self.watcher.__exit__(kind, error, trace)
        self._ends.close()
        self.redis.close()

    # --- who works ----------------------------------------------------------------------------------------------------

    def start(self, what: str, **env: str) -> str:
        """Start an `ingest` or `index` worker; returns its name."""
        self._numbers[what] += 1
        name = f"{what}-{self._numbers[what]}"
        self.crew.start(name, what, env=env)
        return name

    def running(self, what: str) -> list[str]:
        """Names of the workers of that sort, eldest first."""
        return [name for name in self.crew.workers if name.startswith(what)]

    def workers(self, *, ingest: int, index: int = 0) -> None:
        """Start or end some until there are so many; returns when all partitions are owned, and the system is run."""
        for what, n in (("ingest", ingest), ("index", index)):
            held = self.running(what)
            for name in held[n:]:
                assert self.crew.end(name) == 0
            for _ in range(len(held), n):
                self.start(what)
        if ingest:
            eventually(self.shared_out, STILL_S, lambda: self.logs("ingest"))
        if index:
            eventually(self.active, STILL_S, lambda: self.logs("index"))
        self.note(f"at work: {', '.join(self.crew.workers)}")

    def shared_out(self) -> bool:
        """Whether each partition is owned by exactly one ingest worker, by their logs, and each of them has some."""
        owned = [self.owned(name) for name in self.running("ingest")]
        return all(owned) and sorted(p for mine in owned for p in mine) == list(range(PARTITIONS))

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

    def active(self) -> str:
        """The index worker that runs the system, by their logs; empty if none does, or several say so."""
        found = []
        for name in self.running("index"):
            said = self.lines(name, "] running ", "] reconciling ", "] stopped system ")
            if said and "] running " in said[-1]:
                found.append(name)
        return found[0] if len(found) == 1 else ""

    def lines(self, name: str, *texts: str) -> list[str]:
        """Lines of a worker's log that hold any of `texts`."""
        return [line for line in self.crew.log(name).splitlines() if any(text in line for text in texts)]

    def until_log(self, name: str, text: str, times: int = 1, timeout_s: float = STILL_S) -> str:
        """Wait until `times` lines of the worker's log hold `text`; returns the last of them."""

        def look() -> str:
            found = self.lines(name, text)
            return found[-1] if len(found) >= times else ""

        return eventually(look, timeout_s, lambda: self.logs(name))

    def logs(self, name: str) -> str:
        """The ends of the logs whose names begin so."""
        logs = sorted(self.crew.folder.glob(f"{name}*.log"), key=lambda log: log.stat().st_mtime)
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in logs)

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a worker."""
        self.crew.workers[name].send(number)

    def stop_in_mid_batch(self, name: str, *, timeout_s: float = STILL_S) -> None:
        """SIGSTOP an ingest worker when it has written a batch's dead letters, and not yet flushed the batch."""

        def caught() -> bool:
            self.pause()
            self.signal(name, signal.SIGSTOP)
            # A flush that was on its way is soon done: what is due in every look stays so.
            if stays(lambda: self._flush_is_due(name)):
                return True
            self.signal(name, signal.SIGCONT)
            return False

        eventually(caught, timeout_s)
        self.note(f"stopped {name} in mid-batch")

    def _flush_is_due(self, name: str) -> bool:
        letters = {p: self._ends.last_letter(p) for p in self.owned(name)}
        stored = self.offsets()
        return any(offset >= stored[p] for p, offset in letters.items())

    def stop_in_mid_transaction(self, name: str, *, timeout_s: float = STILL_S) -> None:
        """SIGSTOP an index worker when its transaction is open: its records stand there, and nobody sees them."""

        def caught() -> bool:
            self.pause()
            self.signal(name, signal.SIGSTOP)
            # A commit that was on its way is soon done: what is open in every look stays so.
            if stays(self._ends.hidden):
                return True
            self.signal(name, signal.SIGCONT)
            return False

        eventually(caught, timeout_s)
        self.note(f"stopped {name} in mid-transaction")

    def note(self, what: str) -> None:
        """Print what happens, for whoever reads the report of a failure."""
        print(f"{time.monotonic() - self.began:7.2f} s  {what}")

    def pause(self) -> None:
        """A moment of random length, so that a fault does not always meet the same step."""
        time.sleep(self.random.uniform(0, 0.05))

    # --- what flows ---------------------------------------------------------------------------------------------------

    def feed(self, *, days_per_second: float = 25.0, density: float = 0.05, cities: int = 16, array: int = 1) -> Feed:
        """Begin to play what no earlier feed sent, one play of 820 days after the other, until the test settles."""
        scenario, seed = load(self.catalogue, SYSTEM), self.random.randrange(2**32)
        first = Play(seed=seed, rates=RATES, density=density, cities=cities, array=array)

        def plays() -> Iterator[Batch]:
            for n in count():
                yield from iter_batches(scenario, replace(first, seed=seed + n, first_seq=1 + next(self._plays) * SEQS))

        batches = plays()
        feed = Feed(self.servers.kafka, batches, days_per_second)
        self.feeds.append(feed)
        feed.start()
        return feed

    def send(self, events: list[dict[str, Any]], outcome: str) -> None:
        """Send some events by hand; `outcome` is what must become of each, as the counts name it."""
        outbox = Outbox(self.servers.kafka)
        for event in events:
            outbox.put_one(event["city"].encode(), json.dumps(event).encode())
        outbox.flush()
        outbox.close()
        self.by_hand[outcome] += len(events)

    def flows(self, events: int = 500) -> None:
        """Wait until so many more events have been sent, and a further revision was published."""
        feed, revision = self.feeds[-1], self.watcher.revision
        until = feed.events + events

        def flowed() -> bool:
            self.crew.check()
            assert feed.is_alive() or feed.error is None, feed.error
            return feed.events >= until and self.watcher.revision > revision

        eventually(flowed, STILL_S)

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
        copy_data(self.servers.redis_server, copy)
        return copy, self.offsets()

    def restore_redis(self, copy: Path | None) -> None:
        """Redis dies, an earlier copy of its data is put back (None: nothing at all), and it starts."""
        put_data_back(self.servers.redis_server, copy)
        self.note("Redis has gone back")

    # --- the end ------------------------------------------------------------------------------------------------------

    def drained(self) -> int:
        """End the feeds, wait until everything is published; returns the last revision."""
        for feed in self.feeds:
            feed.finish()
        reached = wait_until_drained(
            self.servers.kafka, self.servers.redis, self.ends(), [SYSTEM], timeout_s=STILL_S, check=self.crew.check
        )
        self.note(f"drained at revision {reached[SYSTEM]}")
        return reached[SYSTEM]

    def settle(self, *, foreseen: bool = True) -> Report:
        """What must hold after any fault: no difference, every event counted once, and the watcher is content.

        `foreseen`: also each outcome's number is what the feeds meant; else only their sum must be right.
        """
        revision = self.drained()
        eventually(
            lambda: self.watcher.wrong or (self.watcher.revision >= revision and self.watcher.at_rest()), STILL_S
        )
        self.watcher.check()
        self.note("at rest")
        report = verify(self.servers.kafka, self.servers.redis, SYSTEM, rest_s=REST_S)
        assert report.ok, [tuple(each) for each in report.differences[:10]]
        assert report.at_rest
        assert report.offsets == self.ends() == self.offsets()
        self.watcher.content(report.revision)
        counts = Counter(report.counts)
        assert sum(feed.finish().events for feed in self.feeds) + sum(self.by_hand.values()) == sum(counts.values())
        if foreseen:
            assert counts == sum((feed.expected for feed in self.feeds), self.by_hand)
        letters = Counter(f"rejected:{reason}" for reason in dead_letters(self.servers.kafka).values())
        assert letters == Counter({name: n for name, n in counts.items() if name not in ("accepted", "duplicate")})
        self.crew.check()
        self.note(
            f"settled: revision {report.revision}, {sum(counts.values())} events, verified in {report.seconds:.1f} s"
        )
        self._settled = True
        return report


def stays(condition: Callable[[], object]) -> bool:
    """Whether it is true in each of some looks."""
    for _ in range(LOOKS):
        if not condition():
            return False
        time.sleep(LOOK_S)
    return True


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
            Consumer(
                {
                    "bootstrap.servers": kafka,
                    "group.id": f"ends-{uuid4()}",
                    "enable.auto.commit": False,
                    "isolation.level": level,
                    "fetch.wait.max.ms": 10,
                    "log_level": 0,
                }
            )
            for level in ("read_uncommitted", "read_committed")
        )
        self._letters: dict[int, tuple[int, int]] = {}  # partition -> end, offset that the last letter names
        self._outputs = [TopicPartition(topic, crc32(SYSTEM.encode()) % SYSTEM_PARTITIONS) for topic in OUTPUTS]

    def last_letter(self, partition: int) -> int:
        """Offset of the event whose dead letter was written last for a partition; -1 if there is none."""
        where = TopicPartition(DLQ, partition)
        end = self._all.get_watermark_offsets(where, timeout=10)[1]
        if end > self._letters.get(partition, (0, -1))[0]:
            self._all.assign([TopicPartition(DLQ, partition, end - 1)])
            message = eventually(lambda: self._all.poll(0.1))
            assert message.error() is None
            self._letters[partition] = end, int(message.key().split(b"/")[2])
        return self._letters.get(partition, (0, -1))[1]

    def of_events(self) -> dict[int, int]:
        """Next offset of each partition of `indicator-events`."""
        return {p: self._all.get_watermark_offsets(TopicPartition(EVENTS, p), timeout=10)[1] for p in range(PARTITIONS)}

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
    """How many records of the system's outputs were written and never committed; to be asked at rest."""
    where = [(topic, crc32(SYSTEM.encode()) % SYSTEM_PARTITIONS) for topic in OUTPUTS]
    every, committed = (len(_read(kafka, where, f"read_{level}")) for level in ("uncommitted", "committed"))
    return every - committed


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
    left = set(where)
    deadline = time.monotonic() + STILL_S
    try:
        consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in where])
        while left:
            assert time.monotonic() < deadline, f"{left} not read to the end"
            for message in consumer.consume(10_000, timeout=0.1):
                error = message.error()
                if error is None:
                    found.append((message.topic(), message.offset(), message.key(), message.headers()))
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard((message.topic(), message.partition()))
    finally:
        consumer.close()
    return found
