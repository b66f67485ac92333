"""What the state of a partition says, apart from who owns it: a pure value, a function of the log up to `offset`.

Made by replaying the log (`tidewatch rebuild`) or read from a backup; `differences` compares it with what Redis holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from index.catalogue import Catalogue
from index.changes import GONE
from index.errors import CatalogueError
from state.inspect import Look
from state.keys import SCHEMA, Offset, Partition
from state.snapshot import Snapshot

NOTHING = Offset(0)


class Difference(NamedTuple):
    """One thing that Redis holds and should not, or should hold otherwise. None: absent on that side.

    `kind`: cell, day, window, count, watermark, catalogue, meta, feed, key. `row`: the row key, or the key's name.
    """

    kind: str
    row: str
    field: str
    live: str | None
    right: str | None


@dataclass(slots=True)
class Content:
    """All texts as Redis stores them. `rows`: row key -> field -> text; `windows`: source -> `<top>:<hex>`."""

    offset: Offset = NOTHING
    watermark_us: int | None = None
    catalogue_version: int | None = None
    catalogue: bytes | None = None
    windows: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    rows: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, snapshot: Snapshot) -> Content:
        """What a snapshot says."""
        return cls(
            snapshot.offset,
            snapshot.watermark_us,
            snapshot.catalogue_version,
            snapshot.catalogue,
            dict(snapshot.windows),
            dict(snapshot.counts),
            {row: dict(zip(flat[::2], flat[1::2], strict=True)) for row, flat in snapshot.rows.items()},
        )

    def snapshot(self, partition: Partition) -> Snapshot:
        """The same as a load would return it."""
        return Snapshot(
            partition,
            self.offset,
            self.watermark_us,
            self.catalogue_version,
            self.catalogue,
            dict(self.windows),
            dict(self.counts),
            {row: [text for pair in fields.items() for text in pair] for row, fields in self.rows.items()},
        )

    def take(self, rows: list[list[str | int]]) -> None:
        """Write changed rows (absolute values, as a flush has them) over what is there; cells that ended go."""
        for name, *flat in rows:
            fields = self.rows.setdefault(str(name), {})
            fields.update(zip(map(str, flat[::2]), map(str, flat[1::2]), strict=True))
            if GONE in flat[1::2]:
                for each in [each for each, text in fields.items() if text == GONE]:
                    del fields[each]
                if not fields:
                    del self.rows[str(name)]


def differences(look: Look, right: Content, orphans: Set[str] = frozenset()) -> Iterator[Difference]:
    """Where Redis differs from `right`, which must reach the same offset. `orphans`: rows that exist unlisted.

    What Redis may hold in several forms (the feed: batches are cut anywhere) is checked for agreeing with itself.
    """
    for name in look.odd:
        yield Difference("key", name, "", "of another type", "readable")
    offset = look.meta.get("offset", "0")
    if offset != str(right.offset):
        yield Difference("meta", "meta", "offset", offset, str(right.offset))
    meta = {
        "watermark": None if right.watermark_us is None else str(right.watermark_us),
        "catalogue": None if right.catalogue_version is None else str(right.catalogue_version),
        "schema": str(SCHEMA) if "schema" in look.meta else None,  # absent: the first
    }
    for name, text in meta.items():
        if look.meta.get(name) != text:
            yield Difference("watermark" if name == "watermark" else "meta", "meta", name, look.meta.get(name), text)
    if not _same_catalogue(look.catalogue, right.catalogue):
        yield Difference("catalogue", "catalogue", "", _short(look.catalogue), _short(right.catalogue))
    counts = {name: str(n) for name, n in right.counts.items()}
    yield from _pairs("count", "counts", look.counts, counts)
    yield from _pairs("window", "seq", look.windows, right.windows)
    for row in sorted(look.rows.keys() | right.rows.keys()):
        live, wanted = look.rows.get(row), right.rows.get(row)
        if live != wanted:
            yield from _pairs("day" if row.startswith("days:") else "cell", row, live or {}, wanted or {})
            if live == {} and wanted is None:
                yield Difference("key", row, "", "listed and empty", None)
    for row in sorted(orphans - look.rows.keys() - right.rows.keys()):
        yield Difference("key", row, "", "a row that `rows` does not list", None)
    yield from _feed(look)


def _pairs(kind: str, row: str, live: Mapping[str, str], right: Mapping[str, str]) -> Iterator[Difference]:
    if live == right:
        return
    for name in sorted(live.keys() | right.keys()):
        if live.get(name) != right.get(name):
            yield Difference(kind, row, name, live.get(name), right.get(name))


def _same_catalogue(live: bytes | None, right: bytes | None) -> bool:
    """Equal bytes, or bytes of another version of this program that say the same."""
    if live == right or not live or not right:
        return live == right
    try:
        return Catalogue.from_json(live).digest == Catalogue.from_json(right).digest
    except CatalogueError:
        return False


def _short(data: bytes | None) -> str | None:
    return None if data is None else f"{data[:60].decode(errors='replace')} ({len(data)} bytes)"


def _feed(look: Look) -> Iterator[Difference]:
    """The feed's book-keeping: a size for each entry, their sum, and no entry beyond the offset."""
    ids = [size.partition(" ")[0] for size in look.sizes]
    try:
        held = sum(int(size.partition(" ")[2]) for size in look.sizes)
        beyond = bool(look.last) and int(look.last.partition("-")[0]) > (look.offset or 0)
    except ValueError:
        yield Difference("feed", "sizes", "", _short(" ".join(look.sizes).encode()), "numbers")
        return
    if (len(ids), ids[:1], ids[-1:]) != (look.entries, [look.first][: look.entries], [look.last][: look.entries]):
        yield Difference("feed", "sizes", "", f"{len(ids)} sizes", f"{look.entries} entries up to {look.last}")
    if look.meta.get("feed_bytes", "0") != str(held):
        yield Difference("feed", "meta", "feed_bytes", look.meta.get("feed_bytes"), str(held))
    if beyond:
        yield Difference("feed", "changes", look.last, "an entry beyond the offset", None)
