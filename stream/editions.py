"""Editions: a period's tables and values under a name, on `editions`, for ever (docs/formats.md section 6).

Key `system/name`. Written once: who writes one holds the turn of that name, and looks first.
"""

from __future__ import annotations

from collections.abc import Mapping

from stream.errors import OvertakenError
from stream.messages import Edition, decode_message, encode
from stream.publisher import Record
from stream.tail import high_watermarks, read_to
from stream.topics import EDITIONS, SYSTEM_PARTITIONS, partition_of
from stream.turn import Turn


def read_editions(
    address: str, system: str | None = None, options: Mapping[str, object] | None = None
) -> dict[str, Edition]:
    """Every edition of `system`, or of all, by key `system/name`, in the order in which they were made. Blocking.

    Errors: UnreachableError (no answer, or the topic is not there yet: a worker makes it when it starts),
    MessageError.
    """
    partitions = range(SYSTEM_PARTITIONS) if system is None else [partition_of(system)]
    ends = high_watermarks(address, [(EDITIONS, p) for p in partitions], options)
    found: dict[str, Edition] = {}
    for message in read_to(address, ends, options):
        raw, value = message.key(), message.value()
        if not isinstance(raw, bytes) or not isinstance(value, bytes):
            continue
        key = raw.decode()
        if system is None or key.startswith(f"{system}/"):
            # The first one counts, so that even a foreign writer changes nothing before compaction.
            found.setdefault(key, decode_message(Edition, value, f"{EDITIONS} {key}"))
    return dict(sorted(found.items(), key=lambda each: each[1].at))


def write_edition(address: str, edition: Edition, options: Mapping[str, object] | None = None) -> None:
    """Write an edition whose name is not there yet; check and write are one step. Blocking.

    Errors: ValueError where the name is taken; OvertakenError where another of this name was made at the same time;
    UnreachableError (outcome unknown: look), StreamError (larger than a message may be: nothing is written).
    """
    system, key = edition.system, f"{edition.system}/{edition.name}"
    turn = Turn(address, f"{system}/editions/{edition.name}", options)
    if key in read_editions(address, system, options):
        raise ValueError(f"{key} is there already, and an edition never changes; choose another name")
    try:
        turn.commit([Record(EDITIONS, key, encode(edition))], partition_of(system))
    except OvertakenError:
        # Whoever came later may have found ours committed already, only the answer was lost.
        if read_editions(address, system, options).get(key) != edition:
            raise
