"""The feed against a real Kafka: what it says it sent is there, in order; a file's lines are accounted for."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from index.catalogue import Catalogue
from stream.errors import StreamError
from stream.publisher import Record
from stream.tail import high_watermarks, read_to
from stream.topics import EVENTS
from tests.waiting import eventually
from workers.connect import make_redis
from workers.drained import offsets_in_redis
from workers.feed import Outbox, Sent, play
from workers.feed_csv import Row, to_send
from workers.feed_file import send_file
from workers.feed_run import send_csv_and_count
from workers.local import Servers
from workers.prepare import prepare_topics
from workers.retraction.send import begin
from workers.scenario import Play, Rates, Scenario, iter_batches, load
from workers.settings import REPOSITORY, Settings


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load(REPOSITORY / "systems" / "catalogue")


@pytest.fixture(scope="module")
def scenario(catalogue: Catalogue) -> Scenario:
    return load(catalogue)


@pytest.fixture
def topic(kafka: str) -> str:
    name = f"feed-{uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(name, 3, 1)])[name].result()
    return name


SMALL = Play(density=0.05, days=20, cities=30)


def test_everything_is_on_the_topic_in_the_order_of_sending(kafka: str, topic: str, scenario: Scenario):
    outbox, seen = Outbox(kafka, topic=topic), []
    sent = play(iter_batches(scenario, SMALL), outbox, progress=lambda s: seen.append(s.events))
    outbox.close()
    messages = [m for batch in iter_batches(scenario, SMALL) for m in batch.messages]
    assert (sent.messages, sent.events, seen[-1]) == (len(messages), len(messages), len(messages))
    assert sum(sent.kinds.values()) == sent.events
    assert sum(sent.ends.values()) == len(messages)
    read = list(read_to(kafka, {(topic, p): end for p, end in sent.ends.items()}))
    assert sorted((m.key(), m.value()) for m in read) == sorted(messages)
    for p in range(3):
        mine = [(m.key(), m.value()) for m in read if m.partition() == p]
        here = {key for key, _ in mine}
        assert mine == [m for m in messages if m.key in here]


def test_speed_is_kept_and_a_stop_leaves_exact_counts(kafka: str, topic: str, scenario: Scenario):
    outbox, stop = Outbox(kafka, topic=topic), threading.Event()
    now = [0.0]

    class Clock(threading.Event):
        """Waiting moves the clock: no test sleeps."""

        def wait(self, timeout: float | None = None) -> bool:
            now[0] += timeout or 0
            return stop.is_set()

        def is_set(self) -> bool:
            return stop.is_set()

    def watch(sent: Sent) -> None:
        if sent.days == 10:
            stop.set()

    sent = play(
        iter_batches(scenario, SMALL),
        outbox,
        days_per_second=4,
        progress=watch,
        stop=Clock(),
        clock=lambda: now[0],
    )
    outbox.close()
    assert sent.stopped
    assert sent.days == 10
    assert 2.0 < sent.seconds <= 2.5
    assert sum(sent.ends.values()) == sent.messages == sent.events


def test_a_topic_that_does_not_exist_is_an_error(kafka: str):
    with pytest.raises(StreamError, match="no-such-topic"):
        Outbox(kafka, {"allow.auto.create.topics": False}, topic="no-such-topic").ends()


@pytest.fixture(scope="module")
def alone(catalogue: Catalogue) -> Iterator[Settings]:
    """Servers of its own with one ingest worker: counts by difference need that nobody else sends."""
    with (
        tempfile.TemporaryDirectory(prefix="tidewatch-feed-", ignore_cleanup_errors=True) as folder,
        Servers(Path(folder)) as servers,
    ):
        settings = Settings(kafka=servers.kafka, redis=servers.redis, partitions=2)
        prepare_topics(settings)
        environment = {
            **os.environ,
            "TIDEWATCH_KAFKA": servers.kafka,
            "TIDEWATCH_REDIS": servers.redis,
            "TIDEWATCH_PARTITIONS": "2",
        }
        worker = subprocess.Popen([Path(sys.executable).parent / "tidewatch", "ingest"], env=environment)
        try:
            # The counts begin when the catalogue has been read.
            eventually(lambda: min(offsets_in_redis(servers.redis, [0, 1]).values()) > 0, 60)
            yield settings
        finally:
            worker.terminate()
            worker.wait(20)


@pytest.mark.servers
async def test_lines_of_a_file_are_accounted_for(alone: Settings, catalogue: Catalogue, scenario: Scenario, tmp_path):
    given = replace(SMALL, rates=Rates(bad=0.05, duplicates=0.03), days=60)
    lines, kinds = [], {}
    for batch in iter_batches(scenario, given):
        lines += [m.value for m in batch.messages if m.value and b"\n" not in m.value]
        kinds = batch.kinds + type(batch.kinds)(kinds)
    # An empty line is skipped; arrays count by element; what is no JSON counts once.
    event = next(line for line in lines if b"office" in line)
    array = b"[%s,%s,7]" % tuple(event.replace(b'"source":"', b'"source":"%d-' % i) for i in range(2))
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n".join([*lines, b"", array, b"[]", b'[{"a":1},'] if lines else []))
    redis = make_redis(alone.redis)
    try:
        first = await send_file(path, alone.kafka, redis, catalogue.limits)
        again = await send_file(path, alone.kafka, redis, catalogue.limits)
    finally:
        await redis.aclose()
    assert first.complete
    assert first.alone
    assert first.messages == len(lines) + 3
    assert first.sent == len(lines) + 4
    assert first.sent == first.accepted + first.duplicates + sum(first.rejected.values())
    assert first.duplicates == kinds["duplicate"]
    told = {kind.removeprefix("rejected:"): n for kind, n in kinds.items() if kind.startswith("rejected:")}
    assert {reason: n for reason, n in first.rejected.items() if reason != "malformed"} == {
        reason: n for reason, n in told.items() if reason != "malformed"
    }
    assert [position.line for position in first.positions] == sorted(position.line for position in first.positions)
    assert (again.accepted, again.sent) == (0, first.sent)
    assert again.duplicates + again.rejected["stale-sequence"] >= first.accepted
    assert again.complete
    assert again.alone


@pytest.mark.servers
def test_a_csv_file_is_sent_once_however_often(alone: Settings, tmp_path: Path):
    """Its events lie where those of any other producer with the same key lie; again, behind a transaction's marker."""
    line = "{},{},dti.ecommerce,add,{},2021-04-12T08:00:12+08:00\n"
    head = "source,city,indicator,op,value,at\n"
    cities = ("330100", "330200", "440100", "440300")
    good = [line.format(f"csv-{i % 3}", cities[i % 4], f"{i}.25") for i in range(60)]
    path = tmp_path / "events.csv"
    path.write_text(head + "".join([*good[:30], line.format("csv-0", "999999", "1"), *good[30:]]))
    with pytest.raises(ValueError, match="1 of 61 lines are bad; nothing was sent"):
        send_csv_and_count(alone, path, 60.0, False)
    found = send_csv_and_count(alone, path, 60.0, True)
    assert [(bad["line"], bad["column"]) for bad in found["bad"]] == [(32, "city")]
    assert (found["sent"], found["accepted"], found["numbered"], found["complete"]) == (60, 60, True, True)
    begin(alone).commit_spread([(0, Record(EVENTS, "nobody", b"[]"))])
    again = send_csv_and_count(alone, path, 60.0, True)
    assert (again["sent"], again["accepted"], again["duplicates"], again["rejected"]) == (60, 0, 60, {})
    assert again["alone"]
    outbox = Outbox(alone.kafka, report_all=True)
    sent: dict[bytes, int] = {}
    for city in cities:
        outbox.put_one(city.encode(), b"[]", lambda _, message: sent.update({message.key(): message.partition()}))
    outbox.flush()
    outbox.close()
    rows = [Row(0, "", 0, city, b"") for city in cities]
    assert {line.key: line.partition for line in to_send(iter(rows), 2, {}, 0, lambda: None)} == sent


@pytest.mark.servers
async def test_where_no_worker_gets_on_the_report_is_not_complete(alone: Settings, catalogue: Catalogue, tmp_path):
    path = tmp_path / "one.ndjson"
    path.write_bytes(b"{}")
    redis = make_redis(alone.redis.rstrip("0123456789") + "5")  # another database: no state ever comes there
    try:
        report = await send_file(path, alone.kafka, redis, catalogue.limits, wait_s=0.2)
    finally:
        await redis.aclose()
    assert not report.complete
    assert not report.alone
    assert report.sent == 1


@pytest.mark.servers
def test_a_csv_file_waits_for_the_workers_before_it_is_sent_again(alone: Settings, tmp_path: Path):
    """A first try that lies in the log unread would come again as dead letters, all but the last window of it."""
    path = tmp_path / "events.csv"
    path.write_text("source,city,indicator,op,value,at\nlate,330100,dti.ecommerce,add,1,2021-04-12T08:00:12+08:00\n")
    behind = alone.model_copy(update={"redis": alone.redis.rstrip("0123456789") + "5"})  # no worker writes there
    where = [(EVENTS, p) for p in (0, 1)]
    before = high_watermarks(alone.kafka, where)
    with pytest.raises(ValueError, match=r"which lines were sent before; nothing was sent\. Start them"):
        send_csv_and_count(behind, path, 0.2, False)
    assert high_watermarks(alone.kafka, where) == before
    assert send_csv_and_count(alone, path, 60.0, False)["accepted"] == 1
