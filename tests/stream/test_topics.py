"""Topics as they are created, on a real broker."""

from __future__ import annotations

import gc
import time
import weakref
from concurrent.futures import Future
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from stream.tail import high_watermarks, read_to
from stream.topics import EVENTS, REVISIONS, UPDATES, Broker, Topic, all_topics, ensure_topics
from tests.waiting import eventually

HOUR_MS = 3_600_000


def test_what_a_worker_writes_whose_clock_is_hours_off_is_taken(kafka: str) -> None:
    """A broker refuses records of a producer whose clock is more than an hour ahead, unless it stamps them itself."""
    topics = {f"{topic.name}-{uuid4()}": topic.settings for topic in all_topics(1) if topic.name != EVENTS}
    admin = AdminClient({"bootstrap.servers": kafka})
    made = admin.create_topics([NewTopic(name, 1, 1, config=settings) for name, settings in topics.items()])
    for each in made.values():
        each.result()
    told: list[tuple[KafkaError | None, Any]] = []
    producer = Producer({"bootstrap.servers": kafka})
    now_ms = int(time.time() * 1000)
    for topic, hours in product(topics, (-30, 26)):
        producer.produce(
            topic,
            b"{}",
            b"key",
            timestamp=now_ms + hours * HOUR_MS,
            on_delivery=lambda error, message: told.append((error, message)),
        )
    assert producer.flush(30) == 0
    assert len(told) == 2 * len(topics)
    for error, message in told:
        assert error is None, f"{message.topic()}: {error}"
        kind, stamp_ms = message.timestamp()
        assert kind == TIMESTAMP_LOG_APPEND_TIME
        assert abs(stamp_ms - now_ms) < HOUR_MS


def test_a_request_that_is_lost_is_made_again(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by the chaos trial (set-up b, seed 108, at the start): the client exchanged its handle of a broker just
    then, and the command ended. That cannot be had at will, so the first request's answers are made up.
    """
    name = f"lost-{uuid4()}"
    monkeypatch.setattr("stream.topics.all_topics", lambda partitions: [Topic(name, partitions)])
    asked = 0
    create = AdminClient.create_topics

    def lost_once(admin: AdminClient, topics: list[NewTopic], **how: Any) -> dict[str, Future[None]]:
        nonlocal asked
        asked += 1
        if asked > 1:
            return create(admin, topics, **how)
        lost: Future[None] = Future()
        lost.set_exception(KafkaException(KafkaError(KafkaError._DESTROY_BROKER)))
        return {name: lost}

    monkeypatch.setattr(AdminClient, "create_topics", lost_once)
    assert ensure_topics(kafka, 1) == [name]
    assert asked == 2


def test_compaction_takes_nothing_of_a_revision_that_may_not_be_evaluated_yet(kafka: str) -> None:
    """Found by the chaos trial (set-up a, seed 106, round 11): a segment of `index-updates` was full and was cleaned
    while the alert worker was asleep for 11 s, and it missed 75 alerts.

    Kafka's cleaner is let loose on all compacted topics: once it has been on the others, nothing is gone of these.
    """
    fast = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.0"}
    topics = {
        topic.name: NewTopic(f"{topic.name}-{uuid4()}", 1, 1, config=topic.settings | fast)
        for topic in all_topics(1)
        if topic.settings.get("cleanup.policy") == "compact"
    }
    admin = AdminClient({"bootstrap.servers": kafka})
    for each in admin.create_topics(list(topics.values())).values():
        each.result()
    _set_cleaner(admin, "200")
    producer = Producer({"bootstrap.servers": kafka})

    def held() -> dict[str, list[bytes]]:
        for topic in topics.values():
            producer.produce(topic.topic, b"", b"probe")  # later ones roll the segment
        assert producer.flush(30) == 0
        ends = high_watermarks(kafka, [(topic.topic, 0) for topic in topics.values()])
        found: dict[str, list[bytes]] = {name: [] for name in topics}
        for message in read_to(kafka, ends):
            if message.key() == b"key":
                found[(message.topic() or "").rsplit("-", 5)[0]].append(message.value() or b"")
        return found

    try:
        for value in (b"first", b"second", b"third"):
            for topic in topics.values():
                producer.produce(topic.topic, value, b"key")
        assert producer.flush(30) == 0
        others = topics.keys() - {UPDATES, REVISIONS}
        assert len(others) >= 4
        after = eventually(lambda: (now := held()) and all(now[name] == [b"third"] for name in others) and now, 90)
    finally:
        _set_cleaner(admin, None)
    for name in (UPDATES, REVISIONS):
        assert after[name] == [b"first", b"second", b"third"], name


def _set_cleaner(admin: AdminClient, every_ms: str | None) -> None:
    """How often the brokers look for something to compact; None: as they did."""
    how = AlterConfigOpType.DELETE if every_ms is None else AlterConfigOpType.SET
    entry = ConfigEntry("log.cleaner.backoff.ms", every_ms or "", incremental_operation=how)
    for broker in admin.list_topics(timeout=30).brokers:
        resource = ConfigResource(ResourceType.BROKER, str(broker), incremental_configs=[entry])
        for future in admin.incremental_alter_configs([resource]).values():
            future.result()


def test_an_admin_client_goes_with_its_last_user() -> None:
    """Found by the chaos trial (set-up a, seed 105, each kind alone): a worker's cycle collector seldom runs."""
    gc.disable()
    try:
        broker = Broker("127.0.0.1:9", {})
        gone = weakref.ref(broker)
        del broker
        assert gone() is None
    finally:
        gc.enable()
