"""One partition of `indicator-events` from an offset on, in steps that end at offsets which the caller names.

For replaying a log beside the workers: no group, nothing committed, and never a message beyond the end asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream.batches import READ_BYTES, READ_MESSAGES, Batch, batch_of, fetch_options
from stream.errors import RetentionError, UnreachableError
from stream.tail import reader_options
from stream.topics import ANSWER_S, EVENTS


class PartitionLog:
    """Blocking. Use: `with PartitionLog(...) as log: for batch in log.read_to(end): ...`, with ends that rise."""

    def __init__(
        self,
        address: str,
        partition: int,
        start: int = 0,
        options: Mapping[str, object] | None = None,
        *,
        timeout_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Errors: RetentionError where the log begins behind `start`; UnreachableError."""
        self._address, self._partition, self._timeout_s, self._clock = address, partition, timeout_s, clock
        more = {"auto.offset.reset": "error"}
        self._consumer = Consumer({**fetch_options(), **reader_options(address, options, committed=True), **more})
        self._held: list[Message] = []  # fetched, and at or behind the end of the last step
        self._position = start  # everything below was read, or is none of ours (markers)
        self.first, end = self._bounds()
        if self.first > start:
            self._consumer.close()
            raise RetentionError(EVENTS, partition, start, self.first, end)
        self._consumer.assign([TopicPartition(EVENTS, partition, start)])

    def __enter__(self) -> PartitionLog:
        return self

    def __exit__(self, *_error: object) -> None:
        self._consumer.close()

    def end(self) -> int:
        """Where the log ends now, by its last committed record. Errors: UnreachableError."""
        return self._bounds()[1]

    def _bounds(self) -> tuple[int, int]:
        try:
            found: tuple[int, int] = self._consumer.get_watermark_offsets(
                TopicPartition(EVENTS, self._partition), timeout=ANSWER_S
            )
        except KafkaException as error:
            raise UnreachableError(
                f"Kafka at {self._address}: no offsets of {EVENTS}/{self._partition}: {error.args[0].str()}"
            ) from None
        return found

    def read_to(self, end: int) -> Iterator[Batch]:
        """What is committed below `end` and was not read yet, in log order.

        Errors: UnreachableError where nothing comes for the time-out (`end` lies beyond the log, say); RetentionError.
        """
        deadline = self._clock() + self._timeout_s
        while self._position < end:
            messages = self._messages()
            below = [m for m in messages if (m.offset() or 0) < end]
            self._held = messages[len(below) :]
            if below:
                self._position = (below[-1].offset() or 0) + 1
                deadline = self._clock() + self._timeout_s
                yield batch_of(below)
            if self._held:
                self._position = max(self._position, end)  # between lies nothing but markers of transactions
            elif self._clock() > deadline:
                raise UnreachableError(
                    f"Kafka at {self._address}: {EVENTS}/{self._partition} not read to offset {end} within "
                    f"{self._timeout_s:.0f} s"
                )

    def _messages(self) -> list[Message]:
        """Some that follow; an end of the partition moves the position over markers."""
        if self._held:
            return self._held
        first = self._consumer.poll(0.2)
        if first is None:
            return []
        n = max(1, min(READ_MESSAGES, READ_BYTES // max(1, len(first))))
        found = [first, *(self._consumer.consume(n - 1, timeout=0.003) if n > 1 else [])]
        messages = []
        for message in found:
            error = message.error()
            if error is None:
                messages.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                if not messages:
                    self._position = max(self._position, message.offset() or 0)
            elif error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
                raise RetentionError(EVENTS, self._partition, self._position, *self._bounds())
            elif error.fatal():
                raise UnreachableError(f"Kafka at {self._address}: {error.str()}")
        return messages
