"""Every measure over random worlds, after events, openings, closings and restarts: what the slow oracle computes."""

from __future__ import annotations

import math
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from index.diff import TableKey
from index.measures.table import MEASURES
from tests.index.measures_oracle import tables
from tests.index.measures_world import OF_GRADES, OF_MEMBERS, TAKES, Measured, bulk, declared
from tests.index.oracle import first_day, start_us
from tests.index.test_board_oracle import Consumer, exact

MEAN_FROM = ["", *(f'mean_yoy_from = "{p}"' for p in ("2021Q4", "2021", '2021Q1"\nmean_yoy_step = "year'))]
WATERMARKS = st.sampled_from(["2021-04", "2021-07", "2022-01", "2022-04", "2022-07", "2023-01", "2023-01", None])
STEPS = st.one_of(
    st.tuples(st.just("events"), st.builds(bulk, st.integers(0, 2**32), st.integers(1, 30))),
    st.tuples(st.just("events"), st.builds(bulk, st.integers(0, 2**32), st.integers(1, 2))),
    st.tuples(st.just("watermark"), WATERMARKS),
    st.tuples(st.just("undo"), st.none()),
    st.tuples(st.just("restart"), st.none()),
)


def same(ours: Any, theirs: Any, close: bool) -> bool:
    """Bit for bit; values of `close` measures (powers) within 1e-12; a reason '?' is any."""
    a, b = ours["left_out"], theirs["left_out"]
    if a["entity"] != b["entity"] or any(y not in ("?", x) for x, y in zip(a["reason"], b["reason"], strict=True)):
        return False
    if close:
        values = zip(ours["rows"].pop("value"), theirs["rows"].pop("value"), strict=True)
        if not all(math.isclose(x, y, rel_tol=1e-12, abs_tol=1e-12) for x, y in values):
            return False
    return exact(ours["rows"]) == exact(theirs["rows"])


def check(engine: Measured, consumer: Consumer, rankings: list[dict[str, Any]]) -> None:
    """Publish, then compare all tables, and the ranks that follow from deltas, with the oracle."""
    consumer.read(engine.board.diff(), engine.board)
    facts = engine.facts(consumer.updates)
    facts.rankings = rankings
    wanted, measures = tables(facts), {r["name"]: r for r in rankings}
    assert {tuple(key) for key in engine.board.table_keys()} == wanted.keys()
    assert {tuple(key) for key in consumer.tables} >= wanted.keys()
    for key, table in consumer.tables.items():
        want = wanted.get(tuple(key))
        if want is None:
            assert not table["rows"]["entity"]
            assert not consumer.ranks.get(key)
            continue
        rows = table["rows"]
        ranks = {e: (r, v) for e, r, v in zip(rows["entity"], rows["rank"], rows["value"], strict=True)}
        assert consumer.ranks.get(key, {}) == ranks, key
        ours = {"rows": dict(rows), "left_out": table["left_out"]}
        r = measures[key.ranking]
        assert same(ours, want, r["measure"] == "compound"), (r, key, ours, want)
    assert not engine.board.diff()


@settings(max_examples=40)
@given(
    st.integers(0, 2**32),
    st.sampled_from(MEAN_FROM),
    st.builds(bulk, st.integers(0, 2**32), st.integers(20, 250)),
    WATERMARKS,
    st.lists(STEPS, min_size=1, max_size=4),
)
def test_the_tables_are_what_the_oracle_computes(
    seed: int, head: str, first: Any, watermark: str | None, steps: list[tuple[str, Any]]
) -> None:
    rankings = declared(Random(seed), 9)
    engine, consumer = Measured(rankings, head), Consumer()
    engine.send(first)
    engine.set_watermark(at(watermark))
    check(engine, consumer, rankings)
    for step, value in steps:
        if step == "events":
            engine.send(value)
        elif step == "watermark":
            engine.set_watermark(at(value))
        elif step == "undo":
            events = [e for e in engine.world.events if e.indicator != "users"]
            engine.send([type(e)(e.partition, e.source, e.seq, e.city, e.indicator, e.industry, -e.value, e.at_us)
                         for e in events[-5:]])  # fmt: skip
        else:
            engine.published = consumer.updates
            engine.restart()
            assert not engine.board.diff()
            for key, table in consumer.tables.items():
                assert exact(engine.board.table(TableKey(*key))) == exact(table)
        check(engine, consumer, rankings)


def at(month: str | None) -> int | None:
    return None if month is None else start_us(first_day(month)) + 3_600_000_000


def test_the_random_declarations_know_all_measures() -> None:
    """to_date and growth are of entities and the root only: test_board_oracle has them."""
    assert {*TAKES, *OF_MEMBERS, *OF_GRADES, "to_date", "growth"} == set(MEASURES)
