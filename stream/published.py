"""Reading back what a system published last: the committed outputs are the only record of it.

To be called after the publisher initialised its transactions (no predecessor can commit any more), and past the high
watermarks taken after that: another system's open transaction would else hide our own last revision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stream.messages import IndexUpdate, RankingTable, Revision, decode_message
from stream.tail import high_watermarks, read_to
from stream.topics import RANKINGS, REVISIONS, UPDATES, partition_of


@dataclass(slots=True)
class Published:
    """What is committed of one system: by key, the last of each; `revision` None before the first."""

    revision: Revision | None = None
    updates: dict[str, IndexUpdate] = field(default_factory=dict)
    tables: dict[str, RankingTable] = field(default_factory=dict)


def read_back(
    address: str,
    system: str,
    options: Mapping[str, object] | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Published:
    """All that `system` has committed. Blocking, until the end or `stopping()`.

    Errors: UnreachableError, MessageError (a newer schema).
    """
    partition = partition_of(system)
    ends = high_watermarks(address, [(topic, partition) for topic in (UPDATES, RANKINGS, REVISIONS)], options)
    prefix = f"{system}/".encode()
    last: dict[tuple[str, bytes], bytes | None] = {}
    for message in read_to(address, ends, options, stopping=stopping):
        key = message.key() or b""
        if isinstance(key, bytes) and key.startswith(prefix):
            value = message.value()
            last[message.topic() or "", key] = value if isinstance(value, bytes) else None
    out = Published()
    for (topic, raw_key), held in last.items():
        if held is None:
            continue
        name = raw_key.decode()
        if topic == UPDATES:
            out.updates[name] = decode_message(IndexUpdate, held, f"{topic} {name}")
        elif topic == RANKINGS:
            out.tables[name] = decode_message(RankingTable, held, f"{topic} {name}")
        else:
            revision = decode_message(Revision, held, f"{topic} {name}")
            if out.revision is None or revision.revision > out.revision.revision:
                out.revision = revision
    return out


def read_revision(address: str, system: str, options: Mapping[str, object] | None = None) -> Revision | None:
    """The last committed revision of `system`, None before the first. Blocking. Errors: as `read_back`."""
    where = (REVISIONS, partition_of(system))
    prefix, last = f"{system}/".encode(), None
    for message in read_to(address, high_watermarks(address, [where], options), options):
        key, value = message.key(), message.value()
        if isinstance(key, bytes) and key.startswith(prefix) and isinstance(value, bytes):
            revision = decode_message(Revision, value, f"{REVISIONS} {key.decode()}")
            if last is None or revision.revision > last.revision:
                last = revision
    return last


def read_tables(address: str, system: str, options: Mapping[str, object] | None = None) -> dict[str, RankingTable]:
    """The committed whole tables of `system` by key. Blocking. Errors: as `read_back`."""
    held = read_latest(address, RANKINGS, system, options)
    return {key: decode_message(RankingTable, value, f"{RANKINGS} {key}") for key, value in held.items()}


def read_latest(address: str, topic: str, system: str, options: Mapping[str, object] | None = None) -> dict[str, bytes]:
    """The last value of each key `system/...` of a compacted topic, without those removed. Blocking.

    Errors: UnreachableError.
    """
    where, prefix = (topic, partition_of(system)), f"{system}/".encode()
    last: dict[str, bytes | None] = {}
    for message in read_to(address, high_watermarks(address, [where], options), options):
        key, value = message.key(), message.value()
        if isinstance(key, bytes) and key.startswith(prefix):
            last[key.decode()] = value if isinstance(value, bytes) else None
    return {key: value for key, value in last.items() if value is not None}
