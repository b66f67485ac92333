"""The two implementations of docs/formats.md against each other, without servers, bit for bit.

Definitions and events are random, a seed a test. Where they differ, the page decides which of them is wrong.
"""

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from index.board import Board
from index.catalogue import Catalogue as EngineCatalogue
from index.cells import CellStore
from index.cells import Partition as EnginePartition
from index.definition import Definition as EngineDefinition
from index.watermark import system_watermark as engine_watermark
from tests.workers.test_verify_data import catalogue
from workers.verify.accept import Accepted, Judge
from workers.verify.batch import Batch
from workers.verify.catalogue import parse_catalogue
from workers.verify.checks import Checks
from workers.verify.compare import compare_values
from workers.verify.definition import parse_definition
from workers.verify.growth import system_watermark
from workers.verify.published import Published
from workers.verify.report import Report
from workers.verify.tables import compare_tables

END = {0: 10**6, 1: 10**6}
# A name of each grain, for the base and for the beginning of the span.
NAMES = {"month": ("2021-02", "2022-01"), "quarter": ("2021Q1", "2022Q1"), "half": ("2021H1", "2022H1")}
NAMES["year"] = ("2021", "2022")
ZONES = ("Asia/Shanghai", "Asia/Shanghai", "America/Sao_Paulo", "Europe/London", "Asia/Kathmandu")


def _system(rng: random.Random) -> str:
    grains = rng.choice([["quarter", "year"], ["month", "quarter"], [*NAMES], ["half"], ["year"]])
    renormalise = rng.random() < 0.7
    lines = [
        'system = "t"',
        "version = 1",
        'title = "t"',
        f'base = "{NAMES[rng.choice(grains)][0]}"',
        f"grains = {json.dumps(grains)}",
        'groups = ["area", "all"]',
        'nation = "all:X"',
        f"grace_s = {rng.choice([0, 86_400, 864_000])}",
        f"renormalise = {str(renormalise).lower()}",
        f"min_coverage = {rng.choice([0, 0.3, 0.5, 0.7, 1.0])}",
        f'mean_yoy_from = "{NAMES[rng.choice(grains)][1]}"',
        '[tree]\nchildren = ["flows", "cap"]\nweights = [0.7, 0.3]',
        '[tree.flows]\nchildren = ["pay", "run"]\npanel = [[1, 3], [2, 2]]',
    ]
    for number in range(12):
        rows, scope = rng.choice([("city", None), ("area", None), ("city", "area"), ("city", "all")])
        measure = rng.choice(["value", "pop", "yoy", "mean_yoy", "to_date", "growth", "share"])
        node = "index" if measure in ("to_date", "growth") else rng.choice(["index", "flows", "cap"])
        lines.append(f'[[ranking]]\nname = "r{number}"\nrows = "{rows}"\nmeasure = "{measure}"\nnode = "{node}"')
        lines += [f'scope = "{scope}"'] if scope else []
        lines += [f"rank_decimals = {rng.choice([0, 1, 2])}"] if rng.random() < 0.4 else []
    return "\n".join(lines)


def _events(rng: random.Random) -> Iterator[dict[str, Any]]:
    span_days = rng.choice([100, 400, 800])
    for seq in range(rng.choice([5, 20, 80, 300])):
        at = datetime(2020, 11, 1) + timedelta(days=rng.random() * span_days)
        indicator = rng.choice(["pay", "run", "cap"])
        values = {
            "pay": [0, 0.25, 100, -0.25, rng.randrange(10**6) / 100],
            "run": [0, 1, -1, rng.randrange(1000)],
            "cap": [0, 0.5, -1, rng.randrange(100)],
        }
        yield {
            "source": rng.choice("st"),
            "seq": seq,
            "city": rng.choice("abc"),
            "indicator": indicator,
            "industry": rng.choice(["food", "toys"]) if indicator == "pay" else None,
            "op": "set" if indicator == "cap" else "add",
            "value": rng.choice(values[indicator]),
            "at": at.isoformat(timespec="seconds") + rng.choice(["Z", "+08:00"]),
            "period": rng.choice(["2021", "2021Q1", "2021H1", "2022-01", "2022Q1"]) if rng.random() < 0.1 else None,
        }


@pytest.mark.parametrize("seed", range(12))
def test_same_bits(seed: int) -> None:
    rng = random.Random(seed)
    data = catalogue(window=4096, jump=2**48, cell=10**15, event_bytes=1000) | {"timezone": rng.choice(ZONES)}
    text = _system(rng)
    mine, definition = parse_catalogue(data), parse_definition(text)
    accepted = Accepted()
    judges = [Judge(p, Checks(mine), accepted, [END[p]]) for p in END]
    for offset, event in enumerate(_events(rng)):
        judges[rng.randrange(2)].record(offset, 2 * 10**12, None, json.dumps(event).encode())
    for judge in judges:
        judge.finish()
    watermarks = [judge.snapshots[END[judge.partition]].watermark for judge in judges]
    assert system_watermark(watermarks) == engine_watermark(watermarks)
    batch = Batch()
    batch.names(accepted)

    theirs = EngineCatalogue.from_json(json.dumps(data))
    board, store = Board(EngineDefinition.parse(text, theirs), theirs), CellStore(theirs)
    for p in END:
        rows: dict[str, list[str]] = {}
        for partition, row, name, cell in [*batch.cells(END), *batch.days()]:
            if partition == p:
                rows.setdefault(row, [row]).extend((name, cell))
        board.apply(store.replace(EnginePartition(p), rows.values(), 1))
    board.watermark(engine_watermark(watermarks))
    diff = board.diff()
    published = Published({"revision": 1}, 0, [])
    published.updates = {(update["entity"], update["period"]): update for update in diff.updates}
    published.tables = {tuple(key): {**board.table(key), "revision": 1} for key in board.table_keys()}
    for delta in diff.deltas:
        key = delta["ranking"], delta["period"], delta["scope"]
        published.deltas.setdefault(key, []).append({**delta, "revision": 1})

    batch.system(definition, mine, END, system_watermark(watermarks))
    report = Report("t")
    compare_values(report, published, batch, mine.kinds)
    compare_tables(
        report, published, batch.tables(), {each.name: (each.measure, each.node) for each in definition.rankings}
    )
    batch.close()
    assert not report.differences, report.differences[:5]
    assert report.compared["values"] >= 4
    assert report.compared["tables"] >= 4
