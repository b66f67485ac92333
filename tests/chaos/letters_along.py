"""Dead letters held against the log that they came from, as both grow: what is new since the last look is read.

A letter written again under its key must be the same letter; its bytes must stand in the record that it names; and its
reason is judged again by verify's checks, which share no code with the engine (the three reasons that depend on what
came before, STATEFUL, are judged by verify's counts only).
"""

from __future__ import annotations

from collections import Counter

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from stream.letters import Letter, letter_of
from stream.tail import reader_options
from stream.topics import ANSWER_S, DLQ, EVENTS
from tests.waiting import eventually
from workers.verify.catalogue import record_catalogue
from workers.verify.checks import Checks
from workers.verify.messages import Unreadable, elements

STATEFUL = ("bad-sequence", "stale-sequence", "overflow")  # docs/formats.md section 2, checks 13 and 14
READ = 10_000
NEWS_S = 60.0  # for what is new on a topic to be read


class News:
    """Reads a topic from where the last look ended."""

    def __init__(self, kafka: str, topic: str, partitions: int) -> None:
        self._topic = topic
        self._next = dict.fromkeys(range(partitions), 0)
        self._consumer = Consumer(reader_options(kafka, None, committed=True))

    def read(self) -> list[Message]:
        """All that came since, in order by partition. Errors: NotInTimeError."""
        ends = {p: eventually(lambda p=p: (self._end(p),), NEWS_S)[0] for p in self._next}
        left = {p for p, end in ends.items() if self._next[p] < end}
        self._consumer.assign([TopicPartition(self._topic, p, self._next[p]) for p in sorted(left)])
        found: list[Message] = []

        def done() -> bool:
            for message in self._consumer.consume(READ, timeout=0.1) if left else ():
                partition, error = message.partition() or 0, message.error()
                if error is None:
                    found.append(message)
                    self._next[partition] = (message.offset() or 0) + 1
                if self._next[partition] >= ends[partition] or (error is not None and _at(message, ends)):
                    left.discard(partition)
            return not left

        eventually(done, NEWS_S, lambda: f"{self._topic}: {left} not read to {ends}")
        self._consumer.unassign()
        return found

    def _end(self, partition: int) -> int:
        where = TopicPartition(self._topic, partition)
        try:
            _, high = self._consumer.get_watermark_offsets(where, timeout=ANSWER_S)
        except KafkaException as error:  # it knows the leader of the last look only, and asks anew for the next answer
            raise OSError(str(error)) from None
        return int(high)

    def close(self) -> None:
        """Drop the connection."""
        self._consumer.close()


def _at(message: Message, ends: dict[int, int]) -> bool:
    """Whether an end-of-partition says that nothing but markers is left."""
    error, partition = message.error(), message.partition() or 0
    return error is not None and error.name() == "_PARTITION_EOF" and (message.offset() or 0) >= ends[partition]


class Letters:
    """All that was ever rejected, by position. `wrong`: what cannot be."""

    def __init__(self, kafka: str, partitions: int) -> None:
        self.by_key: dict[str, Letter] = {}
        self.repeats = 0  # written again after a crash, as docs/formats.md allows
        self.wrong: list[str] = []
        self._letters, self._log = News(kafka, DLQ, partitions), News(kafka, EVENTS, partitions)
        self._checks: dict[int, Checks] = {}
        self._unmet: set[str] = set()

    def look(self) -> None:
        """Take in what came since. Errors: NotInTimeError, KafkaException."""
        for message in self._letters.read():
            letter = letter_of(message)
            if letter is None or (message.key() or b"").decode() != letter.key:
                self.wrong.append(f"{DLQ} {message.partition()}/{message.offset()}: no letter, or under a wrong key")
            else:
                self.take(letter)
        new: dict[tuple[int, int], list[Letter]] = {}
        for key in self._unmet:
            letter = self.by_key[key]
            new.setdefault((letter.partition, letter.offset), []).append(letter)
        for message in self._log.read():
            partition, offset, value = message.partition() or 0, message.offset() or 0, message.value()
            key = message.key()
            self.record(partition, key, value)
            self.meet(new.pop((partition, offset), []), value, message.timestamp()[1])
        # At rest every reject has its letter, since that is acknowledged before the flush that passes it.
        self.wrong += [
            f"letter {letter.key}: no such record, or one that had no letter at the last look, when all was at rest"
            for left in new.values()
            for letter in left
        ]

    def take(self, letter: Letter) -> None:
        """A letter of the topic."""
        held = self.by_key.setdefault(letter.key, letter)
        if held is letter:
            self._unmet.add(letter.key)
        else:
            self.repeats += 1
            if held != letter:
                self.wrong.append(
                    f"letter {letter.key}: {held.reason} {held.raw!r}, then {letter.reason} {letter.raw!r}"
                )

    def record(self, partition: int, key: bytes | None, value: bytes | None) -> None:
        """A record of the log: a catalogue is in force from here on."""
        catalogue = None if key is None else record_catalogue(key, value)
        if catalogue is not None:
            self._checks[partition] = Checks(catalogue)

    def meet(self, letters: list[Letter], value: bytes | None, timestamp_ms: int) -> None:
        """The record that these letters name, judged again."""
        for letter in letters:
            self._unmet.discard(letter.key)
            if letter.raw not in (value or b""):
                self.wrong.append(f"letter {letter.key}: its bytes do not stand in its record")
            reason = self._reason(letter, value, timestamp_ms)
            if reason != letter.reason and not (reason is None and letter.reason in STATEFUL):
                self.wrong.append(
                    f"letter {letter.key}: rejected as {letter.reason}, by verify's checks {reason or 'good'}"
                )

    def _reason(self, letter: Letter, value: bytes | None, timestamp_ms: int) -> str | None:
        checks = self._checks[letter.partition]
        try:
            found = elements(value, checks.catalogue.message_bytes, checks.catalogue.event_bytes)
            event = checks.check(found[letter.element], timestamp_ms)
        except Unreadable as error:
            return error.reason
        except IndexError:
            return "no such element"
        return event if isinstance(event, str) else None

    def counts(self) -> Counter[str]:
        """Letters by `rejected:<reason>`."""
        return Counter(f"rejected:{letter.reason}" for letter in self.by_key.values())

    def close(self) -> None:
        """Drop the connections."""
        self._letters.close()
        self._log.close()
