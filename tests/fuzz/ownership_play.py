"""One sequence of commands on a real Redis and on the plain model, compared after each step.

Three owners (any of them may be a zombie), one reader of the feed, a Redis that goes back. A command is a name and two
numbers that choose; what cannot be done now is left out, so any list of commands is a sequence.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec
from redis.asyncio import Redis

from state.errors import FeedGapError, FencedError, RewoundError
from state.feed import FeedReader
from state.flush import FlushBatch, flush
from state.keys import Offset, Token
from state.keys import Partition as Number
from state.load import load
from state.ownership import acquire, watch
from state.snapshot import Snapshot
from tests.fuzz.durable import Partition
from tests.fuzz.plain_model import Batch, Log, Stored, text_of

Command = tuple[str, int, int]
encode = msgspec.json.encode
OWNERS = 3
FEED_BYTES = (1, 150, 600, 1 << 20)
STEPS = (1, 1, 2, 3, 10)
# How often each is chosen at random.
WEIGHTS = {
    **{"acquire": 12, "flush": 34, "flush-unanswered": 8, "crash": 2, "watch": 6, "save": 14, "rewind": 9, "load": 3},
    **{"read": 14, "restart-reader": 3, "silence": 2},
}


class Mismatch(AssertionError):
    """Redis, or what the code said of it, is not as the model has it."""


@dataclass
class Owner:
    """Who believes to own the partition; `pending`: a flush whose answer was lost, to be repeated first."""

    token: str
    offset: int
    stored: bool  # whether a catalogue was there when it acquired, or it has stored one since
    pending: Batch | None = None


class Play:
    """See the head of this file."""

    def __init__(self, redis: Redis, number: int, seed: str) -> None:
        self.redis, self.number, self.seed = redis, Number(number), seed
        self.keys = Partition(redis, number)
        self.log = Log(seed)
        self.stored = Stored(log=self.log)
        self.saved: list[tuple[int, Stored]] = []
        self.owners: dict[int, Owner] = {}
        self.tokens = 0
        self.done: Counter[str] = Counter()  # commands, and what became of them
        self.feed = FeedReader(redis, [self.number])
        self.cells: dict[tuple[str, str], int] = {}
        self.loaded = True  # a reader that begins at 0 with nothing is right

    async def step(self, command: Command) -> None:
        """Do it on both sides, and compare. Errors: Mismatch, and whatever the code raises that it should not."""
        name, a, b = command
        did = await getattr(self, "_" + name.replace("-", "_"))(a, b)
        self.done[f"{name}: {did}"] += 1
        if did in ("nothing", "read", "refused"):
            return
        await self._same()

    async def finish(self) -> None:
        """Nothing is stuck: an owner that comes reads on, and the reader is where it is. Then all is cleared."""
        for _ in range(400):  # a catalogue may end each batch
            await self.step(("acquire", 0, 0))
            await self.step(("flush", 0, 4))
            if self.stored.offset > self.feed.applied[self.number]:
                break
        for _ in range(5):
            if self.feed.applied[self.number] < self.stored.offset:
                await self.step(("read", 0, 0))
        self._must(self.feed.applied[self.number], self.stored.offset, "the reader reaches the end")
        await self._same()
        await self.keys.clear()

    def _must(self, found: Any, wanted: Any, what: str) -> None:
        if found != wanted:
            raise Mismatch(f"{what}: {found!r}, the model says {wanted!r}")

    async def _same(self) -> None:
        found, wanted = await self.keys.look(), self.stored.look()
        for name, value in wanted.items():
            self._must(found[name], value, name)

    def _snapshot(self, snapshot: Snapshot) -> None:
        wanted, prefix = self.stored, self.log.at(self.stored.offset)
        self._must(snapshot.offset, wanted.offset, "offset")
        self._must(snapshot.watermark_us, prefix.watermark, "watermark")
        self._must(snapshot.windows, prefix.windows, "windows")
        self._must(snapshot.counts, prefix.counts, "counts")
        self._must(snapshot.catalogue_version, wanted.catalogue, "catalogue")
        text = None if wanted.catalogue is None else text_of(wanted.catalogue).encode()
        self._must(snapshot.catalogue, text, "catalogue's text")
        rows = {row: dict(zip(flat[::2], flat[1::2], strict=True)) for row, flat in snapshot.rows.items()}
        self._must(rows, {r: {f: str(n) for f, n in cells.items()} for r, cells in prefix.rows.items()}, "rows")

    # --- owners ---

    async def _acquire(self, a: int, _: int) -> str:
        self.tokens += 1
        token = f"t{self.tokens}"
        snapshot = await acquire(self.redis, self.number, Token(token))
        self.stored.acquire(token)
        self._snapshot(snapshot)
        self.owners[a % OWNERS] = Owner(token, self.stored.offset, self.stored.catalogue is not None)
        return "ok"

    def _batch(self, owner: Owner, b: int) -> Batch | None:
        if owner.pending is not None:
            return owner.pending
        start = owner.offset
        end = self.log.cut(start, start + STEPS[b % len(STEPS)])
        brings = None
        before, after = self.log.at(start).catalogue, self.log.at(end).catalogue
        if after != before:
            brings = after
        elif not owner.stored:
            brings = before
        size = len(encode(self.log.changed(start, end)))
        return Batch(start, end, FEED_BYTES[b // len(STEPS) % len(FEED_BYTES)], size, brings)

    async def _flush(self, a: int, b: int) -> str:
        return await self._flushed(a, b, answered=True)

    async def _flush_unanswered(self, a: int, b: int) -> str:
        return await self._flushed(a, b, answered=False)

    async def _flushed(self, a: int, b: int, *, answered: bool) -> str:
        owner = self.owners.get(a % OWNERS)
        batch = self._batch(owner, b) if owner else None
        if owner is None or batch is None:
            return "nothing"
        version = self.log.at(batch.start).catalogue
        wanted = self.stored.flush(owner.token, batch, version)
        found = await self._answer(
            flush(self.redis, self.number, Token(owner.token), self._encoded(batch), batch.feed_bytes)
        )
        self._must(found, wanted, f"flush {batch.start}..{batch.end} of {owner.token}")
        if not answered:
            owner.pending = batch
            return f"{found}, unanswered"
        if found != "ok":
            return found  # it may try again, which a worker would not: refused again, unless Redis went back to it
        if self.log.at(batch.end).catalogue != version:
            del self.owners[a % OWNERS]  # the mirror is void under the newer catalogue
            return found
        owner.offset, owner.pending, owner.stored = batch.end, None, True
        return found

    def _encoded(self, batch: Batch) -> FlushBatch:
        before, after = self.log.at(batch.start), self.log.at(batch.end)
        touched = [part for s, w in after.windows.items() if before.windows.get(s) != w for part in (s, w)]
        out = FlushBatch(
            Offset(batch.start),
            Offset(batch.end),
            after.watermark,
            encode(self.log.changed(batch.start, batch.end)),
            encode(touched),
            encode(after.counts),
            before.catalogue,
        )
        return out if batch.brings is None else out.with_catalogue(batch.brings, text_of(batch.brings).encode())

    async def _answer(self, doing: Any) -> str:
        try:
            await doing
        except FencedError:
            return "fenced"
        except RewoundError:
            return "rewound"
        return "ok"

    async def _crash(self, a: int, _: int) -> str:
        return "nothing" if self.owners.pop(a % OWNERS, None) is None else "read"

    async def _watch(self, a: int, _: int) -> str:
        owner = self.owners.get(a % OWNERS)
        if owner is None or owner.pending is not None:
            return "nothing"
        found = await self._answer(watch(self.redis, self.number, Token(owner.token), Offset(owner.offset)))
        self._must(found, self.stored.watch(owner.token, owner.offset), "watch")
        return "refused" if found != "ok" else "read"

    # --- Redis ---

    async def _save(self, _a: int, _b: int) -> str:
        self.saved.append((await self.keys.save(), self.stored.copy()))
        return "read"

    async def _rewind(self, a: int, _: int) -> str:
        if not self.saved:
            return "nothing"
        del self.saved[a % len(self.saved) + 1 :]  # what came after never was
        number, stored = self.saved[-1]
        await self.keys.rewind(number)
        self.stored = stored.copy()
        return "ok"

    async def _load(self, _a: int, _b: int) -> str:
        self._snapshot(await load(self.redis, self.number))
        return "read"

    # --- the reader of the feed ---

    async def _read(self, _a: int, _b: int) -> str:
        before = self.feed.applied[self.number]
        if not self.loaded:
            await self._reload()
            return "read"
        try:
            entries = await self.feed.read(block_ms=1)
        except FeedGapError:
            await self._reload()
            return "read"
        for entry in entries:
            for row, *flat in entry.rows:
                for name, amount in zip(flat[::2], flat[1::2], strict=True):
                    self.cells.pop((row, name), None)
                    if amount != "":
                        self.cells[row, name] = int(amount)
            self.feed.applied[self.number] = entry.end
            prefix = self.log.at(entry.end)
            self._must(entry.counts, prefix.counts, "an entry's counts")
            self._must(entry.watermark_us, prefix.watermark, "an entry's watermark")
        if not entries and await self.feed.silent_gaps():
            await self._reload()
        self._right(before)
        return "read"

    async def _silence(self, _a: int, _b: int) -> str:
        found = await self.feed.silent_gaps()
        self._must(found, [self.number] if self.stored.offset > self.feed.applied[self.number] else [], "silent gaps")
        return "read"

    async def _restart_reader(self, _a: int, _b: int) -> str:
        """A new one: what was published last is the least that it may adopt, and it has nothing until it has loaded."""
        applied = self.feed.applied[self.number]
        self.feed = FeedReader(self.redis, [self.number])
        self.feed.applied[self.number] = applied
        self.loaded = False
        await self._reload()
        return "read"

    async def _reload(self) -> None:
        before = self.feed.applied[self.number]
        snapshot = await self.feed.load(self.number)
        self._must(snapshot is None, self.stored.offset < before, "whether a load is adopted")
        if snapshot is not None:
            self._snapshot(snapshot)
            self.cells = {
                (row, f): int(n)
                for row, flat in snapshot.rows.items()
                for f, n in zip(flat[::2], flat[1::2], strict=True)
            }
            self.loaded = True
        self._right(before)

    def _right(self, before: int) -> None:
        applied = self.feed.applied[self.number]
        if applied < before:
            raise Mismatch(f"applied goes back from {before} to {applied}")
        if self.loaded:
            rows = self.log.at(applied).rows
            self._must(self.cells, {(r, f): n for r, cells in rows.items() for f, n in cells.items()}, "reader's cells")


def made_commands(random: Random) -> list[Command]:
    """A sequence: mostly short, so that much of it is told by few commands."""
    names, weights = list(WEIGHTS), list(WEIGHTS.values())
    chosen = random.choices(names, weights, k=random.choice([4, 8, 12, 16, 24]))
    return [("acquire", 0, 0), *((name, random.choice((0, 0, 0, 1, 2)), random.randrange(20)) for name in chosen)]
