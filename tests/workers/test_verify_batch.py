"""From accepted events to values, growths and ranks in DuckDB, against numbers that were worked out by hand.

index = 0.7 * flows + 0.3 * cap        flows = 3/8 * pay + 5/8 * run        (tests/workers/test_verify_data.py)
base 2021Q1: pay 100.00, run 50, cap 8.0, so that a score is pay, 2 * run, 12.5 * cap
"""

import json
from typing import Any

import pytest

from tests.workers.test_verify_data import DEFINITION, catalogue_record, us
from workers.verify.accept import Accepted, Judge
from workers.verify.batch import Batch, System, Value
from workers.verify.catalogue import KEY, record_catalogue
from workers.verify.checks import Checks
from workers.verify.definition import parse_definition
from workers.verify.growth import system_watermark
from workers.verify.periods import parse_period

# city, indicator or indicator/industry, value, local date, and where given the period
ROWS: list[tuple[Any, ...]] = [
    ("a", "pay/food", 10, "2021-01-01"),
    ("a", "pay/toys", 30, "2021-02-01"),
    ("b", "pay/food", 60, "2021-03-31"),
    ("a", "run", 20, "2021-01-05"),
    ("b", "run", 31, "2021-01-05"),
    ("b", "run", -1, "2021-02-05"),
    ("a", "cap", 3, "2021-03-01"),
    ("a", "cap", 2, "2021-01-01"),  # comes later, is older: does not count
    ("b", "cap", 5, "2021-03-01"),
    ("a", "pay/food", 50, "2021-04-01"),
    ("a", "run", 25, "2021-06-30"),
    ("b", "run", 10, "2021-06-30"),
    ("c", "run", 10, "2021-05-31"),
    ("a", "run", 10, "2022-01-05"),
    ("a", "run", 30, "2022-03-01"),
    ("a", "pay/toys", 80, "2022-02-01"),  # day 32 of the quarter
    ("a", "cap", 6, "2022-01-01"),
    ("b", "pay/food", 10, "2022-01-01"),
    ("b", "run", 5, "2022-01-01"),
    ("a", "run", 30, "2022-04-10"),
    ("a", "pay/food", 40, "2022-05-02"),  # day 32
    ("a", "cap", 4, "2022-04-01"),
    ("b", "pay/food", 10, "2022-04-01"),
    ("b", "run", 9, "2022-04-01", "2022Q2"),  # by whole quarter: no days
    ("c", "pay/food", 100, "2022-04-01"),
    ("c", "run", 100, "2022-04-01"),
    ("a", "pay/food", 20, "2022-05-03"),  # its midnight is the watermark: 32 days are complete
]


def messages() -> list[dict[str, Any]]:
    found = []
    for seq, (city, what, value, date, *period) in enumerate(ROWS):
        indicator, _, industry = what.partition("/")
        found.append(
            {
                "source": "s",
                "seq": seq,
                "city": city,
                "indicator": indicator,
                "industry": industry or None,
                "op": "set" if indicator == "cap" else "add",
                "value": value,
                "at": f"{date}T00:00:00+08:00",
                "period": period[0] if period else None,
            }
        )
    return found


@pytest.fixture(scope="module")
def made() -> tuple[Batch, System]:
    first = record_catalogue(KEY, catalogue_record(window=100))
    assert first is not None
    accepted = Accepted()
    # spread over two partitions: amounts are sums over both
    judges = [Judge(p, Checks(first), accepted, [10**6]) for p in (0, 1)]
    for offset, message in enumerate(messages()):
        judges[offset % 2].record(offset, 2 * 10**12, None, json.dumps(message).encode())
    for judge in judges:
        judge.finish()
        assert judge.snapshots[10**6].counts["accepted"] in (13, 14)
    watermark = system_watermark(judge.snapshots[10**6].watermark for judge in judges)
    batch = Batch()
    batch.names(accepted)
    assert watermark == us("2022-05-03T00:00:00+08:00")
    return batch, batch.system(parse_definition(DEFINITION, first), first, {0: 10**6, 1: 10**6}, watermark)


@pytest.fixture(scope="module")
def batch(made: tuple[Batch, System]) -> Batch:
    return made[0]


@pytest.fixture(scope="module")
def system(made: tuple[Batch, System]) -> System:
    return made[1]


@pytest.fixture(scope="module")
def values(system: System) -> dict[tuple[str, str], Value]:
    return {(value.entity, value.period): value for value in system.values()}


def test_amounts_become_values(values: dict[tuple[str, str], Value]) -> None:
    a = values["a", "2021Q1"]
    assert (a.value, a.coverage, a.reason, a.open) == (0.7 * 40.0 + 0.3 * 37.5, 1.0, None, False)
    assert a.nodes == {"flows": 40.0, "pay": 40.0, "run": 40.0, "cap": 37.5}
    assert values["b", "2021Q1"].value == 0.7 * 60.0 + 0.3 * 62.5
    assert values["area:ab", "2021Q1"].value == values["all:X", "2021Q1"].value == 100.0
    # a year: flows add up (cap is the latest level)
    assert values["a", "2021"].nodes == {"flows": 90.0, "pay": 90.0, "run": 90.0, "cap": 37.5}
    # every entity in every period in which there is a cell below it
    periods = {"2021Q1", "2021Q2", "2022Q1", "2022Q2", "2021", "2022"}
    every = {(entity, period) for entity in ("a", "b", "c", "area:ab", "all:X") for period in periods}
    assert set(values) == every - {("c", "2021Q1"), ("c", "2022Q1")}


def test_missing_leaves(system: System, values: dict[tuple[str, str], Value]) -> None:
    a, c = values["a", "2021Q2"], values["c", "2021Q2"]
    assert (a.value, a.coverage, a.reason) == ((0.7 * 50.0) / 0.7, 0.7 * 1.0 + 0.3 * 0.0, None)
    # run alone: 5/8 of flows is enough for flows, 0.7 * 5/8 of the index is not
    assert c.nodes == {"flows": (0.625 * 20.0) / 0.625, "pay": None, "run": 20.0, "cap": None}
    assert (c.value, c.coverage, c.reason) == (None, 0.7 * 0.625 + 0.3 * 0.0, "low-coverage")
    period = parse_period("2021Q1")
    assert period is not None
    assert (system.numbers.why("c", "index", period), system.numbers.coverage("c", period)) == ("no-data", 0.0)


def test_growth_of_closed_periods(system: System, values: dict[tuple[str, str], Value]) -> None:
    q1, q2 = values["a", "2021Q1"].value, values["a", "2021Q2"].value
    assert q1 is not None
    assert q2 is not None
    growth = values["a", "2021Q2"].growth
    assert growth["pop"] == (q2 / q1 - 1.0, None)
    assert growth["yoy"] == (None, "no-predecessor")
    assert growth["mean_yoy"] == (None, "outside-span")
    assert growth["to_date"] == (None, "closed")
    year_later = values["a", "2022Q1"]
    assert year_later.growth["pop"] == (None, "no-predecessor")  # nothing in 2021Q4
    assert year_later.growth["yoy"] == ((0.7 * 80.0 + 0.3 * 75.0) / q1 - 1.0, None)
    assert year_later.growth["mean_yoy"] == (year_later.growth["yoy"][0], None)
    nothing = parse_period("2022Q1")
    assert nothing is not None
    assert system.numbers.growth("c", "index", nothing, "pop") == (None, "no-value")
    assert system.numbers.growth("c", "index", nothing, "mean_yoy") == (None, "gap")
    assert values["a", "2021"].growth["mean_yoy"] == (None, "outside-span")  # another grain


def test_growth_to_date(values: dict[tuple[str, str], Value]) -> None:
    a = values["a", "2022Q2"]
    assert a.open
    now = 0.7 * (0.375 * 40.0 + 0.625 * 60.0) + 0.3 * 50.0
    then = 0.7 * (0.375 * 80.0 + 0.625 * 20.0) + 0.3 * 75.0
    assert a.growth["to_date"] == (now / then - 1.0, None)
    assert a.days == 32
    assert a.growth["pop"] == a.growth["yoy"] == a.growth["mean_yoy"] == (None, "open")
    assert values["b", "2022Q2"].growth["to_date"] == (None, "no-days")
    assert values["c", "2022Q2"].growth["to_date"] == (None, "no-predecessor")
    assert values["area:ab", "2022Q2"].growth["to_date"] == (None, "no-days")
    assert values["b", "2022Q2"].days is None


def test_ranks(system: System) -> None:
    tables = system.tables()
    q1, q2 = tables["cities", "2022Q1", None], tables["cities", "2022Q2", None]
    assert {e: (r, c) for e, (r, _, c, *_) in q1.rows.items()} == {"a": (1, None), "b": (2, None)}
    assert q1.left_out == {"c": "no-data"}
    assert {e: (r, c) for e, (r, _, c, *_) in q2.rows.items()} == {"c": (1, None), "a": (2, -1), "b": (3, -1)}
    assert tables["cities", "2021Q2", None].left_out == {"b": "low-coverage", "c": "low-coverage"}
    # flows of b and c are equal there
    tied = tables["rounded", "2021Q2", None]
    assert {entity: (rank, v) for entity, (rank, v, *_) in tied.rows.items()} == {
        "a": (1, 50.0),
        "b": (2, 20.0),
        "c": (2, 20.0),
    }
    assert ("rounded", "2021", None) not in tables  # quarters only


def test_growth_ranks_and_shares(system: System, values: dict[tuple[str, str], Value]) -> None:
    tables = system.tables()
    growth = tables["growth", "2022Q2", None]
    assert growth.left_out == {"b": "no-days", "c": "no-predecessor"}
    assert growth.rows["a"][:2] == (1, values["a", "2022Q2"].growth["to_date"][0])
    within = tables["within", "2021Q1", "area:ab"]
    a, b = values["a", "2021Q1"].value, values["b", "2021Q1"].value
    assert {entity: row[:2] for entity, row in within.rows.items()} == {
        "b": (1, b and b / 100.0),
        "a": (2, a and a / 100.0),
    }
    assert tables["within", "2021Q2", "area:ab"].left_out == {"b": "no-value"}


def test_redis_texts(batch: Batch) -> None:
    cells = set(batch.cells({0: 10**6, 1: 10**6}))
    at = us("2021-03-01T00:00:00+08:00")
    assert (0, "cells:2021-03:a", "cap/all", f"30 {at} 6 s") in cells
    assert (1, "cells:2021-02:a", "pay/toys", "3000") in cells
    assert (1, "days:2021-02:a", "pay@2021-02-01", "3000") in set(batch.days())
    # at an earlier cut there is less
    assert set(batch.cells({0: 1, 1: 0})) == {(0, "cells:2021-01:a", "pay/food", "1000")}


def test_watermark_of_the_system() -> None:
    day = 86_400_000_000
    assert system_watermark([None, None]) is None
    assert system_watermark([10 * day, None, 9 * day, 9 * day - 1]) == 9 * day
