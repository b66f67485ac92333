"""The log of one partition and what follows from it: the fold that an ingest worker makes of it, record by record.

Three cells stand for all: a flow, its day cell, and a stock. Everything that must agree at an offset is in a `Mirror`:
cells, sequence windows, counts, watermark, catalogue version. `truth` is the same fold from the first record.
"""

from functools import cache
from typing import NamedTuple

from model_rules import ON, Rule

NOT_YET = -1  # no watermark


class Event(NamedTuple):
    """A flow without a period (so it has a day cell) or a stock; `since`: first catalogue version that knows it."""

    source: int
    seq: int
    at: int
    value: int
    stock: bool = False
    since: int = 1


class NewCatalogue(NamedTuple):
    """A record that brings a newer catalogue into force for what stands behind it."""

    version: int


class Cells(NamedTuple):
    """A flow, its day cell, a stock (`()` while there is none, else (value, at, source, seq))."""

    flow: int = 0
    day: int = 0
    stock: tuple = ()


class Meta(NamedTuple):
    """What travels with the cells."""

    watermark: int = NOT_YET
    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    catalogue: int = 1


class Mirror(NamedTuple):
    """State of one partition as its owner holds it, and Redis: `windows` are the (source, seq) accepted."""

    cells: Cells = Cells()
    meta: Meta = Meta()
    windows: tuple = ()


def _take(mirror: Mirror, record: tuple, rules: frozenset, version: int) -> Mirror:
    cells, meta, windows = mirror
    if isinstance(record, NewCatalogue):
        return mirror._replace(meta=meta._replace(catalogue=record.version))
    in_force = meta.catalogue if Rule.CATALOGUE_IN_LOG in rules else version
    if record.since > in_force:
        return mirror._replace(meta=meta._replace(rejected=meta.rejected + 1))
    if (record.source, record.seq) in windows:
        return mirror._replace(meta=meta._replace(duplicate=meta.duplicate + 1))
    if record.stock:
        stock = (record.value, record.at, record.source, record.seq)
        compared = slice(1, 4) if Rule.STOCK_KEEPS_ORDER in rules else slice(1, 2)
        if not cells.stock or stock[compared] >= cells.stock[compared]:
            cells = cells._replace(stock=stock)
    else:
        cells = cells._replace(flow=cells.flow + record.value, day=cells.day + record.value)
    meta = meta._replace(accepted=meta.accepted + 1, watermark=max(meta.watermark, record.at))
    return Mirror(cells, meta, tuple(sorted((*windows, (record.source, record.seq)))))


@cache
def fold(mirror: Mirror, records: tuple, rules: frozenset, version: int) -> Mirror:
    """`records` added to `mirror`; `version`: the catalogue that is published by now (only without its rule)."""
    for record in records:
        mirror = _take(mirror, record, rules, version)
    return mirror


@cache
def truth(log: tuple, offset: int, rules: frozenset = ON) -> Mirror:
    """What holds at `offset`: the fold of the log up to there. `rules`: how a stock is kept."""
    return fold(Mirror(), log[:offset], rules, 1)


@cache
def greatest(log: tuple) -> tuple:
    """The stock that must result in whatever order the events of `log` came: the greatest (at, source, seq)."""
    return max(((e.value, e.at, e.source, e.seq) for e in log if getattr(e, "stock", False)), key=lambda s: s[1:])


def changed(before: Cells, after: Cells) -> tuple:
    """The rows of a feed entry: absolute values of what changed, `None` elsewhere."""
    return tuple(new if new != old else None for old, new in zip(before, after, strict=True))


def applied(cells: Cells, rows: tuple) -> Cells:
    """`cells` after a feed entry's `rows`."""
    return Cells(*(old if new is None else new for old, new in zip(cells, rows, strict=True)))


def evaluate(cells: Cells, definition: int) -> tuple:
    """What a definition publishes, by key: the first one flow and day, the second flow and stock."""
    stock = cells.stock[0] if cells.stock else 0
    pairs = (("flow", cells.flow), ("day", cells.day)) if definition == 1 else (("flow", cells.flow), ("stock", stock))
    return tuple((key, value) for key, value in pairs if value)
