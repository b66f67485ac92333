"""Where the log ends, as Kafka says now: what lag is measured against, and whether Kafka answers at all.

Asked apart from reading: a consumer whose fetches hang still believes the end that it was told last.
"""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from stream.errors import UnreachableError
from stream.tail import reader_options
from stream.topics import ANSWER_S, EVENTS, client_options

HOLLOW_S = 5.0


class Ends:
    """Asks for the ends of `topic`'s partitions. Calls block."""

    def __init__(self, address: str, options: Mapping[str, object] | None = None, topic: str = EVENTS) -> None:
        self._address, self._options, self._topic = address, options, topic
        self._admin: AdminClient | None = None
        self._hollow: dict[int, tuple[int, int]] = {}  # partition -> (from, end) between which there is no message

    def ask(self, partitions: list[int], timeout_s: float = ANSWER_S, *, first: bool = False) -> dict[int, int]:
        """The offset behind the last committed message of each partition; with `first`: the lowest that the log holds.

        Errors: UnreachableError.
        """
        if not partitions:
            return {}
        known = self._admin is not None
        try:
            return self._asked(partitions, timeout_s, first)
        except UnreachableError:
            # The client keeps what it once knew of leaders, and is refused for ever after one has changed.
            self._admin = None
            if not known:
                raise
        try:
            return self._asked(partitions, timeout_s, first)
        except UnreachableError:
            self._admin = None
            raise

    def _asked(self, partitions: list[int], timeout_s: float, first: bool) -> dict[int, int]:
        if self._admin is None:
            self._admin = AdminClient(client_options(self._address, self._options))
        spec = OffsetSpec.earliest() if first else OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = {TopicPartition(self._topic, p): spec for p in partitions}
        try:
            asked = self._admin.list_offsets(
                wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=timeout_s
            )
            ends = {where.partition: future.result(timeout_s + 1.0).offset for where, future in asked.items()}
        except KafkaException as error:
            raise UnreachableError(f"Kafka at {self._address} does not answer: {error.args[0].str()}") from None
        except TimeoutError:
            raise UnreachableError(f"Kafka at {self._address} does not answer within {timeout_s:.0f} s") from None
        if min(ends.values()) < 0:  # what librdkafka gives where the time is over
            raise UnreachableError(f"Kafka at {self._address} does not answer within {timeout_s:.0f} s")
        return ends

    def without_markers(self, position: Mapping[int, int], ends: Mapping[int, int]) -> dict[int, int]:
        """`ends`, but the position itself where nothing but markers of transactions lies between it and the end.

        Such markers have offsets and are never read: a log that ends with one has no reader at its end. To be asked of
        partitions that stand still before their end; costs a consumer, once for each such end. Errors:
        UnreachableError.
        """
        out = dict(ends)
        for partition, end in ends.items():
            begin = position.get(partition, 0)
            if begin >= end:
                continue
            if self._hollow.get(partition) != (begin, end) and not self._empty(partition, begin):
                continue
            self._hollow[partition] = begin, end
            out[partition] = begin
        return out

    def _empty(self, partition: int, begin: int) -> bool:
        """Whether a reader that starts at `begin` meets the end of the partition before any message."""
        consumer = Consumer(reader_options(self._address, self._options, committed=True))
        try:
            consumer.assign([TopicPartition(self._topic, partition, begin)])
            message = consumer.poll(HOLLOW_S)
            error = message.error() if message is not None else None
            return error is not None and error.code() == KafkaError._PARTITION_EOF
        except KafkaException as error:
            raise UnreachableError(f"Kafka at {self._address}: {error.args[0].str()}") from None
        finally:
            consumer.close()
