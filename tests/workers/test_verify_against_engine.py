"""The two implementations of docs/formats.md against each other, without servers, bit for bit.

Definitions and events are random, a seed a test. Where they differ, the page decides which of them is wrong.
"""

import json
import random
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest

from index.board import Board
from index.catalogue import Catalogue as EngineCatalogue
from index.cells import CellStore
from index.cells import Partition as EnginePartition
from index.definition import Definition as EngineDefinition
from index.measures.table import MEASURES
from index.watermark import system_watermark as engine_watermark
from tests.workers import test_verify_world as worlds
from workers.verify.accept import Accepted, Judge
from workers.verify.batch import Batch, System
from workers.verify.catalogue import parse_catalogue
from workers.verify.checks import Checks
from workers.verify.compare import compare_values
from workers.verify.definition import parse_definition
from workers.verify.growth import system_watermark
from workers.verify.published import Published
from workers.verify.report import Report
from workers.verify.tables import compare_tables

END = {0: 10**6, 1: 10**6}
SEEDS = 60


@cache
def compared(seed: int) -> tuple[Report, Published, str]:
    """A random world through both; also what the engine would publish of it, and the definition."""
    rng = random.Random(seed)
    data = worlds.catalogue(rng)
    text = worlds.definition(rng, EngineCatalogue.from_json(json.dumps(data)))
    published, system = both(data, text, worlds.events(rng), rng)
    return compare(published, system), published, text


def compare(published: Published, system: System) -> Report:
    """As `verify` compares them."""
    report, definition = Report("t"), system.numbers.definition
    compare_values(report, published, system.values(), definition.inexact())
    measures = {each.name: (each.measure, each.node) for each in definition.rankings}
    compare_tables(report, published, system.tables(), measures)
    return report


def both(
    data: dict[str, Any], text: str, events: Iterable[dict[str, Any]], rng: random.Random
) -> tuple[Published, System]:
    """What the engine publishes of a catalogue, a definition and events, and what verify makes of them. `rng` spreads
    the events over two partitions.
    """
    theirs, mine = EngineCatalogue.from_json(json.dumps(data)), parse_catalogue(data)
    accepted = Accepted()
    judges = [Judge(p, Checks(mine), accepted, [END[p]]) for p in END]
    for offset, event in enumerate(events):
        judges[rng.randrange(2)].record(offset, 2 * 10**12, None, json.dumps(event).encode())
    for judge in judges:
        judge.finish()
    watermarks = [judge.snapshots[END[judge.partition]].watermark for judge in judges]
    assert system_watermark(watermarks) == engine_watermark(watermarks)
    batch = Batch()
    batch.names(accepted)

    board, store = Board(EngineDefinition.parse(text, theirs), theirs), CellStore(theirs)
    for p in END:
        rows: dict[str, list[str]] = {}
        for partition, row, name, cell in [*batch.cells(END), *batch.days()]:
            if partition == p:
                rows.setdefault(row, [row]).extend((name, cell))
        board.apply(store.replace(EnginePartition(p), rows.values(), 1))
    board.watermark(engine_watermark(watermarks))
    system = batch.system(parse_definition(text, mine), mine, END, system_watermark(watermarks))
    batch.close()
    return _published(board), system


def _published(board: Board) -> Published:
    diff = board.diff()
    published = Published({"revision": 1}, 0, [])
    published.updates = {(update["entity"], update["period"]): update for update in diff.updates}
    published.tables = {tuple(key): {**board.table(key), "revision": 1} for key in board.table_keys()}
    for delta in diff.deltas:
        key = delta["ranking"], delta["period"], delta["scope"]
        published.deltas.setdefault(key, []).append({**delta, "revision": 1})
    return published


@pytest.mark.parametrize("seed", range(1000, 1012))
def test_same_bits_where_cells_end(seed: int) -> None:
    rng = random.Random(seed)
    data = worlds.catalogue(rng)
    text = worlds.definition(rng, EngineCatalogue.from_json(json.dumps(data)))
    sent = list(worlds.with_drops(rng, worlds.events(rng)))
    report = compare(*both(data, text, sent, rng))
    assert not report.differences, f"{report.differences[:5]}\n{text}"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_same_bits(seed: int) -> None:
    report, _, text = compared(seed)
    assert not report.differences, f"{report.differences[:5]}\n{text}"


def test_the_worlds_hold_all_of_the_language() -> None:
    """Every measure has rows, every reason comes up, and so does every word of the tree: else the tests above would be
    hollow.
    """
    reasons, measures, words = Counter[str](), Counter[str](), set[str]()
    compared_of = Counter[str]()
    for seed in range(SEEDS):
        report, published, text = compared(seed)
        compared_of += report.compared
        words.update(word.strip('"') for word in text.split())
        for update in published.updates.values():
            reasons.update(update["why"].values())
        for table in published.tables.values():
            measures[table["measure"]] += len(table["rows"]["entity"])
            reasons.update(table["left_out"]["reason"])
    assert min(compared_of[what] for what in ("values", "growths", "ranks", "changes", "left out")) > 10_000
    assert not set(REASONS) - reasons.keys()
    assert not set(WORDS) - words
    assert not {measure for measure in MEASURES if not measures[measure]}


# fmt: off
REASONS = (
    "no-base", "no-denominator", "zero-denominator", "zero-value", "not-positive", "no-spread", "no-data", "merged",
    "low-coverage", "no-value", "no-predecessor", "zero-predecessor", "open", "closed", "relative", "no-days",
    "no-complete-day", "outside-span", "gap", "no-parent", "zero-parent",
)
WORDS = (
    "geometric", "sum", "log", "entropy", "lower", "min-max", "z-score", "rank", "none", "mean", "keep", "restate",
    "goalposts", "floor", "cap",
)
# fmt: on
