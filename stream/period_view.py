"""What is committed of one period of a system: every update and table of it, as of the last revision.

The revisions are read first, the ends of the other topics are taken after that: so they hold all of that revision. What
a later one committed meanwhile may be there as well; `mark` tells two looks between which nothing of the period came.
Costs a read of all that the topics hold of the system's partition; only messages of the period are decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stream.messages import IndexUpdate, RankingDelta, RankingTable, Revision, decode_message
from stream.published import read_revision
from stream.tail import high_watermarks, read_to
from stream.topics import DELTAS, RANKINGS, UPDATES, partition_of

Ranked = dict[str, tuple[int, float | None]]  # entity -> (rank, value)


@dataclass(slots=True)
class PeriodView:
    """`updates` by entity; `tables` by key `system/ranking/period[/scope]`; `deltas`: by the same key, of each table
    those that are newer than the table, in order; `mark`: topic -> offset of the last record of this period or of
    those whose ranks its tables are compared with."""

    revision: Revision
    updates: dict[str, IndexUpdate] = field(default_factory=dict)
    tables: dict[str, RankingTable] = field(default_factory=dict)
    deltas: dict[str, list[RankingDelta]] = field(default_factory=dict)
    mark: dict[str, int] = field(default_factory=dict)

    def rows(self, key: str) -> Ranked:
        """The rows of a table as the deltas give them; none where the table is not there."""
        table = self.tables.get(key)
        rows: Ranked = {}
        if table is not None:
            columns = (table.rows.entity, table.rows.rank, table.rows.value)
            rows = {entity: (rank, value) for entity, rank, value in zip(*columns, strict=True)}
        for delta in self.deltas.get(key, ()):
            rows = applied(delta, rows)
        return rows

    def lagging(self) -> list[str]:
        """Keys of tables that are not what the deltas give."""
        late = []
        for key in self.deltas:
            table = self.tables.get(key)
            columns = (table.rows.entity, table.rows.rank, table.rows.value) if table else ([], [], [])
            if self.rows(key) != {entity: (rank, value) for entity, rank, value in zip(*columns, strict=True)}:
                late.append(key)
        return sorted(late)


def applied(delta: RankingDelta, rows: Mapping[str, tuple[int, float | None]]) -> Ranked:
    """The rows after a delta (docs/formats.md section 6): ranges of old ranks shift, then the moved rows are set.

    Where the moved rows are as many as the table has after it, there are no others: a table that begins anew.
    """
    moved = delta.moved
    own = set(moved.entity)
    anew = delta.size == sum(rank is not None for rank in moved.rank)
    after: Ranked = {}
    for entity, (rank, value) in rows.items():
        if entity not in own and not anew:
            by = next((by for first, last, by in delta.shifted if first <= rank <= last), 0)
            after[entity] = (rank + by, value)
    for entity, new, value in zip(moved.entity, moved.rank, moved.value, strict=True):
        if new is not None:
            after[entity] = (new, value)
    return after


def read_period(
    address: str,
    system: str,
    period: str,
    compared: tuple[str, ...] = (),
    options: Mapping[str, object] | None = None,
) -> PeriodView | None:
    """What is committed of `period`, None before the first revision; `compared`: the periods that ranks of this one
    are compared with, which count for `mark`. Blocking. Errors: UnreachableError, MessageError."""
    last = read_revision(address, system, options)
    if last is None:
        return None
    view = PeriodView(last)
    partition = partition_of(system)
    ends = high_watermarks(address, [(topic, partition) for topic in (UPDATES, RANKINGS, DELTAS)], options)
    prefix, watched = f"{system}/", {period, *compared}
    held: dict[tuple[str, str], bytes | None] = {}
    deltas: dict[str, list[RankingDelta]] = {}
    for message in read_to(address, ends, options):
        raw, value, topic = message.key(), message.value(), message.topic() or ""
        if not isinstance(raw, bytes):
            continue
        key = raw.decode()
        of = key.split("/")[2] if key.startswith(prefix) else None
        if of not in watched:
            continue
        view.mark[topic] = message.offset() or 0
        if of != period:
            continue
        if topic != DELTAS:
            held[topic, key] = value if isinstance(value, bytes) else None
        elif isinstance(value, bytes):
            deltas.setdefault(key, []).append(decode_message(RankingDelta, value, f"{topic} {key}"))
    for (topic, key), value in held.items():
        if value is None:
            continue
        if topic == UPDATES:
            update = decode_message(IndexUpdate, value, f"{topic} {key}")
            view.updates[update.entity] = update
        else:
            view.tables[key] = decode_message(RankingTable, value, f"{topic} {key}")
    for key, each in deltas.items():
        table = view.tables.get(key)
        newer = [delta for delta in each if table is None or delta.revision > table.revision]
        if newer:
            view.deltas[key] = newer
    return view
