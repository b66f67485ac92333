"""Reading dead letters back, repairing them, and sending them again under an identity that is the letter's for good.

The identity is the letter's place in the dead-letter topic. `seq` is the offset, and each block of offsets is a source
of its own, no longer than a window: so a letter is never below the window, however many were replayed before it. A
replayed letter that is rejected again is another letter with the same identity: whichever of them is replayed, and how
often, counts once.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from stream.events import MAX_SEQ
from stream.letters import Letter, letter_of
from stream.tail import high_watermarks, read_to
from stream.topics import DLQ, partitions_of_topic
from workers.feed import Outbox
from workers.settings import Settings

TEXTS = frozenset(("city", "indicator", "industry", "op", "at", "period"))  # fields of an event that are strings
BLOCK = 4096  # offsets a source; at most the catalogue's `window`, or letters are rejected as `stale-sequence`
_REPLAYED = re.compile(r"dlq/([0-9]{1,9})(?:/[0-9]{1,19})?")
REPAIR_S = 10.0  # a repair program that takes longer on one letter is broken


@dataclass(frozen=True, slots=True)
class Filter:
    """Which letters: all conditions that are not None must hold."""

    reason: str | None = None
    position: str | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether `letter` is wanted."""
        return (self.reason is None or letter.reason == self.reason) and (
            self.position is None or letter.key == self.position
        )


class Stored(NamedTuple):
    """A letter and where it lies in the dead-letter topic: that is its identity when it is replayed."""

    letter: Letter
    partition: int
    offset: int

    def to_json(self) -> dict[str, Any]:
        """For `--json`; bytes that are no text are shown escaped."""
        letter = self.letter
        return {
            "position": letter.key,
            "reason": letter.reason,
            "detail": letter.detail,
            "timestamp_ms": letter.timestamp_ms,
            "raw": letter.raw.decode("utf-8", "backslashreplace"),
            "dlq": [self.partition, self.offset],
        }


class Repaired(NamedTuple):
    """An event to send."""

    key: bytes | None
    value: bytes


def read_letters(settings: Settings, wanted: Filter) -> Iterator[Stored]:
    """The letters on the topic now, each position once (a crash may have written one twice), partition by partition.

    Errors: UnreachableError.
    """
    partitions = partitions_of_topic(settings.kafka, DLQ, settings.kafka_options)
    ends = high_watermarks(settings.kafka, [(DLQ, p) for p in partitions], settings.kafka_options)
    seen: set[str] = set()
    for message in read_to(settings.kafka, ends, settings.kafka_options):
        letter = letter_of(message)
        if letter is not None and letter.key not in seen and wanted.takes(letter):
            seen.add(letter.key)
            yield Stored(letter, message.partition() or 0, message.offset() or 0)


def repaired(
    letters: Iterable[Stored], assignments: list[str], program: Path | None
) -> tuple[list[Repaired], list[str]]:
    """Events to send for `letters`, each once, and the positions of those that are no JSON object after the repair.

    `assignments`: `field=value`; `program` gets the bytes on standard input and prints the event. Errors: ValueError
    for an assignment without `=`; OSError where the program cannot be run.
    """
    fields: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set {assignment}: field=value is wanted")
        try:
            # City codes look like numbers and are none.
            is_json = name not in TEXTS or text[:1] == '"' or text == "null"
            fields[name] = json.loads(text, parse_constant=_refuse) if is_json else text
        except ValueError:
            fields[name] = text
    events: dict[tuple[str, int], Repaired] = {}
    unreadable = []
    # Of several letters of one event only the latest is sent, or what cannot be mended would double with each replay.
    for stored in sorted(letters, key=lambda each: each.letter.timestamp_ms):
        raw = _through(program, stored.letter.raw) if program else stored.letter.raw
        try:
            # The standard reader takes all that the workers took: half of a surrogate pair, numbers of any length.
            event = json.loads(raw.decode("utf-8"), parse_constant=_refuse, parse_int=_integer)
            if not isinstance(event, dict):
                raise ValueError("no object")
            source, seq = _identity(stored)
            event |= fields | {"source": source, "seq": seq}
            value = json.dumps(event, allow_nan=False, separators=(",", ":")).encode()
        except (ValueError, RecursionError):
            unreadable.append(stored.letter.key)
            continue
        city = event.get("city")
        events[source, seq] = Repaired(city.encode("utf-8", "replace") if isinstance(city, str) else None, value)
    return list(events.values()), unreadable


def _identity(stored: Stored) -> tuple[str, int]:
    """Source and seq of a letter's event: those of the first letter, where it is itself a replayed one."""
    partition, offset = stored.partition, stored.offset
    try:
        sent = json.loads(stored.letter.raw.decode("utf-8"), parse_int=_integer)
        found = _REPLAYED.fullmatch(sent["source"])
        if found and type(sent["seq"]) is int and 0 <= sent["seq"] <= MAX_SEQ:
            partition, offset = int(found[1]), sent["seq"]
    except (ValueError, RecursionError, TypeError, KeyError):
        pass  # no event that can be read was replayed by us
    return f"dlq/{partition}/{offset // BLOCK}", offset


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _integer(text: str) -> int | float:
    # Python converts no more than 4,300 digits; infinite is refused later on, unless the repair replaces it.
    return int(text) if len(text) <= 400 else float(text)


def _through(program: Path, raw: bytes) -> bytes:
    try:
        return subprocess.run([str(program)], input=raw, capture_output=True, check=False, timeout=REPAIR_S).stdout
    except subprocess.TimeoutExpired:
        return b""  # which is no event, and told as such


def replay(settings: Settings, events: list[Repaired]) -> None:
    """Send `events`, and wait for all acknowledgements. Errors: UnreachableError, StreamError."""
    outbox = Outbox(settings.kafka, settings.kafka_options)
    try:
        outbox.put(events)
        outbox.flush()
    finally:
        outbox.close()
