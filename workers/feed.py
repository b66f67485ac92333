"""The feed: plays a scenario into `indicator-events`, as fast as Kafka takes it or at a given number of days a second.

The producer is idempotent, so a repeat on the topic is one that the scenario meant, and order within a partition is
the order of sending, on which the sequence windows rest.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from stream.errors import StreamError, UnreachableError
from stream.tail import high_watermarks
from stream.topics import EVENT_BYTES, EVENTS, client_options
from workers.scenario.play import Batch

POLL_EVERY = 1_000  # messages between two looks at what Kafka answered
SLICE_S = 0.02  # at a given speed a day goes out in slices of about so long: a steady stream, not a burst
QUEUE_MESSAGES = 200_000  # librdkafka's buffer; when it is full, sending waits
FLUSH_S = 60.0

log = structlog.get_logger(__name__)


@dataclass
class Sent:
    """What was sent so far. `events` counts elements of arrays; `kinds` as in `Batch.kinds`; `day` is the last played.

    `ends`: next offset per partition after everything was acknowledged (empty before); `stopped`: ended by `stop`.
    """

    messages: int = 0
    events: int = 0
    value_bytes: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    day: date | None = None
    days: int = 0
    seconds: float = 0.0
    ends: dict[int, int] = field(default_factory=dict)
    stopped: bool = False

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "messages": self.messages,
            "events": self.events,
            "bytes": self.value_bytes,
            "kinds": dict(sorted(self.kinds.items())),
            "last_day": self.day.isoformat() if self.day else None,
            "seconds": round(self.seconds, 3),
            "ends": {str(p): offset for p, offset in sorted(self.ends.items())},
            "stopped": self.stopped,
        }


class Outbox:
    """An idempotent producer with back-pressure: `put` waits while the buffer is full."""

    def __init__(
        self,
        address: str,
        options: Mapping[str, object] | None = None,
        *,
        topic: str = EVENTS,
        report_all: bool = False,
    ) -> None:
        """Connects on first use. `options`: librdkafka's, over ours.

        `report_all`: callbacks of `put_one` hear of successes too; without it only failures are told, which costs less.
        """
        self.topic = topic
        self._address, self._options = address, options
        self._said = False
        self._error: KafkaError | None = None
        self._failed = 0
        self._producer = Producer(
            {
                **client_options(address),
                "enable.idempotence": True,
                "linger.ms": 5,
                "compression.type": "lz4",
                "message.max.bytes": EVENT_BYTES,
                "queue.buffering.max.messages": QUEUE_MESSAGES,
                "delivery.timeout.ms": 120_000,
                "delivery.report.only.error": not report_all,
                "log_level": 2,  # librdkafka would repeat every attempt; `_trouble` says it once
                "error_cb": self._trouble,
                **(options or {}),
            }
        )

    def put(self, messages: Iterable[tuple[bytes | None, bytes]]) -> None:
        """Queue (key, value) pairs in order. Errors: UnreachableError (120 s without Kafka), StreamError."""
        put_one = self.put_one
        for i, (key, value) in enumerate(messages):
            if i % POLL_EVERY == 0:
                self.check()
            put_one(key, value)

    def put_one(
        self,
        key: bytes | None,
        value: bytes,
        delivered: Callable[[KafkaError | None, Any], None] | None = None,
        partition: int = -1,
    ) -> None:
        """Queue one message; waits while the buffer is full. `partition` -1: by the key. Errors: as `put`."""
        while True:
            try:
                self._producer.produce(self.topic, value, key, partition, on_delivery=delivered or self._delivered)
                return
            except BufferError:
                self._producer.poll(0.05)
                self.check()
            except KafkaException as error:
                raise StreamError(f"{self.topic}: {error.args[0].str()}") from None

    def _delivered(self, error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            self.fail(error)

    def fail(self, error: KafkaError) -> None:
        """Note a message that was not written: the next `check` raises."""
        self._failed += 1
        self._error = self._error or error

    def _trouble(self, error: KafkaError) -> None:
        if error.fatal():
            self.fail(error)
        elif not self._said:
            self._said = True
            log.warning("waiting", server="Kafka", reason=error.str(), action="sending goes on when it answers")

    def close(self) -> None:
        """Drop the connection; what was not acknowledged by then (see `flush`) is lost."""
        del self._producer

    def check(self) -> None:
        """Look at what was answered. Errors: as `put`."""
        self._producer.poll(0)
        if self._error is not None:
            text = f"{self.topic}: {self._failed} messages not written: {self._error.str()}"
            passing = self._error.retriable() or self._error.code() in (
                KafkaError._MSG_TIMED_OUT,
                KafkaError._TRANSPORT,
            )
            raise UnreachableError(text) if passing else StreamError(text)

    def flush(self, timeout_s: float = FLUSH_S, clock: Callable[[], float] = time.monotonic) -> None:
        """Wait until everything is acknowledged. Errors: as `put`, and UnreachableError after `timeout_s`."""
        deadline = clock() + timeout_s
        while left := self._producer.flush(0.5):
            self.check()
            if clock() > deadline:
                raise UnreachableError(f"{self.topic}: {left} messages not acknowledged within {timeout_s:.0f} s")
        self.check()

    def ends(self) -> dict[int, int]:
        """Next offset of each partition of the topic. Errors: UnreachableError."""
        try:
            found = self._producer.list_topics(self.topic, timeout=10).topics[self.topic]
        except KafkaException as error:
            raise UnreachableError(f"{self.topic}: {error.args[0].str()}") from None
        if found.error is not None:
            raise StreamError(f"{self.topic}: {found.error.str()}")
        where = [(self.topic, p) for p in found.partitions]
        return {p: end for (_, p), end in high_watermarks(self._address, where, self._options).items()}


def play(
    batches: Iterable[Batch],
    outbox: Outbox,
    *,
    days_per_second: float = 0.0,
    progress: Callable[[Sent], None] | None = None,
    stop: threading.Event | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Sent:
    """Send `batches` (see `iter_batches`) and wait for every acknowledgement.

    `days_per_second`: 0 is as fast as it goes. `progress` is called after each batch with the same growing `Sent`.
    `stop` ends the play after the batch that is under way, whose rest is then sent at once: counts are always exact.
    Errors: UnreachableError, StreamError.
    """
    sent, stop, began = Sent(), stop or threading.Event(), clock()
    for batch in batches:
        if stop.is_set():
            sent.stopped = True
            break
        # A second play behind the first begins with an earlier day: the clock goes on at the same pace.
        span = max(0, (batch.day - sent.day).days) if sent.day else 1
        count = len(batch.messages)
        slices = max(1, min(count, round(span / days_per_second / SLICE_S))) if days_per_second else 1
        for i in range(slices):
            if days_per_second:
                stop.wait(max(0.0, began + (sent.days + span * i / slices) / days_per_second - clock()))
            outbox.put(batch.messages[count * i // slices : count * (i + 1) // slices])
        sent.messages += count
        sent.events += batch.events
        sent.value_bytes += sum(len(message.value) for message in batch.messages)
        sent.kinds.update(batch.kinds)
        sent.day, sent.days, sent.seconds = batch.day, sent.days + span, clock() - began
        if progress:
            progress(sent)
    outbox.flush()
    sent.ends = outbox.ends()
    sent.seconds = clock() - began
    return sent
