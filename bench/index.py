"""What the index worker's pure part costs, without servers: `python -m bench.index`.

Rows 5 and 6 of DESIGN section 8: one changed cell at 351 and at 40,000 cities; the base period restated; and, beside
them, what a revision costs when every city moved, and a changed cell on its way into the store.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import numpy as np
import typer

from bench.common import SYSTEM, emit, load, machine, note, notes, say_machine, table, verdict, versions
from index.board import Board
from index.catalogue import Catalogue, Entity
from index.cells import CellStore, Partition
from index.definition import Definition
from index.evaluate import evaluate
from index.normalise import Base
from index.periods import Grain, Period
from stream.messages import Counts
from workers.hub import Cut
from workers.output import told
from workers.revision import RevisionWriter
from workers.settings import Settings

BUDGET_GROWTH, BUDGET_BASE_MS = 2.0, 10.0
FIRST, QUARTERS = "2021Q1", 9
P = Partition(0)


def widened(catalogue: Catalogue, cities: int) -> Catalogue:
    """The catalogue with `cities` base entities; each stands in for a real one, in all of its groups."""
    real = catalogue.cities
    codes = [f"{i:06d}" for i in range(cities)]
    groups = [e for e in catalogue.entities if e.kind != catalogue.base_kind]
    by_city = {code: [codes[k] for k in range(i, cities, len(real))] for i, code in enumerate(real)}
    return msgspec.structs.replace(
        catalogue,
        entities=(*(Entity(c, catalogue.base_kind, c) for c in codes), *groups),
        members={g: tuple(c for m in given for c in by_city[m]) for g, given in catalogue.members.items()},
        mergers=(),
    ).checked("bench")


class World:
    """A board over full cells: QUARTERS quarters of every city and indicator, all published once."""

    def __init__(self, cities: int, days: bool) -> None:
        """`days`: day cells for the last two quarters as well, so that growth to date is computed."""
        settings = Settings()
        self.catalogue = widened(Catalogue.load(settings.catalogue), cities)
        text = (settings.systems / f"{SYSTEM}.toml").read_text(encoding="utf-8")
        self.definition = Definition.parse(text, self.catalogue, SYSTEM)
        self.rng = np.random.default_rng(1)
        first = Period.parse(FIRST)
        self.quarters = [Period(Grain.QUARTER, first.ordinal + i).name for i in range(QUARTERS)]
        leaves = list(self.definition.tree.leaves)
        index = self.catalogue.indicator_index
        self.fields = [f"{leaf}/{self.catalogue.industry_codes[index[leaf]][0]}" for leaf in leaves]
        size = np.exp(self.rng.normal(12, 1.5, cities))
        self.amount: dict[tuple[str, str], np.ndarray] = {}
        self.store, self.board = CellStore(self.catalogue), Board(self.definition, self.catalogue)
        for q, quarter in enumerate(self.quarters):
            amounts = (size[:, None] * (1 + 0.03 * q) * np.exp(self.rng.normal(0, 0.1, (cities, len(leaves))))).astype(
                np.int64
            )
            rows = []
            for code, given in zip(self.catalogue.cities, amounts.tolist(), strict=True):
                row: list[Any] = [f"cells:{quarter}:{code}"]
                for field, value in zip(self.fields, given, strict=True):
                    row += (field, value)
                rows.append(row)
                self.amount[quarter, code] = np.array(given)
            self.board.apply(self.store.apply(P, rows, 1))
        if days:
            self._add_days(leaves)
        end = Period.parse(self.quarters[-1])
        self.board.watermark(self.catalogue.calendar.end_us(end) - 20 * 86_400_000_000)
        self.board.diff()

    def _add_days(self, leaves: list[str]) -> None:
        for quarter in self.quarters[-2:]:
            period = Period.parse(quarter)
            for code in self.catalogue.cities:
                months: dict[str, list[Any]] = {}
                for day in period.days():
                    date = str(np.datetime64(int(day), "D"))
                    row = months.setdefault(date[:7], [f"days:{date[:7]}:{code}"])
                    for leaf, amount in zip(leaves, self.amount[quarter, code].tolist(), strict=True):
                        row += (f"{leaf}@{date}", amount // 90)
                self.board.apply(self.store.apply(P, list(months.values()), 1))

    def change(self, quarter: str, cities: list[str], fields: int | None = None) -> list[list[Any]]:
        """Rows in which `fields` cells of each city (None: all) rose by one unit."""
        rows = []
        for code in cities:
            held = self.amount[quarter, code]
            chosen = range(len(held)) if fields is None else range(fields)
            row: list[Any] = [f"cells:{quarter}:{code}"]
            for i in chosen:
                held[i] += 1
                row += (self.fields[i], int(held[i]))
            rows.append(row)
        return rows


def timed(rounds: int, prepare: Callable[[], Any], do: Callable[[Any], Any]) -> list[float]:
    """Milliseconds of `do(prepare())`, `rounds` times."""
    found = []
    for _ in range(rounds):
        given = prepare()
        began = time.perf_counter()
        do(given)
        found.append((time.perf_counter() - began) * 1000)
    return found


def one_cell_ms(world: World, rounds: int) -> list[float]:
    """One cell of the open quarter changed: store, board, diff."""
    pick = world.rng.integers(0, len(world.catalogue.cities), rounds).tolist()

    def do(rows: list[list[Any]]) -> None:
        world.board.apply(world.store.apply(P, rows, 1))
        world.board.diff()

    chosen = iter(pick)
    return timed(rounds, lambda: world.change(world.quarters[-1], [world.catalogue.cities[next(chosen)]], 1), do)


def measure(cities: int, rounds: int) -> dict[str, Any]:
    """Everything; milliseconds unless the name says otherwise."""
    note("building 351 cities")
    small = World(351, days=True)
    plain = World(351, days=False)
    note(f"building {cities:,} cities")
    large = World(cities, days=False)
    gc.collect()
    gc.freeze()
    cells: dict[str, list[float]] = {"small": [], "large": []}
    for _ in range(rounds):
        cells["small"] += one_cell_ms(plain, 20)
        cells["large"] += one_cell_ms(large, 20)

    everyone, open_quarter, base = small.catalogue.cities, small.quarters[-1], small.quarters[0]
    store_ms = []
    writer = RevisionWriter(SYSTEM, 1)
    cut = Cut({"0": 1}, 1, Counts(rejected={}), 1)
    full_ms, records_ms, base_ms = [], [], []
    for _ in range(rounds):
        rows = small.change(open_quarter, everyone)
        began = time.perf_counter()
        changes = small.store.apply(P, rows, 1)
        store_ms.append((time.perf_counter() - began) * 1000)
        small.board.apply(changes)
        began = time.perf_counter()
        diff = small.board.diff()
        full_ms.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        records = writer.records(diff, [], [], 1, "feed", cut)
        records_ms.append((time.perf_counter() - began) * 1000)
        plain.board.apply(plain.store.apply(P, plain.change(base, [everyone[0]]), 1))
        began = time.perf_counter()
        plain.board.diff()
        base_ms.append((time.perf_counter() - began) * 1000)
    leaves, columns = len(small.fields), QUARTERS * 351
    amounts = small.rng.integers(1, 10**9, (leaves, columns))
    whole = Base(amounts[:, :351].sum(axis=1).astype(np.float64), np.ones(leaves, np.bool_))
    present = np.ones((leaves, columns), np.bool_)
    evaluate_ms = timed(rounds, lambda: None, lambda _: evaluate(small.definition, amounts, present, whole))
    mid = statistics.median
    return {
        "growth": round(mid(cells["large"]) / mid(cells["small"]), 3),
        "one_cell_ms": {"351": round(mid(cells["small"]), 4), str(cities): round(mid(cells["large"]), 4)},
        "base_evaluate_ms": round(mid(evaluate_ms), 3),
        "base_diff_ms": round(mid(base_ms), 3),
        "full_diff_ms": round(mid(full_ms), 3),
        "full_records_ms": round(mid(records_ms), 3),
        "full_records": len(records),
        "store_us_a_cell": round(mid(store_ms) * 1000 / (351 * leaves), 4),
        "rounds": rounds,
    }


def main(
    cities: Annotated[int, typer.Option(min=352, help="of the large world")] = 40_000,
    rounds: Annotated[int, typer.Option(min=1)] = 10,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")] = False,
) -> None:
    """Measure the pure part of the index worker."""
    with told():
        before = load()
        result = measure(cities, rounds)
        about = machine() | {"load_before": before}
        result |= {"machine": about, "versions": versions()}
        shown = table("index, medians", "what", "figure", "budget")
        small, large = result["one_cell_ms"].values()
        shown.add_row(f"one cell, 351 -> {cities:,} cities",
                      f"{small:.3f} -> {large:.3f} ms: {result['growth']:.2f} times",
                      f"<= {BUDGET_GROWTH} {verdict(result['growth'] <= BUDGET_GROWTH)}")  # fmt: skip
        shown.add_row("base restated, 351 x 8 x 9: evaluated", f"{result['base_evaluate_ms']:.2f} ms",
                      f"< {BUDGET_BASE_MS:.0f} ms {verdict(result['base_evaluate_ms'] < BUDGET_BASE_MS)}")  # fmt: skip
        shown.add_row("    with growths, ranks and updates of it all: diff()", f"{result['base_diff_ms']:.1f} ms", "")
        shown.add_row(
            "every cell of the open quarter moved, with growth to date: diff()", f"{result['full_diff_ms']:.1f} ms", ""
        )
        shown.add_row(f"    its {result['full_records']:,} records encoded", f"{result['full_records_ms']:.1f} ms", "")
        shown.add_row("a changed cell into the store", f"{result['store_us_a_cell']:.2f} us", "")
        notes.print(shown)
        say_machine(about, result["versions"])
        if json:
            emit(result)


if __name__ == "__main__":
    typer.run(main)
