"""A partition in Redis as plain Python: what acquire, flush, watch and a Redis that goes back do, in the fewest words.

Shares no code with `state`. What a log amounts to is a pure function of how far it was read (`Log.at`), so a model of
Redis is little more than that prefix, who owns it, and which feed entries are still there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

ROWS = ("cells:2022-06:anna", "cells:2022-06:dora", "days:2022-06:anna")
FIELDS = ("till.visits/all", "till.fine/all")
SOURCES = ("pay", "城")


class Prefix(NamedTuple):
    """What the first messages of a log amount to; `catalogue` is the version in force for the next one."""

    rows: dict[str, dict[str, int]]
    windows: dict[str, str]
    counts: dict[str, int]
    watermark: int | None
    catalogue: int


class _Message(NamedTuple):
    what: float
    row: str
    name: str
    amount: int
    source: str


class Log:
    """A log made with a seed: message n adds to a cell or drops it, and marks a source's window; or it is a reject, a
    repeat, or a newer catalogue.
    """

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)
        self._messages: list[_Message] = []
        self._at = [Prefix({}, {}, {}, None, 1)]

    def _message(self, n: int) -> _Message:
        random = self._random
        while len(self._messages) <= n:
            what = random.random()
            row, name, source = (random.choice(names) for names in (ROWS, FIELDS, SOURCES))
            self._messages.append(_Message(what, row, name, random.randint(-2, 2), source))
        return self._messages[n]

    def is_catalogue(self, n: int) -> bool:
        """Whether message n brings a newer catalogue."""
        return self._message(n).what >= 0.96

    def at(self, offset: int) -> Prefix:
        """The state behind the first `offset` messages."""
        while len(self._at) <= offset:
            n, before = len(self._at) - 1, self._at[-1]
            what, row, name, amount, source = self._message(n)
            rows, windows, counts = (
                {row: dict(cells) for row, cells in before.rows.items()},
                dict(before.windows),
                dict(before.counts),
            )
            watermark, version = before.watermark, before.catalogue
            if self.is_catalogue(n):
                version += 1
            elif what < 0.1:
                counts["rejected:malformed"] = counts.get("rejected:malformed", 0) + 1
            elif what < 0.2:
                counts["duplicate"] = counts.get("duplicate", 0) + 1
            else:
                counts["accepted"] = counts.get("accepted", 0) + 1
                cells = rows.setdefault(row, {})
                if what >= 0.4:
                    cells[name] = cells.get(name, 0) + amount
                elif cells.get(name) == 0:  # a drop
                    del cells[name]
                if not cells:
                    del rows[row]
                windows[source] = f"{n}:{n * n + 1:x}"
                watermark = max(watermark or 0, int(what * 1000) * 1000)
            self._at.append(Prefix(rows, windows, counts, watermark, version))
        return self._at[offset]

    def cut(self, start: int, end: int) -> int:
        """Where a batch from `start` really ends: a newer catalogue ends it."""
        return next((n + 1 for n in range(start, end) if self.is_catalogue(n)), end)

    def changed(self, start: int, end: int) -> list[list[Any]]:
        """The rows that messages start..end-1 touched, absolute: [row, field, value, ...]."""
        after = self.at(end).rows
        touched: dict[str, dict[str, int | str]] = {}
        for n in range(start, end):
            before, then = self.at(n), self.at(n + 1)
            if then.counts.get("accepted", 0) > before.counts.get("accepted", 0):
                _, row, name, *_ = self._message(n)
                touched.setdefault(row, {})[name] = after.get(row, {}).get(name, "")
        return [[row, *(part for pair in cells.items() for part in pair)] for row, cells in touched.items()]


@dataclass
class Batch:
    """A flush as an owner makes it: from its mirror's offset on. `first`: no catalogue was stored when it acquired."""

    start: int
    end: int
    feed_bytes: int
    rows_bytes: int
    brings: int | None  # the version of the catalogue that it stores


@dataclass
class Entry:
    """A feed entry."""

    start: int
    end: int
    token: str
    catalogue: int
    size: int


@dataclass
class Stored:
    """One partition as Redis should hold it."""

    token: str | None = None
    offset: int = 0
    flushed: bool = False
    catalogue: int | None = None
    feed: list[Entry] = field(default_factory=list)
    log: Log = field(default_factory=lambda: Log("none"))

    def copy(self) -> Stored:
        return Stored(self.token, self.offset, self.flushed, self.catalogue, list(self.feed), self.log)

    def acquire(self, token: str) -> None:
        """Always succeeds."""
        self.token = token

    def watch(self, token: str, offset: int) -> str:
        """`ok`, `fenced` or `rewound`."""
        if self.token != token:
            return "fenced"
        return "ok" if self.offset == offset else "rewound"

    def flush(self, token: str, batch: Batch, version: int) -> str:
        """`ok` (also where it was applied before), `fenced` or `rewound`; `version` is the mirror's catalogue."""
        if self.token != token:
            return "fenced"
        if self.offset != batch.start:
            return "ok" if self.offset == batch.end else "rewound"
        self.offset, self.flushed = batch.end, True
        self.feed.append(Entry(batch.start, batch.end, token, batch.brings or version, batch.rows_bytes))
        while len(self.feed) > 1 and sum(e.size for e in self.feed) > batch.feed_bytes:
            del self.feed[0]
        if batch.brings is not None:
            self.catalogue = batch.brings
        return "ok"

    def look(self) -> dict[str, Any]:
        """Everything, in the form of `durable.look`."""
        prefix = self.log.at(self.offset)
        meta: dict[str, str] = {}
        if self.token is not None:
            meta |= {"epoch": self.token, "schema": "2"}
        if self.flushed:
            meta |= {"offset": str(self.offset), "feed_bytes": str(sum(e.size for e in self.feed))}
            if prefix.watermark is not None:
                meta["watermark"] = str(prefix.watermark)
        if self.catalogue is not None:
            meta["catalogue"] = str(self.catalogue)
        return {
            "meta": meta,
            "catalogue": "" if self.catalogue is None else text_of(self.catalogue),
            "windows": prefix.windows,
            "counts": {name: str(n) for name, n in prefix.counts.items()},
            "rows": {row: {f: str(n) for f, n in cells.items()} for row, cells in prefix.rows.items()},
            "feed": [self._told(entry) for entry in self.feed],
            "sizes": [f"{entry.end}-0 {entry.size}" for entry in self.feed],
        }

    def _told(self, entry: Entry) -> dict[str, Any]:
        prefix = self.log.at(entry.end)
        return {
            "id": f"{entry.end}-0",
            "from": str(entry.start),
            "epoch": entry.token,
            "watermark": "" if prefix.watermark is None else str(prefix.watermark),
            "catalogue": str(entry.catalogue),
            "schema": "2",
            "counts": prefix.counts,
            "rows": self.log.changed(entry.start, entry.end),
        }


def text_of(version: int) -> str:
    """What stands for a catalogue."""
    return f'{{"version":{version}}}'
