"""What a terminal or a dashboard knows of one system: kept current from the committed topics, in a thread of its own.

A consumer like any other's: whole tables from `rankings`, growth from `index-updates`, position from `revisions`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from stream.messages import IndexUpdate, RankingTable, Revision, decode_message
from stream.tail import reader_options
from stream.topics import EVENTS, RANKINGS, REVISIONS, UPDATES, partition_of

READ = 2_000
LAG_EVERY_S = 1.0
RATE_OVER_S = 5.0


class Follower:
    """Follows `system`; read its attributes under `lock`. `start()`, then `stop()`."""

    def __init__(
        self,
        kafka: str,
        system: str,
        ranking: str,
        options: Mapping[str, object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.system, self.ranking = system, ranking
        self.lock = threading.Lock()
        self.tables: dict[str, RankingTable] = {}  # period -> unscoped table of the ranking
        self.growth: dict[tuple[str, str], IndexUpdate] = {}  # (entity, period)
        self.revision: Revision | None = None
        self.behind = 0  # messages in the log that no revision includes yet
        self.problem: str | None = None
        self._kafka, self._options, self._clock = kafka, options, clock
        self._recent: deque[tuple[float, int]] = deque()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """End; returns when the thread has ended."""
        self._end.set()
        self._thread.join(timeout=10)

    def rate(self) -> float:
        """Events a second that were published of late."""
        with self.lock:
            recent = list(self._recent)
        if len(recent) < 2:
            return 0.0
        (began, first), (ended, last) = recent[0], recent[-1]
        return (last - first) / max(ended - began, 1e-3)

    def _run(self) -> None:
        partition = partition_of(self.system)
        consumer = Consumer(reader_options(self._kafka, self._options, committed=True))
        try:
            consumer.assign([TopicPartition(t, partition, OFFSET_BEGINNING) for t in (UPDATES, RANKINGS, REVISIONS)])
            looked = 0.0
            while not self._end.is_set():
                for message in consumer.consume(READ, timeout=0.2):
                    if message.error() is None and isinstance(message.key(), bytes):
                        self._take(message.topic() or "", (message.key() or b"").decode(), message.value())
                if self._clock() - looked >= LAG_EVERY_S:
                    looked = self._clock()
                    self._look_at_lag(consumer)
        except Exception as error:  # shown to the person who watches; the thread has nobody else to tell
            self.problem = str(error)
        finally:
            consumer.close()

    def _take(self, topic: str, key: str, value: Any) -> None:
        if value is None or not key.startswith(f"{self.system}/"):
            return
        with self.lock:
            if topic == REVISIONS:
                revision = decode_message(Revision, value, key)
                if self.revision is None or revision.revision > self.revision.revision:
                    self.revision = revision
                    done = revision.counts.accepted + revision.counts.duplicate + sum(revision.counts.rejected.values())
                    now = self._clock()
                    self._recent.append((now, done))
                    while self._recent and now - self._recent[0][0] > RATE_OVER_S:
                        self._recent.popleft()
            elif topic == UPDATES:
                update = decode_message(IndexUpdate, value, key)
                self.growth[update.entity, update.period] = update
            elif key.startswith(f"{self.system}/{self.ranking}/") and key.count("/") == 2:
                table = decode_message(RankingTable, value, key)
                self.tables[table.period] = table

    def _look_at_lag(self, consumer: Consumer) -> None:
        revision = self.revision
        if revision is None:
            return
        try:
            ends = [
                consumer.get_watermark_offsets(TopicPartition(EVENTS, int(p)), timeout=2)[1] for p in revision.offsets
            ]
        except KafkaException:
            return
        with self.lock:
            self.behind = max(0, sum(ends) - sum(revision.offsets.values()))
