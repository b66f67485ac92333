"""Dead letters: rejected elements with bytes, reason and position, acknowledged before the flush that passes them.

The key is the position (topic/partition/offset/index): after a crash one may be written again, never two different
ones, and compaction removes the repeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from stream.errors import StreamError, UnreachableError
from stream.topics import DLQ, EVENTS, LETTER_BYTES, client_options


class Letter(NamedTuple):
    """One rejected element; `timestamp_ms` is that of its record, `raw` its original bytes."""

    partition: int
    offset: int
    element: int
    reason: str
    detail: str
    timestamp_ms: int
    raw: bytes

    @property
    def key(self) -> str:
        """Position and key: `topic/partition/offset/index`."""
        return f"{EVENTS}/{self.partition}/{self.offset}/{self.element}"


def letter_of(message: Message) -> Letter | None:
    """The letter in a message of the dead-letter topic; None where it is not one of ours."""
    raw, held = message.value() or b"", message.headers() or []
    headers = {
        name: value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""
        for name, value in (held.items() if isinstance(held, dict) else held)
    }
    try:
        return Letter(
            int(headers["partition"]),
            int(headers["offset"]),
            int(headers["index"]),
            headers["reason"],
            headers.get("detail", ""),
            int(headers["timestamp"]),
            raw if isinstance(raw, bytes) else raw.encode(),
        )
    except (KeyError, ValueError):
        return None


class LetterBox:
    """Sends letters. `await post(letters)` returns when Kafka has acknowledged every one."""

    def __init__(self, address: str, options: Mapping[str, object] | None = None) -> None:
        self._partitions = 0  # of the topic, which need not be as many as the log's; asked with the first letter
        self._producer = Producer(
            {
                **client_options(address, options),
                "enable.idempotence": True,
                "linger.ms": 0,
                "message.max.bytes": LETTER_BYTES,
                "delivery.timeout.ms": 30_000,
            }
        )

    async def post(self, letters: list[Letter]) -> None:
        """Write `letters` and wait for all acknowledgements.

        Errors: UnreachableError (some may be written: post all again), StreamError (refused for good).
        """
        if letters:
            await asyncio.get_running_loop().run_in_executor(None, self._post, letters)

    def _post(self, letters: list[Letter]) -> None:
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, _message: object) -> None:
            if error is not None:
                failures.append(error)

        producer = self._producer
        try:
            self._partitions = self._partitions or len(producer.list_topics(DLQ, timeout=10).topics[DLQ].partitions)
        except KafkaException as failure:
            raise UnreachableError(f"{DLQ}: {failure}") from None
        if not self._partitions:
            raise UnreachableError(f"{DLQ}: the topic is not there yet")
        for letter in letters:
            headers: list[tuple[str, str | bytes | None]] = [
                ("reason", letter.reason),
                ("detail", letter.detail.encode("utf-8", "replace")),
                ("topic", EVENTS),
                ("partition", str(letter.partition)),
                ("offset", str(letter.offset)),
                ("index", str(letter.element)),
                ("timestamp", str(letter.timestamp_ms)),
            ]
            while True:
                try:
                    producer.produce(
                        DLQ, letter.raw, letter.key, letter.partition % self._partitions,
                        on_delivery=delivered, headers=headers,
                    )  # fmt: skip
                    break
                except BufferError:
                    producer.poll(0.1)
                except KafkaException as failure:
                    raise UnreachableError(f"{DLQ}: {failure}") from None
        left = producer.flush(35)
        if left:
            raise UnreachableError(f"{DLQ}: {left} letters not acknowledged in time")
        if failures:
            error = failures[0]
            if error.retriable() or error.code() in (KafkaError._MSG_TIMED_OUT, KafkaError._TRANSPORT):
                raise UnreachableError(f"{DLQ}: {len(failures)} letters not written: {error.str()}")
            raise StreamError(f"{DLQ}: a letter is refused: {error.str()}")
