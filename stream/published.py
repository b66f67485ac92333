"""Reading back what a system published last: the committed outputs are the only record of it.

To be called after the publisher initialised its transactions (no predecessor can commit any more), and past the high
watermarks taken after that: another system's open transaction would else hide our own last revision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stream.errors import MessageError
from stream.messages import IndexUpdate, RankingTable, Revision, read_message
from stream.tail import high_watermarks, read_to
from stream.topics import RANKINGS, REVISIONS, UPDATES, partition_of


@dataclass(slots=True)
class Published:
    """What is committed of one system: by key, the last of each; `revision` None before the first."""

    revision: Revision | None = None
    updates: dict[str, IndexUpdate] = field(default_factory=dict)
    tables: dict[str, RankingTable] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)  # records under its keys that are none of ours, in words


def read_back(
    address: str,
    system: str,
    options: Mapping[str, object] | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Published:
    """All that `system` has committed. Blocking, until the end or `stopping()`. A foreign record counts as none: what
    it stands for is published again.

    Errors: UnreachableError, NewerMessageError, MessageError (values name a revision that `revisions` no longer holds).
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
        name = raw_key.decode(errors="replace")
        where, note = f"{topic} {name}", out.refused.append
        if topic == UPDATES:
            update = read_message(IndexUpdate, held, where, note)
            if update is not None:
                out.updates[name] = update
        elif topic == RANKINGS:
            table = read_message(RankingTable, held, where, note)
            if table is not None:
                out.tables[name] = table
        else:
            revision = read_message(Revision, held, where, note)
            if revision is not None and (out.revision is None or revision.revision > out.revision.revision):
                out.revision = revision
    _check_last(system, out)
    return out


def _check_last(system: str, out: Published) -> None:
    """A number is used once: it may not be taken again because a foreign record has displaced the last revision."""
    last = out.revision.revision if out.revision else 0
    numbers = [each.revision for each in out.updates.values()] + [each.revision for each in out.tables.values()]
    named = max(numbers, default=0)
    if named > last:
        raise MessageError(
            f"{REVISIONS} {system}: values name revision {named}, the last that is held is {last}"
            + "".join(f"; {text}" for text in out.refused[:3])
            + "; write that revision's record again (key system/(revision mod 1000)), or publish into empty topics"
        )


def read_revision(address: str, system: str, options: Mapping[str, object] | None = None) -> Revision | None:
    """The last committed revision of `system`, None before the first. Blocking. Errors: as `read_back`."""
    where = (REVISIONS, partition_of(system))
    prefix, last = f"{system}/".encode(), None
    for message in read_to(address, high_watermarks(address, [where], options), options):
        key, value = message.key(), message.value()
        if isinstance(key, bytes) and key.startswith(prefix) and isinstance(value, bytes):
            revision = read_message(Revision, value, f"{REVISIONS} {key.decode(errors='replace')}", lambda _: None)
            if revision is not None and (last is None or revision.revision > last.revision):
                last = revision
    return last


def read_tables(address: str, system: str, options: Mapping[str, object] | None = None) -> dict[str, RankingTable]:
    """The committed whole tables of `system` by key. Blocking. Errors: as `read_back`."""
    held = read_latest(address, RANKINGS, system, options)
    read = {key: read_message(RankingTable, value, f"{RANKINGS} {key}", lambda _: None) for key, value in held.items()}
    return {key: table for key, table in read.items() if table is not None}


def read_latest(address: str, topic: str, system: str, options: Mapping[str, object] | None = None) -> dict[str, bytes]:
    """The last value of each key `system/...` of a compacted topic, without those removed. Blocking.

    Errors: UnreachableError.
    """
    where, prefix = (topic, partition_of(system)), f"{system}/".encode()
    last: dict[str, bytes | None] = {}
    for message in read_to(address, high_watermarks(address, [where], options), options):
        key, value = message.key(), message.value()
        if isinstance(key, bytes) and key.startswith(prefix):
            last[key.decode(errors="replace")] = value if isinstance(value, bytes) else None
    return {key: value for key, value in last.items() if value is not None}
