"""The player: the figures of a published table as events, played through the engine.

    play = Player(text("dti-2022", ranking), world())
    play.spread("index", {("330100", "2022Q1"): 5.2, ...})     the value of a node, by giving all its leaves that total
    play.give("dti.ecommerce", "330100", "2022Q1", 12.5)       one leaf's total
    play.table("cities", "2022Q1")["330100"].rank

What is sent are events (`tests.index.oracle.Event`); they become rows as Redis would hold them, and these are fed to
`CellStore` and `Board`, what came since the last look as one revision. Under base-share a node whose leaves all have
the totals T(city, period) stands at scale * T(city, period) / (sum of T over the cities in the base period), so totals
are index points where that sum is the scale.
"""

from __future__ import annotations

import csv
import functools
import itertools
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from index.board import Board
from index.catalogue import Catalogue
from index.cells import CellStore, Partition
from index.definition import Definition
from index.diff import TableKey
from tests.index.oracle import Event
from tests.index.worlds import Ledger

PROJECT = Path(__file__).parents[2]
DATA = PROJECT / "tests" / "data" / "published"
SYSTEMS = PROJECT / "systems"
LATE = "2025-06-01T12:00:00+08:00"  # when every event happens: behind the end of every period, so all are closed
LATE_US = 1_748_750_400_000_000
UNIT = 10**8  # integer units of a total of 1: growths come out to 1e-8 and a year of national totals stays below 10^15


# a base total of 96.1 points, which is the scale of dci-2020, so that its totals are points
DCI_BASE = {("110000", "2015"): 96.1}


class Row(NamedTuple):
    """A row of a ranking's table."""

    rank: int
    value: float
    change: int | None
    change_year: int | None


def rows(name: str, **where: str) -> list[dict[str, str]]:
    """The rows of a published table that have those texts in those columns."""
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if all(row[key] == value for key, value in where.items())]


@functools.cache
def world() -> Catalogue:
    """The project's catalogue."""
    return Catalogue.load(SYSTEMS / "catalogue")


@functools.cache
def code_of(name: str, kind: str) -> str:
    """The code of a Chinese name in the project's catalogue; for a group that is not there, KeyError."""
    return {entity.name: entity.code for entity in world().entities if entity.kind == kind}[name]


@functools.cache
def cities() -> list[str]:
    """The codes of all cities, without those merged into others."""
    merged = {merger.code for merger in world().mergers}
    return [entity.code for entity in world().entities if entity.kind == "city" and entity.code not in merged]


def text(system: str, *rankings: str | Mapping[str, Any], **instead: Any) -> str:
    """A definition of the project with these rankings and no others: the name of one that it declares, or a new one.

    `instead`: other values of top-level keys.
    """
    source = (SYSTEMS / f"{system}.toml").read_text(encoding="utf-8")
    declared = {ranking["name"]: ranking for ranking in tomllib.loads(source)["ranking"]}
    source = re.sub(r"^ranking = \[.*?^\]$", "", source, flags=re.DOTALL | re.MULTILINE)
    source = re.sub(r"^\[\[ranking\]\].*?(?=^\[|\Z)", "", source, flags=re.DOTALL | re.MULTILINE)
    head, mark, tail = source.partition("\n[")
    lines = [line for line in head.splitlines() if line.partition("=")[0].strip() not in instead]
    lines += [f"{key} = {json.dumps(value)}" for key, value in instead.items()]
    for chosen in rankings:
        ranking = declared[chosen] if isinstance(chosen, str) else chosen
        tail += "\n[[ranking]]\n" + "".join(f"{k} = {json.dumps(v, ensure_ascii=False)}\n" for k, v in ranking.items())
    return "\n".join(lines) + mark + tail


@functools.cache
def tree_of(definition: str) -> dict[str, Any]:
    """The `[tree]` of a definition's text."""
    tree: dict[str, Any] = tomllib.loads(definition)["tree"]
    return tree


def leaves(definition: str, node: str = "index") -> list[str]:
    """The leaves below a node, each once, read from the text (not by the engine)."""
    tree = tree_of(definition)
    nodes = {"index": tree} | {name: value for name, value in tree.items() if isinstance(value, dict)}
    if node not in nodes:
        owner = [n for n in nodes.values() if node in industries_of(n)]
        return [f"{child}/{node}" for child in owner[0]["children"]] if owner else [node]
    if "industries" in nodes[node]:
        return [f"{child}/{i}" for i in industries_of(nodes[node]) for child in nodes[node]["children"]]
    below = [leaf for child in nodes[node]["children"] for leaf in leaves(definition, child)]
    return list(dict.fromkeys(below))


def industries_of(node: Mapping[str, Any]) -> list[str]:
    """The industries of a node that has one child for each of a set."""
    known = [i.code for i in world().industries if i.set == node.get("industries")]
    return [i for i in known if i in node.get("only", known)]


class Player:
    """Events of one system, and what the engine makes of them."""

    def __init__(self, definition: str, catalogue: Catalogue) -> None:
        self.text = definition
        self.catalogue = catalogue
        self.definition = Definition.parse(definition, catalogue)
        self.events: list[Event] = []
        self._source = f"report-{self.definition.system}"
        self._indicators = {indicator.code: indicator for indicator in catalogue.indicators}
        self._industry = {industry.set: industry.code for industry in reversed(catalogue.industries)}
        self._ledger = Ledger(i.code for i in catalogue.indicators if i.kind == "stock")
        self._store, self._board = CellStore(catalogue), Board(self.definition, catalogue)
        self._board.watermark(LATE_US)
        self._played = 0
        self._updates: dict[str, dict[str, Any]] = {}

    def send(self, leaf: str, city: str, period: str, units: int) -> None:
        """An event of so many units of 10^-decimals. `leaf`: indicator or indicator/industry; an indicator that has
        industries and is named without gets the first of its set."""
        code, _, industry = leaf.partition("/")
        industry = industry or self._industry.get(self._indicators[code].industries, "all")
        number = len(self.events)
        self.events.append(Event(number % 2, self._source, number, city, code, industry, units, LATE_US, period))

    def give(self, leaf: str, city: str, period: str, value: float) -> None:
        """A leaf's amount in the unit of its indicator."""
        self.send(leaf, city, period, round(value * 10 ** self._indicators[leaf.partition("/")[0]].decimals))

    def spread(self, node: str, totals: Mapping[tuple[str, str], float], unit: int = UNIT) -> None:
        """The same total to every leaf below a node, by (city, period)."""
        for leaf in leaves(self.text, node):
            for (city, period), total in totals.items():
                self.send(leaf, city, period, round(total * unit))

    def more(self, leaf: str, city: str, period: str, value: float) -> list[dict[str, Any]]:
        """One more event on its own; the updates that it makes the engine publish."""
        assert self.board
        before = dict(self._updates)
        self.give(leaf, city, period, value)
        assert self.board
        return [update for key, update in self._updates.items() if update is not before.get(key)]

    @property
    def board(self) -> Board:
        """The board that has taken in all events, with all periods closed."""
        if self._played < len(self.events):
            for partition, changed in self._ledger.add(self.events[self._played :]).items():
                self._board.apply(self._store.apply(Partition(partition), changed))
            self._played = len(self.events)
            self._updates |= {f"{u['entity']}/{u['period']}": u for u in self._board.diff().updates}
        return self._board

    def update(self, entity: str, period: str) -> dict[str, Any]:
        """The published update of an entity in a period."""
        assert self.board
        return self._updates[f"{entity}/{period}"]

    def value(self, entity: str, period: str, node: str = "index") -> float:
        """A published value."""
        update = self.update(entity, period)
        found = update["value"] if node == "index" else update["nodes"][node]
        assert found is not None, (entity, period, node, update["why"])
        return float(found)

    def table(self, ranking: str, period: str, scope: str | None = None) -> dict[str, Row]:
        """A published table, by entity, in its order."""
        return rows_of(self.board.table(TableKey(ranking, period, scope)))

    def messages(self, size: int = 200) -> Iterator[tuple[int, bytes]]:
        """The events as messages of `indicator-events`: (partition, JSON array)."""
        for partition in (0, 1):
            mine = [event for event in self.events if event.partition == partition]
            for first in range(0, len(mine), size):
                yield partition, json.dumps([self._wire(event) for event in mine[first : first + size]]).encode()

    def _wire(self, event: Event) -> dict[str, Any]:
        indicator = self._indicators[event.indicator]
        return {
            "source": event.source, "seq": event.seq, "city": event.city, "indicator": event.indicator,
            "industry": event.industry, "op": "add" if indicator.kind == "flow" else "set",
            "value": event.value / 10**indicator.decimals, "at": LATE, "period": event.period,
        }  # fmt: skip


def rows_of(table: Mapping[str, Any]) -> dict[str, Row]:
    """The rows of a table as published, by entity."""
    c = table["rows"]
    columns = zip(c["entity"], c["rank"], c["value"], c["change"], c["change_year"], strict=True)
    return {entity: Row(*rest) for entity, *rest in columns}


def printed(number: float, as_in: str, digits: int | None = None) -> bool:
    """Whether a number rounds to what is printed. `digits`: decimals that the table prints; else those that stand
    there. A number on the edge between two is taken for either."""
    places = len(as_in.partition(".")[2]) if digits is None else digits
    return abs(number - float(as_in)) <= 0.5 * 10**-places * (1 + 1e-9)


def inside_tie(rank: int, found: Row, table: Iterable[Row]) -> bool:
    """Whether a printed rank is one of the places that a tie at the published precision takes."""
    return found.rank <= rank < found.rank + sum(other.rank == found.rank for other in table)


def ordered(codes: Sequence[str], top: float = 100.0, step: float = 0.97) -> dict[str, float]:
    """Made-up totals that fall in the order of the codes."""
    return {code: top * step**place for place, code in enumerate(codes)}


def before(now: Sequence[str], changes: Mapping[str, int]) -> dict[str, int]:
    """The previous ranks that printed changes imply: the code at place p of `now` stood at p + change. The places that
    this leaves open go to the codes without a change, in their order. Two may have stood at the same place: a tie."""
    ranks = {code: place + changes[code] for place, code in enumerate(now, start=1) if code in changes}
    taken: set[int] = set()
    for rank in sorted(ranks.values()):
        taken.add(next(place for place in itertools.count(rank) if place not in taken))
    free = (place for place in itertools.count(1) if place not in taken)
    return ranks | {code: next(free) for code in now if code not in ranks}


def at_ranks(ranks: Mapping[str, int], top: float = 100.0, step: float = 0.97) -> dict[str, float]:
    """Made-up totals that give these ranks."""
    return {code: top * step ** (rank - 1) for code, rank in ranks.items()}
