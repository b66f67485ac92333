"""Reads one partition's committed outputs from given offsets on, and people's silences; in a thread of its own.

Blocking calls, one at a time. `turn` waits a moment for what comes and hands out the revisions that are whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from stream.alerts import SILENCE, Held
from stream.errors import UnreachableError
from stream.tail import high_watermarks, reader_options
from stream.topics import ALERTS, ANSWER_S
from workers.alert_whole import TOPICS, Assembler, Whole
from workers.settings import Settings

READ = 5_000
WAIT_S = 0.1


class Drained:
    """Whether nothing more can come of the revisions that are known: their topics are read past all that was written
    when they were.

    `ask` gives the ends of the topics now, by topic; it is asked anew after whatever was read, since that may have made
    a later revision known.
    """

    def __init__(self, ask: Callable[[], dict[str, int]]) -> None:
        self._ask = ask
        self._ends: dict[str, int] = {}
        self.at_end: dict[str, int] = {}  # topic -> the end that was met last, while nothing was read behind it

    def read(self, topic: str) -> None:
        """A message of `topic` was read."""
        self.at_end.pop(topic, None)
        self._ends = {}

    def met_end(self, topic: str, offset: int) -> None:
        """The end of `topic` was met at `offset`."""
        self.at_end[topic] = offset

    def __call__(self) -> bool:
        """Errors: those of `ask`."""
        self._ends = self._ends or self._ask()
        return all(self.at_end.get(topic, -1) >= end for topic, end in self._ends.items())


class OutputReader:
    """`done`: system -> last revision evaluated; `offsets`: where to begin, absent: at the start of the topic."""

    def __init__(self, settings: Settings, partition: int, held: Held, done: Mapping[str, int]) -> None:
        self._settings, self._partition, self._held = settings, partition, held
        self._consumer = Consumer(reader_options(settings.kafka, settings.kafka_options, committed=True))
        offsets = dict(held.offsets or {})
        starts = []
        try:
            for topic in TOPICS:
                low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ANSWER_S)
                # Past the end: the topic was made anew; below the start: retention removed deltas. Both begin anew.
                if not low <= offsets.get(topic, -1) <= high:
                    offsets[topic] = low
                starts.append(TopicPartition(topic, partition, offsets[topic]))
            starts.append(TopicPartition(ALERTS, partition, held.end or OFFSET_BEGINNING))
            self._consumer.assign(starts)
        except KafkaException as error:
            self._consumer.close()
            raise UnreachableError(f"Kafka at {settings.kafka}: {error.args[0].str()}") from None
        self.begins = offsets
        self._assembler = Assembler(done, offsets)
        self._drained = Drained(self._ends)

    def close(self) -> None:
        """End."""
        self._consumer.close()

    def turn(self) -> list[Whole]:
        """What is whole now; waits WAIT_S at most. Errors: UnreachableError, MessageError."""
        first = self._consumer.poll(WAIT_S)
        messages = [] if first is None else [first, *self._consumer.consume(READ, timeout=0)]
        for message in messages:
            topic, offset, error = message.topic() or "", message.offset() or 0, message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    self._drained.met_end(topic, offset)
                    if topic in TOPICS:
                        self._assembler.passed(topic, offset)
                elif error.fatal():
                    raise UnreachableError(f"Kafka at {self._settings.kafka}: {error.str()}")
                continue
            self._drained.read(topic)
            raw, value = message.key(), message.value()
            if not isinstance(raw, bytes):
                continue
            key, body = raw.decode(errors="replace"), value if isinstance(value, bytes) else None
            if topic != ALERTS:
                self._assembler.take(topic, offset, key, body, message.timestamp()[1])
            elif key.startswith(f"{SILENCE}/"):
                self._held.take(key, body, message.timestamp()[1])
        whole = self._assembler.whole()
        if not whole and not messages and self._assembler.waiting:
            whole = self._assembler.whole(drained=self._drained())
        return whole

    @property
    def at_end(self) -> bool:
        """Whether all revisions that are committed have been read."""
        return TOPICS[-1] in self._drained.at_end and not self._assembler.waiting

    def offsets(self) -> dict[str, int]:
        """Where reading must begin again after what was handed out."""
        return self._assembler.offsets()

    def _ends(self) -> dict[str, int]:
        """Where updates and deltas end now. Errors: UnreachableError."""
        where = [(topic, self._partition) for topic in TOPICS[:2]]
        ends = high_watermarks(self._settings.kafka, where, self._settings.kafka_options)
        return {topic: end for (topic, _), end in ends.items()}
