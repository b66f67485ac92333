"""What a system has published: its committed records on the output topics (docs/formats.md section 6), as of its last
revision.

The revisions are read first; the ends of the other topics are taken later, so that they hold all of the last revision's
records. What a later revision wrote meanwhile is not looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from stream.topics import CONTROL, DELTAS, RANKINGS, REVISIONS, UPDATES
from workers.verify.errors import VerifyError
from workers.verify.log import Log
from workers.verify.report import TableKey

RING = 1000
SCHEMA = 1  # of the messages that are read here


@dataclass(slots=True)
class Published:
    """Decoded JSON objects as they stand on the topics.

    `last`: the newest revision, `committed_ms` its Kafka timestamp, `numbers`: (key, number) of all that were read, in
    order of the log; `updates`: (entity, period) -> object; `tables` and `deltas` by table, the latter in order;
    `whole`: no delta is lost to retention; `moved_on`: keys of updates and tables whose newest record is of a later
    revision, and which have no other; `definition`: the TOML text in force at `last`.
    """

    last: dict[str, Any]
    committed_ms: int
    numbers: list[tuple[str, int]]
    definition: str = ""
    updates: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    tables: dict[TableKey, dict[str, Any]] = field(default_factory=dict)
    deltas: dict[TableKey, list[dict[str, Any]]] = field(default_factory=dict)
    whole: bool = True
    moved_on: set[tuple[Any, ...]] = field(default_factory=set)

    @property
    def offsets(self) -> dict[int, int]:
        """Partition -> next offset of the cells that the last revision includes."""
        return {int(partition): offset for partition, offset in self.last["offsets"].items()}


def systems_published(log: Log) -> list[str]:
    """The systems that have published a revision, by name."""
    partitions = log.partitions(REVISIONS)
    ends = {partition: high for partition, (_, high) in log.bounds(REVISIONS, partitions).items()}
    keys = {(record.key or b"").decode() for record in log.read(REVISIONS, ends) if record.value is not None}
    return sorted({key.partition("/")[0] for key in keys})


def read_revisions(log: Log, system: str) -> Published:
    """The revisions of a system, and nothing else yet. VerifyError when it has none."""
    with _readable(system):
        return _revisions(log, system)


def read_published(log: Log, system: str, found: Published) -> None:
    """All the rest, as of the last revision. VerifyError when what is there cannot be read."""
    with _readable(system):
        last = found.last["revision"]
        found.definition = _definition(log, system, found.last["definition"])
        for key, update in _of(log, UPDATES, system):
            _keep(found, found.updates, (key[0], key[1]), update, last)
        for key, table in _of(log, RANKINGS, system):
            _keep(found, found.tables, _table_key(key), table, last)
        found.whole = _bounds(log, DELTAS, system)[0] == 0
        for key, delta in _of(log, DELTAS, system):
            if delta is not None and delta["revision"] <= last:
                found.deltas.setdefault(_table_key(key), []).append(delta)


@contextmanager
def _readable(system: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise VerifyError(f"the topics of {system} hold what cannot be read: {error!r}") from error


def last_revision(log: Log, system: str) -> int:
    """The number of the newest revision now."""
    return int(_revisions(log, system).last["revision"])


def _revisions(log: Log, system: str) -> Published:
    newest: tuple[dict[str, Any], int] | None = None
    numbers = []
    for key, value, timestamp_ms in _records(log, REVISIONS, system):
        if value is not None:
            numbers.append((key, value["revision"]))
            if newest is None or value["revision"] >= newest[0]["revision"]:
                newest = value, timestamp_ms
    if newest is None:
        raise VerifyError(f"{system} has published no revision yet: there is nothing to verify")
    return Published(*newest, numbers)


def _definition(log: Log, system: str, version: int) -> str:
    texts = {value["version"]: value for key, value in _of(log, CONTROL, system) if value and key[0] != "active"}
    if version not in texts:
        raise VerifyError(f"`control` does not hold version {version} of {system}, which its last revision names")
    return str(texts[version]["definition"])


def _keep(
    found: Published, into: dict[Any, Any], key: tuple[Any, ...], value: dict[str, Any] | None, last: int
) -> None:
    if value is None:
        into.pop(key, None)
    elif value["revision"] <= last:
        into[key] = value
        found.moved_on.discard(key)
    elif key not in into:
        found.moved_on.add(key)


def _table_key(key: list[str]) -> TableKey:
    return key[0], key[1], key[2] if len(key) > 2 else None


def _of(log: Log, topic: str, system: str) -> Iterator[tuple[list[str], dict[str, Any] | None]]:
    """Parts of the key behind the system, and the decoded value (None: a tombstone)."""
    parts = ((key.split("/")[1:], value) for key, value, _ in _records(log, topic, system))
    return ((key, value) for key, value in parts if topic == CONTROL or len(key) >= 2)  # another key is none of ours


def _records(log: Log, topic: str, system: str) -> Iterator[tuple[str, dict[str, Any] | None, int]]:
    for record in log.read(topic, {_partition(log, topic, system): _bounds(log, topic, system)[1]}):
        key = (record.key or b"").decode(errors="replace")
        if key.startswith(f"{system}/"):
            yield key, None if record.value is None else _object(topic, key, record.value), record.timestamp_ms


def _object(topic: str, key: str, value: bytes) -> dict[str, Any] | None:
    """What a record says; None where it is none of ours: then nothing stands under its key."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    schema, number = found.get("schema", 1), found.get("version" if topic == CONTROL else "revision")
    if type(schema) is int and schema > SCHEMA:
        raise VerifyError(
            f"{topic} {key}: schema {schema}, this verify reads {SCHEMA}; use that of the writer's version"
        )
    return found if schema == SCHEMA and type(number) is int else None


def _bounds(log: Log, topic: str, system: str) -> tuple[int, int]:
    partition = _partition(log, topic, system)
    return log.bounds(topic, [partition])[partition]


def _partition(log: Log, topic: str, system: str) -> int:
    return crc32(system.encode()) % len(log.partitions(topic))
