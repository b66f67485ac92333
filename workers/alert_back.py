"""What an alert worker reads back of the outputs at its start, besides its own state. Blocking.

Errors of all: UnreachableError, MessageError.
"""

from __future__ import annotations

from collections.abc import Mapping

from stream.messages import IndexUpdate, RankingDelta, RankingTable, decode_message, read_message
from stream.published import read_latest
from stream.tail import read_to
from stream.topics import DELTAS, RANKINGS, UPDATES
from workers.alert_system import AlertSystem
from workers.settings import Settings


def updates_before(settings: Settings, partition: int, end: int) -> dict[str, list[IndexUpdate]]:
    """The last update of each key below offset `end`, by system."""
    last: dict[bytes, bytes | None] = {}
    for message in read_to(settings.kafka, {(UPDATES, partition): end}, settings.kafka_options):
        key, value = message.key(), message.value()
        if isinstance(key, bytes):
            last[key] = value if isinstance(value, bytes) else None
    out: dict[str, list[IndexUpdate]] = {}
    for key, value in last.items():
        if value is not None:
            update = read_message(IndexUpdate, value, f"{UPDATES} {key.decode(errors='replace')}", lambda _: None)
            if update is not None:
                out.setdefault(update.system, []).append(update)
    return out


def watch_anew(
    settings: Settings, partition: int, rankings: frozenset[str], systems: Mapping[str, AlertSystem], end: int
) -> None:
    """Rankings that a person's new rule watches, and no rule has so far: their deltas below `end` nobody has followed.

    Each system's state gets their tables as they are now, and the deltas that these lag behind.
    """
    new = {name: rankings - system.state.watched for name, system in systems.items()}
    if not any(new.values()):
        return
    for name, system in systems.items():
        held = read_latest(settings.kafka, RANKINGS, name, settings.kafka_options)
        found = {key: value for key, value in held.items() if key.split("/")[1] in new[name]}
        system.watch_anew(
            new[name], [decode_message(RankingTable, value, f"{RANKINGS} {key}") for key, value in found.items()]
        )
    for message in read_to(settings.kafka, {(DELTAS, partition): end}, settings.kafka_options):
        raw, value = message.key(), message.value()
        if isinstance(raw, bytes) and isinstance(value, bytes):
            name, ranking, *_ = (*raw.decode(errors="replace").split("/", 2), "", "")
            if ranking in new.get(name, ()):
                delta = decode_message(RankingDelta, value, f"{DELTAS} {raw.decode()}")
                systems[name].catch_up(new[name], delta)
