"""A turn: look what stands on a topic, then write, with nobody else writing in between.

    turn = Turn(address, "control/dti-2023")     # whoever had this turn can commit no more
    ...read, up to the high watermark taken now...
    turn.commit([Record(...), ...])              # all of them, or OvertakenError: another came after us

The transactional id is fixed per name. Taking it fences every earlier holder, and what that had under way is either
committed by then, and so read, or aborted; so of two that overlap the later one decides, and the earlier one is told.
Only writers that take the turn are kept apart.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from confluent_kafka import KafkaException, Producer

from stream.errors import OvertakenError, StreamError, UnreachableError
from stream.publisher import CALL_TIMEOUT_S, TRANSACTION_TIMEOUT_MS, Record, refusal
from stream.topics import EDITION_BYTES, client_options


class Turn:
    """The right to write under `name`, until the next one takes it. Calls block."""

    def __init__(
        self,
        address: str,
        name: str,
        options: Mapping[str, object] | None = None,
        *,
        timeout_ms: int = TRANSACTION_TIMEOUT_MS,
    ) -> None:
        """Take the turn; `timeout_ms`: of its transaction. Errors: UnreachableError, OvertakenError (another took it
        meanwhile), StreamError.
        """
        self.name = name
        try:
            self._producer = Producer(
                {
                    **client_options(address, options),
                    "transactional.id": f"tidewatch/{name}",
                    "transaction.timeout.ms": timeout_ms,
                    "linger.ms": 0,
                    "message.max.bytes": EDITION_BYTES,
                }
            )
            self._producer.init_transactions(CALL_TIMEOUT_S)
        except KafkaException as failure:
            raise refusal(failure, name, self._overtaken()) from None

    def commit(self, records: Iterable[Record], partition: int) -> None:
        """Write `records` to `partition` of their topics, all or none; the turn is over. Errors: as `commit_spread`."""
        self.commit_spread((partition, record) for record in records)

    def commit_spread(self, records: Iterable[tuple[int, Record]], timeout_s: float = CALL_TIMEOUT_S) -> None:
        """Write (partition, record) pairs, all or none; the turn is over.

        Errors: OvertakenError, UnreachableError (outcome unknown: look), StreamError (nothing is written).
        """
        try:
            self._producer.begin_transaction()
            for partition, (topic, key, value) in records:
                self._produce(topic, value, key, partition, timeout_s)
            self._producer.commit_transaction(timeout_s)
        except KafkaException as failure:
            self._abort()
            raise refusal(failure, self.name, self._overtaken()) from None
        except BufferError:
            raise UnreachableError(f"{self.name}: the send queue is full, Kafka does not take it") from None

    def _produce(self, topic: str, value: bytes | None, key: str, partition: int, timeout_s: float) -> None:
        """Queue one record. BufferError where the queue does not move for `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self._producer.produce(topic, value, key, partition)
                return
            except BufferError:
                if time.monotonic() > deadline:
                    raise
                self._producer.poll(0.05)

    def _abort(self) -> None:
        """So that readers need not wait until the broker does it; a later turn does it as well."""
        try:
            self._producer.abort_transaction(CALL_TIMEOUT_S)
        except KafkaException:
            pass

    def _overtaken(self) -> StreamError:
        return OvertakenError(
            f"{self.name}: somebody else wrote at the same time, and came later; nothing of ours is written. "
            "Look what stands there now, and decide anew"
        )
