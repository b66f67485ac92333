"""Events from a file: one message per line, its bytes untouched, and then what became of them.

Rejects are found in the dead-letter topic by position, so they are exact whatever else flows. Duplicates leave no trace
by position: they are the growth of the partitions' counters, which is only ours when nobody else sent meanwhile; the
report says whether that was so.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from confluent_kafka import Consumer, KafkaError, TopicPartition
from redis.asyncio import Redis

from index.catalogue import Limits
from state.keys import COUNTS, META, key
from stream.ends import Ends
from stream.errors import UnreachableError
from stream.events import decode
from stream.letters import letter_of
from stream.tail import high_watermarks, reader_options
from stream.topics import DLQ, EVENTS
from workers.feed import Outbox

CITY = re.compile(rb'"city"\s*:\s*"([A-Za-z0-9._:-]{1,64})"')
CITY_WITHIN = 2_048  # bytes of a line in which its key is looked for
POLL_S = 0.05
CHECK_EVERY = 1_000  # lines between two looks at what Kafka answered
_BLANK = b" \t\r\n"


@dataclass
class Position:
    """Where a line went: (partition, offset) and how many events it holds (an array: its elements)."""

    line: int
    partition: int
    offset: int
    events: int


@dataclass
class FileReport:
    """`sent` = `accepted` + `duplicates` + all of `rejected`, once `complete`.

    `complete`: every partition passed our last message in time. `alone`: nobody else's events flowed meanwhile; if not,
    `duplicates` (and so `accepted`) may hold some of theirs.
    """

    messages: int = 0
    sent: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    positions: list[Position] = field(default_factory=list)
    complete: bool = False
    alone: bool = True
    seconds: float = 0.0

    def as_json(self) -> dict[str, object]:
        """For `--json` (without the positions)."""
        return {
            "messages": self.messages,
            "sent": self.sent,
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "rejected": dict(sorted(self.rejected.items())),
            "complete": self.complete,
            "alone": self.alone,
            "seconds": round(self.seconds, 3),
        }


class Line(NamedTuple):
    """A message to send, from line `number` of a file; `partition` -1: by the key. `read`: bytes of the file so far."""

    number: int
    key: bytes | None
    value: bytes
    read: int = 0
    partition: int = -1


async def send_file(
    path: Path | None,
    address: str,
    redis: Redis,
    limits: Limits,
    options: Mapping[str, object] | None = None,
    *,
    wait_s: float = 60.0,
    progress: Callable[[int, int, int], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> FileReport:
    """Send the lines of `path` (None: standard input), wait until the workers have passed them, and count.

    Empty lines are skipped. A line's key is the first `city` in it, if there is one near its start. `progress` gets
    (lines sent, bytes read, bytes in all or 0 where unknown). Waits at most `wait_s` without the workers getting on.
    Errors: OSError (the file), UnreachableError, StreamError, redis-py's errors.
    """
    total = path.stat().st_size if path else 0
    show = None if progress is None else lambda lines, read: progress(lines, read, total)
    return await send_lines(_lines(path), address, redis, limits, options, wait_s=wait_s, progress=show, clock=clock)


async def send_lines(
    lines: Iterable[Line],
    address: str,
    redis: Redis,
    limits: Limits,
    options: Mapping[str, object] | None = None,
    *,
    wait_s: float = 60.0,
    progress: Callable[[int, int], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> FileReport:
    """Send `lines`, as `send_file`; `progress` gets (lines sent, bytes read). Errors: theirs, and as `send_file`."""
    began = clock()
    report = FileReport()
    outbox = Outbox(address, options, report_all=True)
    partitions = sorted(outbox.ends())
    events_before, letters_before = (_ends(address, topic, partitions, options) for topic in (EVENTS, DLQ))
    report.alone = await passed_ends(redis, address, events_before, options, wait_s=min(wait_s, 5.0), clock=clock)
    counts_before = await _counts(redis, partitions)
    _send(lines, outbox, limits, report, progress)
    outbox.close()
    report.positions.sort(key=lambda position: position.line)
    report.messages = len(report.positions)
    report.sent = sum(position.events for position in report.positions)
    mine = {p: max((x.offset + 1 for x in report.positions if x.partition == p), default=0) for p in partitions}
    report.complete = await _passed(redis, mine, wait_s, clock)
    counts = await _counts(redis, partitions) - counts_before
    events_after, letters_after = (_ends(address, topic, partitions, options) for topic in (EVENTS, DLQ))
    report.alone &= sum(events_after.values()) - sum(events_before.values()) == report.messages
    where = {(position.partition, position.offset) for position in report.positions}
    report.rejected = _rejected(address, options, letters_before, letters_after, where)
    report.duplicates = counts["duplicate"]
    # What is neither rejected nor repeated is accepted; before all is passed, only the counter can tell.
    refused = sum(report.rejected.values()) + report.duplicates
    report.accepted = report.sent - refused if report.complete else counts["accepted"]
    report.seconds = clock() - began
    return report


async def passed_ends(
    redis: Redis,
    address: str,
    ends: Mapping[int, int],
    options: Mapping[str, object] | None = None,
    *,
    wait_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Whether the workers have passed `ends` of `indicator-events`; gives up after `wait_s` in which none gets on."""
    # Nobody stands behind the marker of a transaction that ends a log.
    stored = {p: int(await redis.hget(key(p, META), "offset") or 0) for p in ends}
    return await _passed(redis, Ends(address, options).without_markers(stored, ends), wait_s, clock)


def _lines(path: Path | None) -> Iterator[Line]:
    read = 0
    with _opened(path) as file:
        for number, line in enumerate(file):
            read += len(line)
            value = line.rstrip(b"\n")
            if value:
                yield Line(number, _key(value), value, read)


def _send(
    lines: Iterable[Line],
    outbox: Outbox,
    limits: Limits,
    report: FileReport,
    progress: Callable[[int, int], None] | None,
) -> None:
    number = read = 0
    for sent, (number, key_, value, read, partition) in enumerate(lines):
        noting = _noting(outbox, report.positions, number, _events(value, limits))
        outbox.put_one(key_, value, noting, partition)
        if sent % CHECK_EVERY == 0:
            outbox.check()
            if progress:
                progress(number + 1, read)
    outbox.flush()
    if progress:
        progress(number + 1, read)


def _noting(
    outbox: Outbox, positions: list[Position], line: int, events: int
) -> Callable[[KafkaError | None, Any], None]:
    def delivered(error: KafkaError | None, message: Any) -> None:
        if error is not None:
            outbox.fail(error)
        else:
            positions.append(Position(line, message.partition(), message.offset(), events))

    return delivered


def _key(value: bytes) -> bytes | None:
    found = CITY.search(value, 0, CITY_WITHIN)
    # `catalogue` is the key of catalogue records, which a feed does not write
    return found[1] if found and found[1] != b"catalogue" else None


def _events(value: bytes, limits: Limits) -> int:
    """How many events the workers will count in a message: accepted, repeated or rejected."""
    if value.lstrip(_BLANK)[:1] != b"[":
        return 1
    columns = decode([value], limits.message_bytes, limits.event_bytes)
    return len(columns) + len(columns.rejects)


@contextmanager
def _opened(path: Path | None) -> Iterator[BinaryIO]:
    if path is None:
        yield sys.stdin.buffer
    else:
        with path.open("rb") as file:
            yield file


def _ends(address: str, topic: str, partitions: list[int], options: Mapping[str, object] | None) -> dict[int, int]:
    found = high_watermarks(address, [(topic, p) for p in partitions], options)
    return {p: end for (_, p), end in found.items()}


async def _passed(redis: Redis, ends: Mapping[int, int], wait_s: float, clock: Callable[[], float]) -> bool:
    """Whether the state of every partition reaches `ends`; gives up after `wait_s` in which none of them moved."""
    deadline, last = clock() + wait_s, -1
    while True:
        offsets = {p: int(await redis.hget(key(p, META), "offset") or 0) for p in ends}
        if all(offsets[p] >= end for p, end in ends.items()):
            return True
        if sum(offsets.values()) > last:
            deadline, last = clock() + wait_s, sum(offsets.values())
        if clock() > deadline:
            return False
        await asyncio.sleep(POLL_S)


async def _counts(redis: Redis, partitions: list[int]) -> Counter[str]:
    total: Counter[str] = Counter()
    for p in partitions:
        total.update({name: int(n) for name, n in (await redis.hgetall(key(p, COUNTS))).items()})
    return total


def _rejected(
    address: str,
    options: Mapping[str, object] | None,
    begins: Mapping[int, int],
    ends: Mapping[int, int],
    where: set[tuple[int, int]],
) -> Counter[str]:
    """Reasons of the dead letters from `begins` to `ends` whose events stand at one of `where`; each event once."""
    left = {p: end for p, end in ends.items() if end > begins[p]}
    reasons: dict[str, str] = {}  # by key: after a crash a letter may be there twice
    consumer = Consumer(reader_options(address, options, committed=False))
    try:
        consumer.assign([TopicPartition(DLQ, p, begins[p]) for p in left])
        while left:
            first = consumer.poll(10.0)
            if first is None:
                raise UnreachableError(f"{DLQ}: not read to the end")
            for message in [first, *consumer.consume(10_000, timeout=0)]:
                error, p, offset = message.error(), message.partition() or 0, message.offset() or 0
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF:
                        left.pop(p, None)
                    continue
                letter = letter_of(message)
                if letter is not None and (letter.partition, letter.offset) in where:
                    reasons[letter.key] = letter.reason
                if offset + 1 >= ends[p]:
                    left.pop(p, None)
    finally:
        consumer.close()
    return Counter(reasons.values())
