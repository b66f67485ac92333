"""Rank intervals beside publishing: on real servers; and its budget, order and failures by a clock of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.board import Board
from index.catalogue import Catalogue
from index.definition import Definition
from index.periods import Period
from index.robustness import Robustness
from stream.errors import UnreachableError
from stream.messages import RobustTable
from stream.tail import high_watermarks
from stream.topics import ROBUSTNESS, partition_of
from tests.waiting import eventually
from tests.workers.desk import STILL_S
from tests.workers.small import SYSTEM, TEXT, Small
from workers import robust
from workers.now import board_now
from workers.robust import Budget, Calculator, RobustTask
from workers.robust_tables import Job, RobustTables, read_robust_tables
from workers.settings import REPOSITORY, Settings

PERIODS = ("2021Q1", "2021Q2", "2021Q3", "2021")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    with Small(tmp_path_factory.mktemp("robustness")) as running:
        yield running


def right(small: Small) -> dict[str, tuple[Any, ...]]:
    """What the topic should say, from the cells as they are now."""
    system = board_now(small.settings, SYSTEM).boards[0].system
    robustness, found = Robustness(system.definition), {}
    for period, sheet in system.sheets.items():
        for one in robustness.intervals(system.layout, list(system.outlines.values()), sheet.values):
            key = f"{SYSTEM}/{one.ranking}/{period.name}" + (f"/{one.scope}" if one.scope else "")
            found[key] = (one.entity, one.rank, one.rank_low, one.rank_high)
    return found


def said(small: Small) -> dict[str, RobustTable]:
    return read_robust_tables(small.settings.kafka, SYSTEM)


def as_it_is(small: Small) -> dict[str, RobustTable]:
    """Wait until the topic says what follows from the cells."""
    expected = right(small)

    def look() -> bool:
        found = {k: (t.rows.entity, t.rows.rank, t.rows.rank_low, t.rows.rank_high) for k, t in said(small).items()}
        assert found == expected
        return True

    eventually(look, STILL_S, lambda: small.crew.log("index")[-3000:])
    return said(small)


@pytest.mark.servers
def test_each_table_has_its_intervals_and_revisions_go_on(small: Small):
    small.settled()
    found = as_it_is(small)
    scopes = ("province:330000", "province:440000")
    keys = {f"{SYSTEM}/cities/{p}" for p in PERIODS}
    assert found.keys() == keys | {f"{SYSTEM}/cities-in-province/{p}/{s}" for p in PERIODS for s in scopes}
    last, tables = small.revisions()[-1], small.tables()
    for key, table in found.items():
        assert (table.draws, table.seed, table.level, table.definition) == (10, 1, 0.9, 1)
        assert table.revision <= last.revision
        assert (table.rows.entity, table.rows.rank) == (tables[key]["rows"]["entity"], tables[key]["rows"]["rank"])
        for rank, low, high in zip(table.rows.rank, table.rows.rank_low, table.rows.rank_high, strict=True):
            assert low <= high
            assert low <= rank + 1
    # More data of one period: its tables follow, with a later revision; those of the others are not written again.
    last_city = tables[f"{SYSTEM}/cities/2021Q3"]["rows"]["entity"][-1]
    for amount in (3.0, 40.0, 500.0):
        before = small.revisions()[-1].revision
        small.flow(last_city, "2021-08-01", amount, 0, 0, 0)
        assert small.settled() > before
    again = as_it_is(small)
    moved = {key for key in again if again[key].revision > last.revision}
    assert f"{SYSTEM}/cities/2021Q3" in moved
    assert not any("2021Q1" in key or "2021Q2" in key for key in moved)


@pytest.mark.servers
def test_a_restart_writes_nothing_anew_and_another_definition_everything(small: Small, tmp_path: Path):
    small.settled()
    as_it_is(small)
    where = (ROBUSTNESS, partition_of(SYSTEM))
    end = high_watermarks(small.servers.kafka, [where])
    small.crew.end("index")
    small.start_index()
    before = small.revisions()[-1].revision
    small.flow("330100", "2021-08-02", 0, 0, 0, 0)  # an amount of 0: a revision whose ranks are the old ones
    assert small.settled() > before
    as_it_is(small)
    assert high_watermarks(small.servers.kafka, [where]) == end
    small.object("define", "apply", SYSTEM, "--weight", "trade=0.6", "--author", "Ada", "--reason", "r")
    found = as_it_is(small)
    assert {table.definition for table in found.values()} == {2}


# --- without servers --------------------------------------------------------------------------------------------------


def test_the_budget_holds_over_any_minute():
    now = 0.0
    budget = Budget(robust.RATE, robust.BURST_S, lambda: now)
    spent: list[tuple[float, float]] = []
    for _ in range(2000):
        now += budget.wait_s(0.05)
        budget.spend(0.05)
        spent.append((now, 0.05))
        now += 0.01
    for start in range(0, int(now) - 60, 7):
        assert sum(cost for at, cost in spent if start <= at < start + 60) <= 6.0 + 1e-9
    late = sum(cost for at, cost in spent if now - 60 <= at)
    assert late > 5.0, "and what may be used is used"


def test_a_computation_above_the_burst_waits_for_a_full_bucket_and_pays_afterwards():
    now = 0.0
    budget = Budget(0.1, 0.5, lambda: now)
    assert budget.wait_s(3.0) == 0.0
    budget.spend(3.0)
    assert budget.wait_s(0.1) == pytest.approx(26.0)
    assert budget.wait_s(3.0) == pytest.approx(30.0)
    now = 30.0
    assert budget.wait_s(3.0) == pytest.approx(0.0)


class Tables(RobustTables):
    """Writes into a list, and finds nothing written."""

    written: list[str]

    def _read(self) -> dict[str, RobustTable]:
        self.written = []
        return {}

    def _publish(self, records: Mapping[str, bytes | None]) -> None:
        self.written += records


class InProcess(Calculator):
    """Without a process; `fail`: as long as something is wrong."""

    def __init__(self, made: Board) -> None:
        super().__init__(clock=lambda: 0.0)
        self.users = 1
        self.tables = Tables("", {}, made.system.definition, made.system.catalogue)
        self.fail = False
        self.tries = 0

    async def do(self, job: Job, text: str, catalogue: Callable[[], bytes]) -> float:
        self.tries += 1
        if self.fail:
            raise OSError("away")
        self.tables.renew(job)
        return 0.0


def board() -> Board:
    catalogue = Catalogue.load(REPOSITORY / "systems" / "catalogue")
    made = Board(Definition.parse(TEXT, catalogue), catalogue)
    for name in ("2021Q1", "2021Q2", "2022Q1", "2021"):
        sheet = made.system.sheet(Period.parse(name))
        sheet.exists = True
        sheet.values[:, :5] = np.arange(5) + 1.0
    return made


async def until(condition: Any) -> None:
    async def look() -> None:
        while not condition():
            await asyncio.sleep(0.005)

    await asyncio.wait_for(look(), STILL_S)


async def test_the_newest_period_first_and_none_while_the_board_moves():
    made = board()
    calculator = InProcess(made)
    task, tables = RobustTask(Settings(), made.system.definition, calculator), calculator.tables
    task.start()
    try:
        task.published(made.system, 7, ["2021Q1", "2021Q2", "2022Q1", "2021"])
        task.hold()
        await asyncio.sleep(0)
        assert not tables.written
        task.published(made.system, 8, [])
        await until(lambda: len({key.split("/")[2] for key in tables.written}) == 4)
        order = list(dict.fromkeys(key.split("/")[2] for key in tables.written))
        assert order == ["2022Q1", "2021", "2021Q2", "2021Q1"]
        assert {table.revision for table in tables.sent.values()} == {8}
        written = len(tables.written)
        made.system.sheets[Period.parse("2021Q1")].values[:, 1] = 100.0
        task.published(made.system, 9, ["2021Q2", "2021Q1"])
        await until(lambda: len(tables.written) > written)
        assert {key.split("/")[2] for key in tables.written[written:]} == {"2021Q1"}, "the other did not change"
        made.system.sheets[Period.parse("2021Q1")].exists = False
        task.published(made.system, 10, ["2021Q1"])
        await until(lambda: not any("2021Q1" in key for key in tables.sent))
    finally:
        await task.stop()


async def test_a_failure_is_said_once_and_made_up_for(monkeypatch: pytest.MonkeyPatch):
    lines: list[str] = []
    monkeypatch.setattr(robust, "AGAIN_S", 0.01)
    monkeypatch.setattr(robust.log, "warning", lambda event, **more: lines.append(f"{event} {more['reason']}"))
    made = board()
    calculator = InProcess(made)
    calculator.fail = True
    task = RobustTask(Settings(), made.system.definition, calculator)
    task.start()
    try:
        task.published(made.system, 1, ["2021Q1"])
        await until(lambda: calculator.tries >= 3)
        assert lines == ["no rank intervals away"]
        calculator.fail = False
        await until(lambda: calculator.tables.written)
    finally:
        await task.stop()


async def test_the_process_that_ends_is_started_again_and_says_what_failed():
    """A real one, without Kafka: its refusal comes back as an error, and so does its end."""
    made = board()
    calculator = Calculator()
    calculator.users = 1
    job = Job(kafka="127.0.0.1:1", options={}, system=SYSTEM, definition=1, digest="d", text="", catalogue=b"",
              period="2021Q1", periods=["2021Q1"], revision=1, values=b"")  # fmt: skip
    broken = "this is no definition"
    try:
        with pytest.raises(UnreachableError, match="DefinitionError"):
            await calculator.do(job, broken, made.system.catalogue.to_json)
        process = calculator._process
        assert process is not None
        process.kill()
        await process.wait()
        with pytest.raises(UnreachableError, match="ended"):
            await calculator.do(job, broken, made.system.catalogue.to_json)
        with pytest.raises(UnreachableError, match="DefinitionError"):
            await calculator.do(job, broken, made.system.catalogue.to_json)
        process = calculator._process
    finally:
        await calculator.leave()
    assert process is not None
    assert process.returncode is not None
