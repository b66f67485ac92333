"""Whatever arrives, in whatever order and batches: the board publishes what the slow oracle computes, bit for bit."""

from __future__ import annotations

import copy
import dataclasses
import json
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from index.board import Board
from index.cells import CellStore, Partition
from index.diff import Diff, TableKey
from tests.index.oracle import Answer, Event, World, first_day, start_us
from tests.index.oracle_amounts import own_period
from tests.index.worlds import CITIES, Engine, Ledger, world

MONTHS = ["2020-12", "2021-01", "2021-02", "2021-04", "2021-12", "2022-01", "2022-04"]
PATTERNS = [
    ["2020-12", "2021-01", "2021-12", "2022-01"],
    ["2021-01", "2021-02", "2022-01"],
    ["2021-01", "2021-04", "2022-04"],
]
GIVEN = ["2020", "2020Q4", "2021-02", "2021Q1", "2021H1", "2021", "2021Q4", "2022Q1", "2022"]
VALUES = st.one_of(st.integers(-4, 9), st.sampled_from([0, 1000, 1001, 9 * 10**12, -9 * 10**12, 123456789]))
INDUSTRIES = {"cloud": ["retail", "food"]}


@st.composite
def events(draw: Any) -> Event:
    indicator = draw(st.sampled_from(["pay", "pay", "cloud", "users", "ai"]))
    month = draw(st.sampled_from(MONTHS))
    at_us = (
        start_us(first_day(month))
        + draw(st.integers(0, 4)) * 86_400_000_000
        + draw(st.sampled_from([0, 1, 86_399_999_999]))
    )
    return Event(
        partition=draw(st.integers(0, 1)),
        source=draw(st.sampled_from(["s", "t"])),
        seq=draw(st.integers(0, 50)),
        city=draw(st.sampled_from(CITIES)),
        indicator=indicator,
        industry=draw(st.sampled_from(INDUSTRIES.get(indicator, ["all"]))),
        value=draw(VALUES),
        at_us=at_us,
        period=draw(st.one_of(st.none(), st.none(), st.sampled_from(GIVEN))),
    )


def bulk(seed: int, size: int) -> list[Event]:
    """Many events on few places, so that predecessors, years before, ties and days to date exist."""
    random = Random(seed)
    months = random.choice(PATTERNS)
    days = random.sample(range(5), 2)
    found = []
    for seq in range(size):
        indicator = random.choice(["pay", "pay", "cloud", "users", "ai", "ai"])
        at_us = start_us(first_day(random.choice(months))) + random.choice(days) * 86_400_000_000
        given_period = random.choice(GIVEN) if random.random() < 0.04 else None
        value = random.choice([1, 1, 2, 3, 5, 8, 1000, -2])
        industry = random.choice(INDUSTRIES.get(indicator, ["all"]))
        city = random.choice(CITIES)
        found.append(Event(random.randrange(2), "bulk", seq, city, indicator, industry, value, at_us, given_period))
    return found


BULKS = st.builds(bulk, st.integers(0, 2**32), st.integers(20, 90))
WATERMARKS = st.builds(
    lambda month, days, extra: None if month is None else start_us(first_day(month)) + days * 86_400_000_000 + extra,
    st.sampled_from(["2023-01", None, "2021-02", "2021-04", "2022-01", "2022-01", "2022-04", "2022-07", "2023-01"]),
    st.integers(0, 4),
    st.sampled_from([0, -1, 1, 3_600_000_000]),
)
STEPS = st.one_of(
    st.tuples(st.just("events"), st.lists(events(), min_size=1, max_size=8)),
    st.tuples(st.just("events"), st.lists(events(), min_size=1, max_size=2)),
    st.tuples(st.just("events"), BULKS),
    st.tuples(st.just("watermark"), WATERMARKS),
    st.tuples(st.just("undo"), st.integers(0, 3)),
    st.tuples(st.just("drop"), st.integers(1, 6)),
    st.tuples(st.sampled_from(["diff", "again", "replace", "restart"]), st.none()),
    st.tuples(st.just("rewind"), st.integers(0, 10)),
)
DEFINITIONS = st.fixed_dictionaries(
    {
        "renormalise": st.booleans(),
        "min_coverage": st.sampled_from([0.0, 0.3, 0.5, 1.0]),
        "mean_yoy_from": st.sampled_from([None, "2021Q1", "2021Q4", "2021"]),
        "grains": st.sampled_from([["quarter", "year"], ["month", "quarter", "half", "year"]]),
        "base": st.sampled_from(["2021Q1", "2020Q4"]),
        "grace_s": st.sampled_from([0, 3600]),
    }
)


def exact(value: Any) -> str:
    """Text that differs when any bit of any number does."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


class Consumer:
    """What a reader of the topics knows: updates by key, tables, and ranks that follow from deltas alone."""

    def __init__(self) -> None:
        self.updates: dict[str, dict[str, Any]] = {}
        self.tables: dict[TableKey, dict[str, Any]] = {}
        self.ranks: dict[TableKey, dict[str, tuple[int, float]]] = {}

    def read(self, diff: Diff, board: Board) -> None:
        for key in diff.removed:
            del self.updates[key]
        for update in diff.updates:
            key = f"{update['entity']}/{update['period']}"
            assert exact(self.updates.get(key)) != exact(update), f"published again without a difference: {key}"
            self.updates[key] = update
        seen = set()
        for delta in diff.deltas:
            key = TableKey(delta["ranking"], delta["period"], delta["scope"])
            assert key not in seen, f"two deltas of {key}"
            seen.add(key)
            assert key in diff.dirty
            self._apply(key, delta)
        for key in diff.dirty:
            self.tables[key] = board.table(key)

    def _apply(self, key: TableKey, delta: dict[str, Any]) -> None:
        table, moved = self.ranks.setdefault(key, {}), delta["moved"]
        for entity, was in zip(moved["entity"], moved["was"], strict=True):
            assert table.get(entity, (None,))[0] == was, (key, entity)
        for entity, (rank, value) in list(table.items()):
            if entity not in moved["entity"]:
                by = [by for first, last, by in delta["shifted"] if first <= rank <= last]
                assert len(by) <= 1, delta
                table[entity] = (rank + sum(by), value)
        for entity, rank, value in zip(moved["entity"], moved["rank"], moved["value"], strict=True):
            if rank is None:
                assert value is None
                del table[entity]
            else:
                table[entity] = (rank, value)
        assert len(table) == delta["size"]


def expected_status(answer: Answer, before: dict[str, dict[str, Any]], key: str) -> str:
    update, period = answer.updates[key], key.split("/")[1]
    if answer.is_open(period):
        return "provisional"
    was = before.get(key)
    if was is None or was["status"] == "provisional":
        return "final"
    return "revised" if was["status"] == "revised" or exact(was["value"]) != exact(update["value"]) else "final"


def check(engine: Engine, consumer: Consumer, restarted: bool = False) -> None:
    """Publish, then compare everything with the oracle."""
    before = copy.deepcopy(consumer.updates)
    consumer.read(engine.board.diff(), engine.board)
    if restarted:  # a new worker compares every table: they may lag, and reasons of left-out rows are not restored
        consumer.tables |= {key: engine.board.table(key) for key in engine.board.table_keys()}
    answer = Answer(engine.world)
    wanted = {key: u | {"status": expected_status(answer, before, key)} for key, u in answer.updates.items()}
    assert consumer.updates.keys() == wanted.keys()
    for key, update in wanted.items():
        assert exact(consumer.updates[key]) == exact(update), key
    assert {(k.ranking, k.period, k.scope) for k in engine.board.table_keys()} == answer.tables.keys()
    for key, table in consumer.tables.items():
        empty = {
            "rows": {c: [] for c in ("entity", "rank", "value", "change", "change_year")},
            "left_out": {"entity": [], "reason": []},
        }
        want = answer.tables.get(tuple(key), empty)
        assert exact({part: table[part] for part in want}) == exact(want), key
        ranks = {e: (r, v) for e, r, v in zip(*(want["rows"][c] for c in ("entity", "rank", "value")), strict=True)}
        assert consumer.ranks.get(key, {}) == ranks, key
    assert {tuple(k) for k in consumer.tables} >= answer.tables.keys()
    assert not engine.board.diff()


def dropped(engine: Engine, n: int) -> list[Event]:
    """The cells of the last `n` events are brought to 0 and dropped: with their days, or by naming the period. Later
    than all, so a stock has no level there any more."""
    out = []
    for number, e in enumerate([e for e in engine.world.events if not e.drop][-n:]):
        amount = engine.ledger.rows[e.partition][f"cells:{own_period(e)}:{e.city}"].get(
            f"{e.indicator}/{e.industry}", 0
        )
        named = own_period(e) if number % 3 == 2 else e.period
        seq = 10_000 + len(engine.world.events) + 2 * number
        if isinstance(amount, int) and number % 4 != 3:
            out.append(dataclasses.replace(e, value=-amount, seq=seq, period=named))
        out.append(dataclasses.replace(e, value=0, seq=seq + 1, period=named, drop=True))
    return out


def play(world_: World, steps: list[tuple[str, Any]]) -> None:
    engine, consumer = Engine(world_), Consumer()
    for step, value in steps:
        if step == "events":
            engine.send(value)
        elif step == "watermark":
            engine.set_watermark(value)
        elif step == "undo":  # events that take back the last ones: down to an amount of zero, which is not missing
            last = [e for e in engine.world.events if e.indicator != "users"][-value:] if value else []
            engine.send([dataclasses.replace(e, value=-e.value) for e in last])
        elif step == "drop":
            engine.send(dropped(engine, value))
        elif step == "again":
            for partition in engine.ledger.rows:
                changes = engine.store.apply(Partition(partition), engine.ledger.load(partition))
                assert changes.size == 0
                engine.board.apply(changes)
        elif step == "replace":
            for partition in engine.ledger.rows:
                assert engine.store.replace(Partition(partition), engine.ledger.load(partition)).size == 0
        elif step == "rewind":  # the state goes back to fewer events, and its load is adopted
            events_ = engine.world.events[: len(engine.world.events) - value]
            partitions = list(engine.ledger.rows)
            engine.world.events, engine.ledger = [], Ledger(engine.world.stocks)
            engine.world.events.extend(events_)
            engine.ledger.add(events_)
            for partition in partitions:
                engine.board.apply(engine.store.replace(Partition(partition), engine.ledger.load(partition)))
        elif step == "restart":
            check(engine, consumer)
            engine.published = consumer.updates
            engine.restart()
            assert not engine.board.diff()
            assert exact([engine.board.table(k) for k in consumer.tables]) == exact(list(consumer.tables.values()))
        else:
            check(engine, consumer)
    check(engine, consumer)


@settings(max_examples=30)
@given(DEFINITIONS, BULKS, WATERMARKS, st.lists(STEPS, min_size=1, max_size=4))
def test_the_board_publishes_what_the_oracle_computes(
    definition: dict[str, Any], first: list[Event], watermark: int | None, steps: list[tuple[str, Any]]
) -> None:
    begin: list[tuple[str, Any]] = [("events", first), ("watermark", watermark), ("diff", None)]
    diffs: list[tuple[str, Any]] = [part for step in steps for part in (step, ("diff", None))]
    play(world(**definition), begin + diffs)


@settings(max_examples=40)
@given(DEFINITIONS, st.lists(STEPS, min_size=1, max_size=7))
def test_the_board_publishes_what_the_oracle_computes_from_little_data(
    definition: Any, steps: list[tuple[str, Any]]
) -> None:
    play(world(**definition), steps)


@settings(max_examples=15)
@given(DEFINITIONS, BULKS, st.randoms(use_true_random=False), WATERMARKS)
def test_any_order_and_any_batches_give_the_same(
    definition: Any, sent: list[Event], random: Any, watermark: int | None
) -> None:
    boards = []
    for _ in range(2):
        engine = Engine(world(**definition))
        order = list(sent)
        random.shuffle(order)
        while order:
            n = random.randint(1, len(order))
            engine.send(order[:n])
            del order[:n]
            if random.random() < 0.5:
                engine.board.diff()
        engine.set_watermark(watermark)
        engine.board.diff()
        boards.append(engine.board)
    assert boards[0].table_keys() == boards[1].table_keys()
    for key in boards[0].table_keys():
        assert exact(boards[0].table(key)) == exact(boards[1].table(key))


@settings(max_examples=15)
@given(st.lists(events(), min_size=1, max_size=25), WATERMARKS)
def test_a_board_started_from_all_cells_equals_one_that_saw_every_change(
    sent: list[Event], watermark: int | None
) -> None:
    engine = Engine(world())
    for event in sent:
        engine.send([event])
    engine.set_watermark(watermark)
    fresh = Board(engine.definition, engine.catalogue)
    fresh.apply(engine.store.everything())
    fresh.watermark(watermark)
    one, other = engine.board.diff(), fresh.diff()
    assert exact(one.updates) == exact(other.updates)
    assert isinstance(engine.store, CellStore)


@settings(max_examples=15)
@given(BULKS, st.lists(events(), min_size=0, max_size=4), WATERMARKS, WATERMARKS)
def test_a_restart_with_news_publishes_only_the_news(
    sent: list[Event], news: list[Event], watermark: int | None, later: int | None
) -> None:
    """restore() of what was published, then more events: the differences lead a consumer to the oracle's answer."""
    engine, consumer = Engine(world()), Consumer()
    engine.send(sent)
    engine.set_watermark(watermark)
    check(engine, consumer)
    engine.published = consumer.updates
    engine.world.events.extend(news)
    engine.ledger.add(news)
    engine.world.watermark = later
    engine.restart()
    check(engine, consumer, restarted=True)
