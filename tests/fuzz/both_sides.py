"""One log through both: the product's decode path, batch by batch, and the slow oracle, message by message.

The oracle is verify's own acceptance (`workers/verify`), which shares no code with the product. What is compared: of
each rejected element the reason, the bytes and the record's time; the counts; every cell; the windows; the watermark;
the catalogue in force.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np

from index.catalogue import Catalogue
from state.keys import Partition
from stream.batches import Batch
from stream.letters import Letter
from tests.fuzz.made_logs import Record
from tests.state.test_aggregates import Mirror
from workers.intake import Intake
from workers.verify.accept import COLUMNS, Accepted, Judge
from workers.verify.catalogue import parse_catalogue
from workers.verify.checks import Checks
from workers.verify.messages import Unreadable, elements


class Result(NamedTuple):
    """What became of one partition's log. `rejects`: (offset, element) -> (reason, bytes, record's time in ms)."""

    rejects: dict[tuple[int, int], tuple[str, bytes, int]]
    counts: dict[str, int]
    rows: dict[str, dict[str, str]]
    windows: dict[str, str]
    watermark_us: int | None
    catalogue: int


class Product:
    """An ingest worker's way from a read to what Redis would hold, without Kafka and Redis."""

    def __init__(self, catalogue: Catalogue, partitions: int) -> None:
        self.mirrors = {p: Mirror(catalogue) for p in range(partitions)}
        self.letters: list[Letter] = []
        self.intake = Intake()

    def read(self, records: list[Record]) -> None:
        """One read: runs of a partition, each in the order of its log."""
        batch = Batch(
            partition=np.array([r.partition for r in records], dtype=np.int32),
            offset=np.array([r.offset for r in records], dtype=np.int64),
            timestamp_ms=np.array([r.timestamp_ms for r in records], dtype=np.int64),
            values=[r.value for r in records],
            messages=cast(Any, records),
        )
        owned = {Partition(p): SimpleNamespace(aggregates=m.aggregates, lost=None) for p, m in self.mirrors.items()}
        for share in list(self.intake.shares(batch, cast(Any, owned))):
            mirror = self.mirrors[share.partition]
            letters, rows = self.intake.add(mirror.aggregates, share)
            mirror.flushed(mirror.aggregates.flush_batch(share.end, rows))
            self.letters += letters
            if share.new_catalogue is not None:
                mirror.restore(share.new_catalogue)

    def result(self, partition: int) -> Result:
        """What became of a partition."""
        mirror = self.mirrors[partition]
        mine = [letter for letter in self.letters if letter.partition == partition]
        rejects = {(each.offset, each.element): (each.reason, each.raw, each.timestamp_ms) for each in mine}
        assert len(rejects) == len(mine), "two dead letters of one position"
        return Result(
            rejects, mirror.counts, mirror.rows, mirror.windows, mirror.watermark_us, mirror.catalogue.version
        )


def played(
    catalogue: Catalogue, logs: list[list[Record]], random: Random | None, told: Callable[[Record, float], None]
) -> Product:
    """Read `logs` one message at a time (`random` is None; `told` hears each one's seconds), or in random reads of one
    or more partitions, with take-overs between.
    """
    product = Product(catalogue, len(logs))
    if random is None:
        for log in logs:
            for record in log:
                began = time.perf_counter()
                product.read([record])
                told(record, time.perf_counter() - began)
        return product
    # A log is read whole, run by run: what lies behind a catalogue record in a read comes again, as after a seek.
    while True:
        records: list[Record] = []
        left = [p for p, log in enumerate(logs) if log and product.mirrors[p].offset <= log[-1].offset]
        if not left:
            return product
        for p in sorted(random.sample(left, random.randint(1, len(left)))):
            begin = next(i for i, r in enumerate(logs[p]) if r.offset >= product.mirrors[p].offset)
            again = max(0, begin - random.choice([0, 0, 0, 3]))
            records += logs[p][again : begin + random.choice([1, 5, 50, 400])]
        product.read(records)
        if random.random() < 0.05:
            mirror = product.mirrors[random.choice(list(product.mirrors))]
            mirror.restore(mirror.catalogue)


class _Told(Counter[str]):
    """Counts, and remembers in which order."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []

    def __setitem__(self, name: str, n: int) -> None:
        self.order.append(name)
        super().__setitem__(name, n)


def judged(catalogue: Catalogue, log: list[Record]) -> Result:
    """The oracle's word on one partition's log; `catalogue` stands for the partition's first record."""
    import json

    accepted, told = Accepted(), _Told()
    judge = Judge(0, Checks(parse_catalogue(json.loads(catalogue.to_json()))), accepted, [2**62])
    judge._counts = told
    rejects: dict[tuple[int, int], tuple[str, bytes, int]] = {}
    stocks: dict[int, tuple[int, str, int, int | None]] = {}
    for record in log:
        limits = judge.catalogues[-1]
        told.order.clear()
        judge.record(record.offset, record.timestamp_ms, record.own_key, record.value)
        parts: list[bytes] | None = None
        for element, outcome in enumerate(told.order):
            if outcome.startswith("rejected:"):
                if parts is None:
                    parts = _parts(record.value, limits.message_bytes, limits.event_bytes)
                rejects[record.offset, element] = outcome.removeprefix("rejected:"), parts[element], record.timestamp_ms
        _keep_levels(accepted, stocks)
    judge.finish()
    last = judge.snapshots[2**62]
    assert last.catalogue is not None
    rows: dict[str, dict[str, str]] = {}
    for number, (_, period, city, indicator, industry, flow) in enumerate(accepted.cells):
        if number in accepted.ended_cells:
            continue
        at_us, source, seq, s = (0, "", 0, accepted.cell_sums[number]) if flow else stocks[number]
        rows.setdefault(f"cells:{period}:{city}", {})[f"{indicator}/{industry}"] = (
            str(s) if flow else f"{'-' if s is None else s} {at_us} {seq} {source}"
        )
    for number, (_, month, city, indicator, date) in enumerate(accepted.days):
        if number in accepted.ended_days:
            continue
        rows.setdefault(f"days:{month}:{city}", {})[f"{indicator}@{date}"] = str(accepted.day_sums[number])
    windows = {source: f"{top}:{bits:x}" for source, (top, bits) in last.windows.items()}
    return Result(rejects, last.counts, rows, windows, last.watermark, last.catalogue.version)


def _keep_levels(accepted: Accepted, stocks: dict[int, tuple[int, str, int, int | None]]) -> None:
    """Of each stock's cell the latest level; the rows are given back."""
    names, width = list(accepted.sources), len(COLUMNS)
    for i in range(0, len(accepted.rows), width):
        cell, _, _, _, source, seq, at_us, s, dropped = accepted.rows[i : i + width]
        if not accepted.cells[cell][5]:
            level = at_us, names[source], seq, None if dropped else s
            stocks[cell] = max(level, stocks.get(cell, level), key=lambda each: each[:3])
    del accepted.rows[:]


def _parts(value: bytes | None, message_bytes: int, event_bytes: int) -> list[bytes]:
    """The bytes that a dead letter of each element should hold."""
    try:
        elements(value, message_bytes, event_bytes)
    except Unreadable:
        return [value or b""]
    assert value is not None
    text = value.strip(b" \t\r\n")
    return split(text) if text[:1] == b"[" else [value]


def split(text: bytes) -> list[bytes]:
    """The elements of an array that is well-formed JSON, byte by byte."""
    out: list[bytes] = []
    depth = begin = 0
    inside = escaped = False
    for place, byte in enumerate(text):
        if inside:
            inside = escaped or byte != 0x22
            escaped = byte == 0x5C and not escaped
        elif byte == 0x22:
            inside = True
        elif byte in b"[{":
            depth += 1
            begin = begin or place + 1
        elif byte in b"]}":
            depth -= 1
        if not inside and ((byte == 0x2C and depth == 1) or depth == 0):
            out.append(text[begin:place].strip(b" \t\r\n"))
            begin = place + 1
    return [] if out == [b""] else out


def differences(one: Result, other: Result) -> list[str]:
    """What is not the same, in words; `one` is the product's."""
    out = []
    for name, mine, theirs in zip(Result._fields, one, other, strict=True):
        if mine == theirs:
            continue
        if isinstance(mine, dict) and isinstance(theirs, dict):
            keys = [k for k in {**mine, **theirs} if mine.get(k) != theirs.get(k)]
            out += [f"{name} {k}: product {mine.get(k)!r:.300}, oracle {theirs.get(k)!r:.300}" for k in keys[:3]]
        else:
            out.append(f"{name}: product {mine!r:.300}, oracle {theirs!r:.300}")
    return out
