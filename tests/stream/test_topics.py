"""Topics as they are created, on a real broker."""

from __future__ import annotations

import gc
import time
import weakref
from itertools import product
from typing import Any
from uuid import uuid4

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from stream.topics import EVENTS, Broker, all_topics

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
