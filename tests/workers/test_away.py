"""Servers that are away, refuse, or hold what they should not: the worker waits and says so once, or stops and says why

Each test has a worker of its own, in a group of its own, on one Kafka and one Redis.
"""

from __future__ import annotations

import re
import socketserver
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count

import pytest
import redis
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from stream.tail import high_watermarks
from stream.topics import EVENTS
from tests.waiting import eventually
from tests.workers.desk import PARTITIONS, STILL_S, Desk, event
from workers.local.ports import free_port
from workers.settings import REPOSITORY

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


@pytest.fixture
def refusing() -> Iterator[Refusing]:
    with Refusing() as server:
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


def said_once(desk: Desk, worker: str, server: str) -> None:
    """That it waits, and that it is over."""
    assert len(desk.lines(worker, "waiting", f"server={server}")) == 1, desk.crew.log(worker)
    eventually(lambda: desk.lines(worker, "answers again", f"server={server}"), said=lambda: desk.crew.log(worker))
    assert len(desk.lines(worker, "answers again", f"server={server}")) == 1, desk.crew.log(worker)


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


@contextmanager
def flowing(desk: Desk, worker: str) -> Iterator[Flow]:
    """A worker at work before, in and after what happens inside; nothing is lost, nothing twice, it ends well."""
    desk.start(worker)
    desk.ready(worker)
    flow = Flow(desk)
    flow.send()
    flow.passed()
    yield flow
    eventually(lambda: desk.get(worker, "/readyz")[0] == 200, STILL_S, lambda: desk.crew.log(worker))
    flow.send()
    flow.passed()
    ends(desk, worker)


# --- away -------------------------------------------------------------------------------------------------------------


def test_kafka_at_a_wrong_address(desk: Desk, worker: str, refusing: Refusing):
    desk.start(worker, TIDEWATCH_KAFKA=refusing.address)
    said = desk.not_ready(worker, "Kafka")
    assert refusing.address in said
    calls = refusing.calls
    eventually(lambda: refusing.calls >= calls + 3, STILL_S)
    assert desk.get(worker, "/healthz")[0] == 200
    assert len(desk.lines(worker, "waiting", "server=Kafka")) == 1, desk.crew.log(worker)
    assert len(desk.crew.log(worker).splitlines()) < 6, "nor does anybody else fill the log"
    ends(desk, worker)


def test_redis_at_a_wrong_address(desk: Desk, worker: str, refusing: Refusing):
    desk.start(worker, TIDEWATCH_REDIS=f"redis://{refusing.address}/0")
    desk.not_ready(worker, "Redis")
    calls = refusing.calls
    eventually(lambda: refusing.calls >= calls + 4, STILL_S)
    assert desk.get(worker, "/healthz")[0] == 200
    assert len(desk.lines(worker, "waiting", "server=Redis")) == 1, desk.crew.log(worker)
    ends(desk, worker)


def test_an_address_where_nobody_listens(desk: Desk, worker: str):
    port = free_port()
    desk.start(worker, TIDEWATCH_REDIS=f"redis://127.0.0.1:{port}/0")
    assert str(port) in desk.not_ready(worker, "Redis")
    ends(desk, worker)


def test_a_worker_that_waits_for_its_servers_goes_to_work_when_they_come(desk: Desk, worker: str):
    desk.servers.redis_server.kill()
    try:
        desk.start(worker)
        desk.not_ready(worker, "Redis")
    finally:
        desk.servers.redis_server.start()
    desk.ready(worker)
    flow = Flow(desk)
    flow.send()
    flow.passed()
    ends(desk, worker)


def test_commands_say_in_a_line_that_kafka_is_away(desk: Desk):
    env = {**desk.env, "TIDEWATCH_KAFKA": f"127.0.0.1:{free_port()}"}
    commands = [("dlq", "list"), ("feed", "--file", "/dev/null"), ("rankings", "dti-2023", "-p", "2021Q1")]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "workers", *c], cwd=REPOSITORY, env=env, stdout=-1, stderr=-1, text=True
        )
        for c in commands
    ]
    for command, process in zip(commands, running, strict=True):
        _, error = process.communicate(timeout=60)
        assert process.returncode == 1, command
        assert "Traceback" not in error, error
        assert env["TIDEWATCH_KAFKA"] in error.replace("\n", ""), error


# --- refusing ---------------------------------------------------------------------------------------------------------


def test_redis_is_out_of_memory(desk: Desk, worker: str):
    with flowing(desk, worker) as flow:
        desk.redis.config_set("maxmemory", 1)
        try:
            flow.send([1])
            desk.not_ready(worker, "Redis", "OOM")
            stays_so(desk, worker, "OOM")
        finally:
            desk.redis.config_set("maxmemory", 0)
        flow.passed()
        said_once(desk, worker, "Redis")


def test_redis_has_become_a_read_only_replica(desk: Desk, worker: str):
    with flowing(desk, worker) as flow:
        desk.redis.replicaof("127.0.0.1", str(free_port()))
        try:
            flow.send([1])
            desk.not_ready(worker, "Redis", "read only replica")
            stays_so(desk, worker, "read only replica")
        finally:
            desk.redis.replicaof("NO", "ONE")
        flow.passed()
        said_once(desk, worker, "Redis")


def stays_so(desk: Desk, worker: str, why: str) -> None:
    """While nothing can be written the worker never says that it is ready, though reading works all the time."""

    def reads() -> int:
        return int(desk.redis.info("commandstats").get("cmdstat_hmget", {}).get("calls", 0))

    before = reads()
    while reads() < before + 10:  # the owner watches the partition that is idle meanwhile
        status, body = desk.get(worker, "/readyz")
        assert status == 503, f"ready, although Redis refuses all writes: {body}"
        assert why in body["problem"]


def test_redis_is_killed_and_comes_back(desk: Desk, worker: str):
    with flowing(desk, worker) as flow:
        desk.servers.redis_server.kill()
        try:
            flow.send()
            desk.not_ready(worker, "Redis")
        finally:
            desk.servers.redis_server.start()
        flow.passed()
        said_once(desk, worker, "Redis")


def test_redis_is_killed_while_nothing_flows(desk: Desk, worker: str):
    with flowing(desk, worker):
        desk.servers.redis_server.kill()
        try:
            desk.not_ready(worker, "Redis")
        finally:
            desk.servers.redis_server.start()
        said_once(desk, worker, "Redis")


def test_the_broker_is_killed_and_comes_back(desk: Desk, worker: str):
    with flowing(desk, worker) as flow:
        desk.servers.kafka_server.kill()
        try:
            desk.not_ready(worker, "Kafka")
        finally:
            desk.servers.kafka_server.start()
        flow.send()
        flow.passed()
        said_once(desk, worker, "Kafka")


@pytest.mark.parametrize("away", ["Kafka", "Redis"])
def test_a_worker_whose_server_is_away_ends_when_it_is_asked_to(desk: Desk, worker: str, away: str):
    """In mid-work: with a batch read and not flushed, or with nothing to read."""
    desk.start(worker)
    desk.ready(worker)
    flow = Flow(desk)
    server = desk.servers.kafka_server if away == "Kafka" else desk.servers.redis_server
    server.kill()
    try:
        if away == "Redis":
            flow.send()
        desk.not_ready(worker, away)
        ends(desk, worker)
    finally:
        server.start()
    again = f"{worker}-again"
    desk.start(again)
    desk.ready(again)
    flow.passed()
    assert desk.end(again) == 0


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
            held[f"meta {p}"] = desk.redis.hgetall(f"{{tw:{p}}}:meta") | {"epoch": ""}
        return held

    before = look()
    yield
    assert look() == before


def test_the_log_no_longer_holds_what_comes_next(desk: Desk, worker: str):
    """Retention went past the offset in Redis while nobody worked: nothing is skipped, and the text says what to do."""
    flow = Flow(desk)
    desk.start(f"{worker}-before")
    flow.send()
    flow.passed()
    assert desk.end(f"{worker}-before") == 0
    flow.send()
    offset = desk.offset(0)
    admin = AdminClient({"bootstrap.servers": desk.servers.kafka})
    low = desk.sent[0] - 2
    assert low > offset
    for future in admin.delete_records([TopicPartition(EVENTS, 0, low)]).values():
        future.result()
    with unchanged(desk):
        desk.start(worker)
        stopped(desk, worker, f"{EVENTS}/0", f"Redis names offset {offset}", f"the log holds {low} to", "restore")
    # As the text says: Redis is set to what the log holds (here: what was lost is known), and work goes on.
    desk.redis.hset("{tw:0}:meta", "offset", low)
    desk.start(f"{worker}-after")
    desk.passed()
    assert desk.end(f"{worker}-after") == 0


def test_redis_belongs_to_another_log(desk: Desk, worker: str):
    """It names an offset behind the end: the topic was made anew, or Redis is not its own."""
    end = high_watermarks(desk.servers.kafka, [(EVENTS, 1)])[EVENTS, 1]
    desk.redis.hset("{tw:1}:meta", "offset", end + 1000)
    with unchanged(desk):
        desk.start(worker)
        stopped(desk, worker, f"{EVENTS}/1", f"Redis names offset {end + 1000}", f"to {end}")
    desk.redis.hset("{tw:1}:meta", "offset", end)


def test_a_newer_schema(desk: Desk, worker: str):
    desk.redis.hset("{tw:1}:meta", "schema", 2)
    epoch = desk.redis.hget("{tw:1}:meta", "epoch")
    try:
        with unchanged(desk):
            desk.start(worker)
            stopped(desk, worker, "partition 1", "schema version 2", "upgrade the worker")
        assert desk.redis.hget("{tw:1}:meta", "epoch") == epoch, "not taken over"
    finally:
        desk.redis.hset("{tw:1}:meta", "schema", 1)


def test_a_state_that_cannot_be_read(desk: Desk, worker: str):
    """The key and the value are named."""
    key = next(key for key in desk.redis.keys("{tw:0}:cells:*"))
    desk.redis.hset(key, "dti.rnd/finance", "many")
    try:
        desk.start(worker)
        stopped(desk, worker, key.removeprefix("{tw:0}:"), "many")
    finally:
        desk.redis.hdel(key, "dti.rnd/finance")
