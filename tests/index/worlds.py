"""Small worlds for tests, and the ledger that turns events into the rows that Redis would hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from index.board import Board
from index.catalogue import Catalogue, Entity, Indicator, Industry, Limits, Merger
from index.cells import CellStore, Partition
from index.definition import Definition
from tests.index.oracle import Event, World, own_period

CITIES = ["c1", "c2", "c3", "c4", "c5"]
GROUPS = {
    "prov:a": ("prov", ["c1", "c2", "c3"]),
    "prov:b": ("prov", ["c4", "c5"]),
    "circle:x": ("circle", ["c2", "c4"]),
    "circle:y": ("circle", ["c2", "c3", "c5"]),  # overlaps with x
    "circle:z": ("circle", []),
    "nation:n": ("nation", CITIES),
}
INDICATORS = {"pay": ("flow", ""), "cloud": ("flow", "trade"), "users": ("stock", ""), "ai": ("flow", "")}


def catalogue(
    cities: Sequence[str] = CITIES,
    groups: dict[str, tuple[str, list[str]]] = GROUPS,
    version: int = 1,
    base_kind: str = "city",
    timezone: str = "Asia/Shanghai",
    indicators: dict[str, tuple[str, str]] = INDICATORS,
    mergers: Sequence[tuple[str, str, str]] = (),
) -> Catalogue:
    return Catalogue(
        name="test",
        version=version,
        timezone=timezone,
        base_kind=base_kind,
        years=(2019, 2025),
        limits=Limits(),
        entities=tuple(Entity(c, base_kind, c.upper()) for c in cities)
        + tuple(Entity(g, k, g) for g, (k, _) in groups.items()),
        members={g: tuple(m) for g, (_, m) in groups.items()},
        indicators=tuple(Indicator(code, code, "", kind, "x", 2, set_) for code, (kind, set_) in indicators.items()),
        industries=(Industry("trade", "retail", "Retail"), Industry("trade", "food", "Food")),
        mergers=tuple(Merger(*line) for line in mergers),
    ).checked("test")


def world(**changes: Any) -> World:
    """A world over the catalogue above: indicators of both kinds in two layers, overlapping groups, ten rankings."""
    settings: dict[str, Any] = {
        "cities": list(CITIES),
        "groups": dict(GROUPS),
        "stocks": {"users"},
        "tree": {"index": [("digital", 0.6), ("ai", 0.4)], "digital": [("pay", 0.7), ("cloud", 0.2), ("users", 0.1)]},
        "base": "2021Q1",
        "scale": 100.0,
        "grains": ["quarter", "year"],
        "kinds": ["prov", "circle", "nation"],
        "nation": "nation:n",
        "grace_s": 3600,
        "renormalise": True,
        "min_coverage": 0.3,
        "mean_yoy_from": "2021Q4",
        "rankings": [
            {"name": "cities", "rows": "city", "measure": "value"},
            {"name": "cities-growth", "rows": "city", "measure": "growth"},
            {"name": "in-circle", "rows": "city", "measure": "value", "scope": "circle", "rank_decimals": 0},
            {"name": "in-prov-growth", "rows": "city", "measure": "growth", "scope": "prov", "rank_decimals": 2},
            {"name": "provinces", "rows": "prov", "measure": "pop", "grains": ["quarter"]},
            {"name": "digital", "rows": "city", "measure": "yoy", "node": "digital"},
            {"name": "steady", "rows": "city", "measure": "mean_yoy", "node": "digital", "scope": "circle"},
            {"name": "parts", "rows": "prov", "measure": "share"},
            {"name": "parts-in-circle", "rows": "city", "measure": "share", "scope": "circle", "node": "ai"},
            {"name": "to-date", "rows": "circle", "measure": "to_date"},
        ],
    }
    return World(**(settings | changes))


def toml(world: World, version: int = 1) -> str:
    """The definition of a world."""

    def write(value: Any) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, list):
            return "[" + ", ".join(map(write, value)) + "]"
        return repr(value).replace("'", '"') if isinstance(value, str) else repr(value)

    lines = ['system = "test"', f"version = {version}", 'title = "Test"']
    for key in ("base", "scale", "grains", "nation", "grace_s", "renormalise", "min_coverage", "mean_yoy_from",
                "mean_yoy_step", "normalise", "group_rule"):  # fmt: skip
        if getattr(world, key) is not None:
            lines.append(f"{key} = {write(getattr(world, key))}")
    lines.append(f"groups = {write(world.kinds)}")
    lines.append(f"mergers = {write(world.merger_rule)}")
    made = {industry for _, only, _ in world.families.values() for industry in only}
    for node, children in world.tree.items():
        if node in made:
            continue
        lines.append("[tree]" if node == "index" else f'[tree."{node}"]')
        if node in world.families:
            which, only, children = world.families[node]
            lines += [f"industries = {write(which)}", f"only = {write(only)}"]
        lines.append(f"children = {write([c for c, _ in children])}")
        if world.aggregates.get(node) == "sum" and node not in world.families:
            lines.append('aggregate = "sum"')
            continue
        lines.append(f"weights = {write([w for _, w in children])}")
        if node in world.aggregates and node not in world.families:
            lines.append(f"aggregate = {write(world.aggregates[node])}")
    for leaf, options in world.options.items():
        lines.append(f'[indicator."{leaf}"]')
        lines += [f"{key} = {write(value)}" for key, value in options.items()]
    for ranking in world.rankings:
        lines.append("[[ranking]]")
        lines += [f"{key} = {write(value)}" for key, value in ranking.items()]
    return "\n".join(lines)


class Ledger:
    """What Redis would hold: adds events up, and tells the rows that changed, or all, as absolute values."""

    def __init__(self, stocks: Iterable[str]) -> None:
        self.stocks = set(stocks)
        self.rows: dict[int, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))

    def add(self, events: Iterable[Event]) -> dict[int, list[list[Any]]]:
        """Count events; returns the changed rows per partition, as the feed has them."""
        changed: dict[int, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
        for e in events:
            row, field = f"cells:{own_period(e)}:{e.city}", f"{e.indicator}/{e.industry}"
            held = self.rows[e.partition][row]
            if e.indicator in self.stocks:
                entry = (e.at_us, e.source, e.seq, "-" if e.drop else e.value)
                if field not in held or entry[:3] > held[field][:3] or (not e.drop and entry > held[field]):
                    held[field] = entry
            else:
                put(held, field, e)
            changed[e.partition][row][field] = held.get(field, "")
            if e.period is None and e.indicator not in self.stocks:
                row, field = f"days:{own_period(e)}:{e.city}", f"{e.indicator}@{e.day.isoformat()}"
                held = self.rows[e.partition][row]
                put(held, field, e)
                changed[e.partition][row][field] = held.get(field, "")
        return {p: [flat(row, fields) for row, fields in rows.items()] for p, rows in changed.items()}

    def load(self, partition: int) -> list[list[Any]]:
        """All rows of a partition as a full load has them: every value text."""
        return [flat(row, {f: wire(v) if isinstance(v, tuple) else str(v) for f, v in fields.items()})
                for row, fields in self.rows[partition].items()]  # fmt: skip


def put(held: dict[str, Any], field: str, e: Event) -> None:
    """Add to a flow's cell, or end it where it holds 0."""
    if not e.drop:
        held[field] = held.get(field, 0) + e.value
    elif held.get(field) == 0:
        del held[field]


def wire(entry: tuple[int, str, int, int | str]) -> str:
    at_us, source, seq, value = entry
    return f"{value} {at_us} {seq} {source}"


def flat(row: str, fields: dict[str, Any]) -> list[Any]:
    return [row] + [x for f, v in fields.items() for x in (f, wire(v) if isinstance(v, tuple) else v)]


class Engine:
    """A store and a board over a world, and what a consumer of the topics has seen."""

    def __init__(self, world: World, catalogue_: Catalogue | None = None) -> None:
        self.world = world
        self.catalogue = catalogue_ or catalogue(mergers=world.mergers)
        self.definition = Definition.parse(toml(world), self.catalogue)
        self.ledger = Ledger(world.stocks)
        self.store = CellStore(self.catalogue)
        self.board = Board(self.definition, self.catalogue)
        self.published: dict[str, dict[str, Any]] = {}
        self.tables: dict[Any, dict[str, Any]] = {}
        self.ranks: dict[Any, dict[str, tuple[int, float]]] = {}

    def send(self, events: Sequence[Event]) -> None:
        self.world.events.extend(events)
        for partition, rows in self.ledger.add(events).items():
            self.board.apply(self.store.apply(Partition(partition), rows))

    def set_watermark(self, us: int | None) -> None:
        self.world.watermark = us
        self.board.watermark(us)

    def restart(self) -> None:
        """A new worker: loads the cells, reads back what was published."""
        self.store = CellStore(self.catalogue)
        self.board = Board(self.definition, self.catalogue)
        self.board.restore(list(self.published.values()))
        for partition in list(self.ledger.rows):
            self.board.apply(self.store.replace(Partition(partition), self.ledger.load(partition)))
        self.board.watermark(self.world.watermark)
