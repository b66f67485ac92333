"""Servers that are away, refuse, or hold what they should not: the worker waits and says so once, or stops and says why

Each test has a worker of its own, in a group of its own, on one Kafka and one Redis.
"""

from __future__ import annotations

import os
import re
import socketserver
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from uuid import uuid4

import pytest
import redis
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from state.keys import SCHEMA
from stream.tail import high_watermarks
from stream.topics import EVENTS
from tests.waiting import eventually
from tests.workers.desk import PARTITIONS, STILL_S, Desk, event
from workers.local.ports import free_port
from workers.settings import REPOSITORY
from workers.skip_missing import skip_missing
from workers.verify import Report, VerifyError
from workers.verify.batch import Batch
from workers.verify.log import Log
from workers.verify.redis_state import read_state
from workers.verify.replay import replay

pytestmark = pytest.mark.servers

END_S = 15.0  # a worker that is asked to end while a server is away has ended by then


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with Desk(tmp_path_factory.mktemp("away")) as desk:
        yield desk


@pytest.fixture
def worker(desk: Desk, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a worker that is not started yet; whoever does not end it has it killed."""
    name = re.sub(r"\W+", "-", request.node.name)
    yield name
    if name in desk.crew.workers:
        desk.crew.kill(name)


class Refusing(socketserver.ThreadingTCPServer):
    """A server that hangs up on whoever calls; `calls` says how often."""

    daemon_threads = True

    def __init__(self) -> None:
        self.calls = 0
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)

    def finish_request(self, *_: object) -> None:
        self.calls += 1

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(server: Refusing) -> Iterator[Refusing]:
    """In a thread of its own."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ends(desk: Desk, worker: str) -> None:
    """SIGTERM ends it well, and in time."""
    process = desk.crew.workers[worker]
    process.send(15)
    assert desk.ended(worker, END_S) == 0, desk.crew.log(worker)
    assert "Traceback" not in desk.crew.log(worker)


class Flow:
    """Events of a source of its own, and how the counts must have moved when they have passed."""

    _number = count()

    def __init__(self, desk: Desk) -> None:
        self.desk, self.source, self.seq = desk, f"flow-{next(self._number)}-", 0
        self.before, self.wanted = desk.counts(), Counter[str]()
        self.cell = desk.cell("dti.ecommerce/all")

    def send(self, partitions: Iterable[int] = range(PARTITIONS), n: int = 20) -> None:
        """Good ones, and in each tenth place a repeat and a bad one."""
        for partition in partitions:
            values = []
            for _ in range(n):
                self.seq += 1
                values.append(event(source=self.source, seq=self.seq))
                self.wanted["accepted"] += 1
                if self.seq % 10 == 0:
                    values += [values[-1], event(source=self.source, seq=self.seq, city="?")]
                    self.wanted.update(("duplicate", "rejected:unknown-city"))
            self.desk.send(values, partition=partition)

    def passed(self) -> None:
        """All is in Redis, to the unit, and every reject has one letter."""
        self.desk.passed()
        assert self.desk.counts() - self.before == self.wanted
        assert self.desk.cell("dti.ecommerce/all") - self.cell == 125 * self.wanted["accepted"]
        letters = [x for x in self.desk.letters().values() if f'"source":"{self.source}"'.encode() in x.raw]
        assert len(letters) == self.wanted["rejected:unknown-city"]


# --- away from the start ---


@dataclass
class Astray:
    """Workers and commands that were all started at once with addresses that are wrong."""

    kafka: Refusing
    redis: Refusing
    nobody: int
    commands: dict[str, subprocess.Popen[str]]


@pytest.fixture(scope="module")
def astray(desk: Desk) -> Iterator[Astray]:
    with serving(Refusing()) as kafka, serving(Refusing()) as redis:
        nobody = free_port()
        desk.start("no-kafka", TIDEWATCH_KAFKA=kafka.address)
        desk.start("no-redis", TIDEWATCH_REDIS=f"redis://{redis.address}/0")
        desk.start("nobody", TIDEWATCH_REDIS=f"redis://127.0.0.1:{nobody}/0")
        env = {**os.environ, **desk.env, "TIDEWATCH_KAFKA": f"127.0.0.1:{nobody}"}
        commands = ("dlq list", "feed --file /dev/null", "rankings dti-2023 -p 2021Q1")
        running = {
            command: subprocess.Popen(
                [sys.executable, "-m", "workers", *command.split()],
                cwd=REPOSITORY,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for command in commands
        }
        yield Astray(kafka, redis, nobody, running)
        for process in running.values():
            process.kill()
            process.communicate()
        for name in ("no-kafka", "no-redis", "nobody"):
            if name in desk.crew.workers:
                desk.crew.kill(name)


def test_redis_at_a_wrong_address(desk: Desk, astray: Astray):
    """It is called again and again, which is said once."""
    desk.not_ready("no-redis", "Redis")
    calls = astray.redis.calls
    eventually(lambda: astray.redis.calls >= calls + 4, STILL_S)
    assert desk.get("no-redis", "/healthz")[0] == 200
    assert len(desk.lines("no-redis", "waiting", "server=Redis")) == 1, desk.crew.log("no-redis")
    ends(desk, "no-redis")


def test_redis_where_nobody_listens(desk: Desk, astray: Astray):
    assert str(astray.nobody) in desk.not_ready("nobody", "Redis")
    ends(desk, "nobody")


def test_kafka_at_a_wrong_address(desk: Desk, astray: Astray):
    assert astray.kafka.address in desk.not_ready("no-kafka", "Kafka")
    calls = astray.kafka.calls
    eventually(lambda: astray.kafka.calls >= calls + 3, STILL_S)
    assert desk.get("no-kafka", "/healthz")[0] == 200
    assert len(desk.lines("no-kafka", "waiting", "server=Kafka")) == 1, desk.crew.log("no-kafka")
    assert len(desk.crew.log("no-kafka").splitlines()) <= 2, "nor does anybody else fill the log"
    ends(desk, "no-kafka")


@pytest.mark.parametrize("command", ["dlq list", "feed --file /dev/null", "rankings dti-2023 -p 2021Q1"])
def test_a_command_says_in_a_line_that_kafka_is_away(astray: Astray, command: str):
    process = astray.commands[command]
    _, error = process.communicate(timeout=STILL_S)
    assert process.returncode == 1
    assert "Traceback" not in error, error
    assert f"127.0.0.1:{astray.nobody}" in error.replace("\n", ""), error


# --- away in mid-work ---


@contextmanager
def trouble(desk: Desk, worker: str, server: str) -> Iterator[Flow]:
    """A worker at work before, in and after what happens inside; nothing lost, nothing twice, and all said once."""
    flow = Flow(desk)
    flow.send()
    flow.passed()
    before = len(desk.crew.log(worker))

    def said(what: str) -> list[str]:
        return [x for x in desk.crew.log(worker)[before:].splitlines() if what in x and f"server={server}" in x]

    yield flow
    eventually(lambda: said("answers again"), STILL_S, lambda: desk.crew.log(worker))
    eventually(lambda: desk.get(worker, "/readyz")[0] == 200, STILL_S, lambda: desk.crew.log(worker))
    flow.send()
    flow.passed()
    assert (len(said("] waiting")), len(said("] answers again"))) == (1, 1), desk.crew.log(worker)[before:]


def stays_so(desk: Desk, worker: str, why: str) -> None:
    """While nothing can be written the worker never says that it is ready, though reading works all the time."""

    def reads() -> int:
        return int(desk.redis.info("commandstats").get("cmdstat_hmget", {}).get("calls", 0))

    before = reads()
    while reads() < before + 10:  # the owner watches the partition that is idle meanwhile
        status, body = desk.get(worker, "/readyz")
        assert status == 503, f"ready, although Redis refuses all writes: {body}"
        assert why in body["problem"]


GROUP = f"steady-{uuid4()}"


@pytest.fixture(scope="class")
def steady(desk: Desk) -> Iterator[str]:
    """It begins with a Redis that is away, and goes to work when it comes."""
    desk.servers.redis_server.kill()
    try:
        desk.start("steady", TIDEWATCH_GROUP=GROUP)
        desk.not_ready("steady", "Redis")
    finally:
        desk.servers.redis_server.start()
    desk.ready("steady")
    yield "steady"
    ends(desk, "steady")


class TestOneWorkerGoesOn:
    """The same worker through all of it."""

    def test_redis_is_out_of_memory(self, desk: Desk, steady: str):
        with trouble(desk, steady, "Redis") as flow:
            desk.redis.config_set("maxmemory", 1)
            try:
                flow.send([1])
                desk.not_ready(steady, "Redis", "OOM")
                stays_so(desk, steady, "OOM")
            finally:
                desk.redis.config_set("maxmemory", 0)
            flow.passed()

    def test_redis_has_become_a_read_only_replica(self, desk: Desk, steady: str):
        with trouble(desk, steady, "Redis") as flow:
            desk.redis.replicaof("127.0.0.1", str(free_port()))
            try:
                flow.send([1])
                desk.not_ready(steady, "Redis", "read only replica")
                stays_so(desk, steady, "read only replica")
            finally:
                desk.redis.replicaof("NO", "ONE")
            flow.passed()

    def test_redis_is_killed_and_comes_back(self, desk: Desk, steady: str):
        with trouble(desk, steady, "Redis") as flow:
            desk.servers.redis_server.kill()
            try:
                flow.send()
                desk.not_ready(steady, "Redis")
            finally:
                desk.servers.redis_server.start()
            flow.passed()

    def test_redis_is_killed_while_nothing_flows(self, desk: Desk, steady: str):
        with trouble(desk, steady, "Redis"):
            desk.servers.redis_server.kill()
            try:
                desk.not_ready(steady, "Redis")
            finally:
                desk.servers.redis_server.start()

    def test_the_broker_is_killed_and_comes_back(self, desk: Desk, steady: str):
        """Two workers have a partition each; one is asked to end while the broker is away, one goes on with both."""
        desk.start("second", TIDEWATCH_GROUP=GROUP)
        eventually(lambda: desk.lines("second", "acquired"), STILL_S, lambda: desk.crew.log("second"))
        with trouble(desk, steady, "Kafka") as flow:
            desk.servers.kafka_server.kill()
            try:
                desk.not_ready("second", "Kafka")
                desk.not_ready(steady, "Kafka")
                ends(desk, "second")
            finally:
                desk.servers.kafka_server.start()
            flow.send()
            flow.passed()


# --- what a person must decide ----------------------------------------------------------------------------------------


def stopped(desk: Desk, worker: str, *texts: str) -> None:
    """The worker has ended by itself with code 1, and the last it said has all of `texts`; no traceback."""
    assert desk.ended(worker) == 1, desk.crew.log(worker)
    log = desk.crew.log(worker)
    assert "Traceback" not in log, log
    said = [line for line in log.splitlines() if "stopped" in line and "reason=" in line]
    assert len(said) == 1, log
    for text in texts:
        assert text in said[0], said[0]


@contextmanager
def unchanged(desk: Desk) -> Iterator[None]:
    """Redis holds what it held, but for the owner's token."""

    def look() -> dict[str, object]:
        with redis.Redis.from_url(desk.servers.redis) as raw:
            held: dict[str, object] = {key: raw.dump(key) for key in raw.keys("*") if not key.endswith(b":meta")}
        for p in range(PARTITIONS):
            held[f"meta {p}"] = {"schema": str(SCHEMA)} | desk.redis.hgetall(f"{{tw:{p}}}:meta") | {"epoch": ""}
        return held

    before = look()
    yield
    assert look() == before


def test_the_log_no_longer_holds_what_comes_next(desk: Desk, worker: str):
    """Retention went past the offset in Redis while nobody worked: nothing is skipped but by a person's command."""
    flow = Flow(desk)
    flow.send([0])
    offset, low = desk.offset(0), desk.sent[0] - 2
    assert low > offset
    admin = AdminClient({"bootstrap.servers": desk.servers.kafka})
    for future in admin.delete_records([TopicPartition(EVENTS, 0, low)]).values():
        future.result()
    command = f"tidewatch skip-missing --partition 0 --to {low}"
    gone = f"{low - offset} offsets are gone"
    with unchanged(desk):
        desk.start(worker)
        texts = (f"{EVENTS}/0", f"Redis names offset {offset}", f"the log holds {low} to", gone, "restore", command)
        stopped(desk, worker, *texts)
        for partition, to, said in (0, low - 1, f"--to {low}"), (0, low + 1, f"--to {low}"), (1, low, "missing"):
            with pytest.raises(ValueError, match=said):
                skip_missing(desk.settings, partition, to, "me", "a test", lambda lost: True)
        with pytest.raises(ValueError, match=f"has the partitions 0 to {PARTITIONS - 1}"):
            skip_missing(desk.settings, 99, low, "me", "a test", lambda lost: True)
        with pytest.raises(ValueError, match="nothing was skipped"):
            skip_missing(desk.settings, 0, low, "me", "a test", lambda lost: False)

    before = desk.counts()
    result = desk.tidewatch(*command.split()[1:], "--author", "me", "--reason", "a test", "--yes", "--json")
    assert result == {"partition": 0, "from": offset, "to": low, "missing": low - offset}
    desk.start(worker)
    desk.passed(worker)
    assert (desk.counts() - before).total() == 2, "what the log holds still counts"
    ends(desk, worker)

    states = read_state(desk.servers.redis, range(PARTITIONS))
    cuts = {p: [state.offset] for p, state in states.items()}
    said = f'{EVENTS}/0 begins at offset {low}.*nothing was compared.*"start":{offset},"end":{low}.*a test'
    with pytest.raises(VerifyError, match=said):
        replay(
            Log(desk.servers.kafka), Report(""), cuts, Batch(), str, {p: state.skipped for p, state in states.items()}
        )


def test_redis_belongs_to_another_log(desk: Desk, worker: str):
    """It names an offset behind the end: the topic was made anew, or Redis is not its own."""
    end = high_watermarks(desk.servers.kafka, [(EVENTS, 1)])[EVENTS, 1]
    desk.redis.hset("{tw:1}:meta", "offset", end + 1000)
    with unchanged(desk):
        desk.start(worker)
        stopped(desk, worker, f"{EVENTS}/1", f"Redis names offset {end + 1000}", f"to {end}", "1000 ahead", "restore")
        with pytest.raises(ValueError, match="Redis is ahead"):
            skip_missing(desk.settings, 1, end, "me", "a test", lambda lost: True)
    desk.redis.hset("{tw:1}:meta", "offset", end)


def test_a_newer_schema(desk: Desk, worker: str):
    desk.redis.hset("{tw:1}:meta", "schema", SCHEMA + 1)
    epoch = desk.redis.hget("{tw:1}:meta", "epoch")
    try:
        with unchanged(desk):
            desk.start(worker)
            stopped(desk, worker, "partition 1", f"schema version {SCHEMA + 1}", "upgrade the worker")
        assert desk.redis.hget("{tw:1}:meta", "epoch") == epoch, "not taken over"
    finally:
        desk.redis.hset("{tw:1}:meta", "schema", SCHEMA)


def test_a_state_that_cannot_be_read(desk: Desk, worker: str):
    """The key and the value are named."""
    key = next(key for key in desk.redis.keys("{tw:0}:cells:*"))
    desk.redis.hset(key, "dti.rnd/finance", "many")
    try:
        desk.start(worker)
        stopped(desk, worker, key.removeprefix("{tw:0}:"), "many")
    finally:
        desk.redis.hdel(key, "dti.rnd/finance")


# --- last: asked to end ---


def test_a_worker_whose_redis_is_away_ends_when_it_is_asked_to(desk: Desk, worker: str):
    """With a batch read and not flushed: the next owner reads it again."""
    desk.start(worker)
    desk.ready(worker)
    flow = Flow(desk)
    desk.servers.redis_server.kill()
    try:
        flow.send()
        desk.not_ready(worker, "Redis")
        ends(desk, worker)
    finally:
        desk.servers.redis_server.start()
    again = f"{worker}-again"
    desk.start(again)
    flow.passed()
    ends(desk, again)
