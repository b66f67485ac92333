"""An index worker whose Kafka or Redis is away: it notices although it is idle, says so, and ends when it is told."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from stream.published import read_revision
from tests.waiting import eventually
from tests.workers.desk import STILL_S, Desk, event
from tests.workers.scraped import Scrape
from workers.local.ports import free_port
from workers.local.process import ChildProcess
from workers.local.server import LocalServer

pytestmark = pytest.mark.servers

SYSTEM = "dti-2023"
# Bounds of waiting, not of the product: a server that hangs without a word takes it three questions of 2 s, every 2 s;
# the end 12 s for what is under way and 3 s for its clients. A busy machine takes its share besides.
NOTICED_S, END_S = 40.0, 40.0
_number = count(1)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with Desk(tmp_path_factory.mktemp("index-away")) as desk:
        desk.start("ingest")
        send(desk)
        yield desk


def send(desk: Desk) -> None:
    desk.send([event(source="flow", seq=next(_number))])
    desk.passed()


@pytest.fixture
def index(desk: Desk) -> Iterator[str]:
    """An index worker at rest, of a name of its own."""
    name = f"index-{next(_number)}"
    desk.ports[name] = free_port()
    desk.crew.start(name, "index", env={"TIDEWATCH_HTTP_PORT": str(desk.ports[name])})
    eventually(lambda: desk.lines(name, "] running"), STILL_S, lambda: desk.crew.log(name))
    eventually(lambda: desk.get(name, "/readyz")[0] == 200, STILL_S, lambda: desk.crew.log(name))
    yield name
    if name in desk.crew.workers:
        desk.crew.kill(name)


@contextmanager
def hanging(server: LocalServer | ChildProcess) -> Iterator[None]:
    """It takes connections, and answers nothing."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def not_ready(desk: Desk, name: str, what: str) -> None:
    def look() -> bool:
        status, body = desk.get(name, "/readyz")
        return status == 503 and f"waiting for {what}" in body["problem"]

    eventually(look, 2 * NOTICED_S if what == SYSTEM else NOTICED_S, lambda: desk.crew.log(name))
    assert desk.get(name, "/healthz")[0] == 200


def publishes(desk: Desk, name: str) -> None:
    """It goes on, and what is sent now is published."""
    eventually(lambda: desk.get(name, "/readyz")[0] == 200, STILL_S, lambda: desk.crew.log(name))
    send(desk)

    def look() -> bool:
        last = read_revision(desk.servers.kafka, SYSTEM)
        return last is not None and last.offsets["0"] == desk.sent[0]

    eventually(look, STILL_S, lambda: desk.crew.log(name))


def ends(desk: Desk, name: str) -> None:
    process = desk.crew.workers[name]
    began = time.monotonic()
    process.send(signal.SIGTERM)
    assert desk.ended(name, END_S) == 0, desk.crew.log(name)
    assert "Traceback" not in desk.crew.log(name), f"after {time.monotonic() - began:.1f} s: {desk.crew.log(name)}"


def test_kafka_hangs_while_nothing_flows(desk: Desk, index: str):
    with hanging(desk.servers.kafka_server):
        not_ready(desk, index, "Kafka")
        not_ready(desk, "ingest", "Kafka")
    publishes(desk, index)
    said = [line for line in desk.lines(index, "server=Kafka") if "] waiting" in line or "] answers again" in line]
    assert [("waiting" in line) for line in said] == [True, False], desk.crew.log(index)
    ends(desk, index)


def test_kafka_is_killed_while_nothing_flows(desk: Desk, index: str):
    desk.servers.kafka_server.kill()
    try:
        not_ready(desk, index, "Kafka")
    finally:
        desk.servers.kafka_server.start()
    publishes(desk, index)
    ends(desk, index)


def test_redis_hangs_while_nothing_flows(desk: Desk, index: str):
    with hanging(desk.servers.redis_server):
        eventually(lambda: desk.get(index, "/readyz")[0] == 503, 2 * NOTICED_S, lambda: desk.crew.log(index))
    publishes(desk, index)
    ends(desk, index)


def test_told_to_end_while_kafka_is_away_and_nothing_is_to_do(desk: Desk, index: str):
    desk.servers.kafka_server.kill()
    try:
        ends(desk, index)
    finally:
        desk.servers.kafka_server.start()


def test_told_to_end_while_it_cannot_publish(desk: Desk, index: str):
    """What was read and not published is published by the next one, as the next revision."""
    before = read_revision(desk.servers.kafka, SYSTEM)
    with hanging(desk.crew.workers[index]):
        send(desk)
        desk.servers.kafka_server.kill()
    try:
        not_ready(desk, index, SYSTEM)

        def reconciles() -> bool:
            seen = Scrape.of(desk.ports[index])
            return (seen.value("tidewatch_index_reconciles_total", system=SYSTEM, reason="kafka") or 0) >= 1

        eventually(reconciles, STILL_S, lambda: desk.crew.log(index))
        seen = Scrape.of(desk.ports[index])
        assert seen.value("tidewatch_index_running", system=SYSTEM) == 0
        assert seen.value("tidewatch_worker_ready") == 0
        ends(desk, index)
    finally:
        desk.servers.kafka_server.start()
    again = f"{index}-again"
    desk.ports[again] = free_port()
    desk.crew.start(again, "index", env={"TIDEWATCH_HTTP_PORT": str(desk.ports[again])})
    publishes(desk, again)
    after = read_revision(desk.servers.kafka, SYSTEM)
    assert before is not None
    assert after is not None
    assert after.revision > before.revision
    ends(desk, again)


def test_told_to_end_while_kafka_hangs_and_redis_too(desk: Desk, index: str):
    """Clients wait for answers that do not come; the process does not."""
    with hanging(desk.servers.kafka_server), hanging(desk.servers.redis_server):
        ends(desk, index)


def test_an_ingest_worker_ends_while_kafka_hangs(desk: Desk):
    with hanging(desk.servers.kafka_server):
        ends(desk, "ingest")
