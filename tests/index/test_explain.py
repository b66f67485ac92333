"""Why a value moved: parts that sum to the move to the bit, and are the right parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import index.explain
import index.explain_parts
from index.board import Board
from index.catalogue import Catalogue
from index.cells import CellStore, Partition
from index.definition import Definition
from index.explain import Explanation, explain
from index.explain_parts import Part, exactly, first, settled
from index.explain_tree import log_mean
from index.periods import Period
from index.rules.rule import FILE as ALERT_RULES
from index.system import System
from tests.index.oracle import Event, first_day, start_us
from tests.index.worlds import CITIES, GROUPS, Ledger, catalogue

LEAVES = ["pay", "cloud", "users", "ai"]
TREE = {"index": (["digital", "ai"], [0.6, 0.4]), "digital": (["pay", "cloud", "users"], [0.7, 0.2, 0.1])}
END = start_us(first_day("2024-01"))
HEAD = """
system = "test"
version = 3
title = "Test"
base = "2021Q1"
grains = ["quarter", "year"]
groups = ["prov", "circle", "nation"]
nation = "nation:n"
"""


def text(
    options: dict[str, str] | None = None, aggregates: dict[str, str] | None = None, tree: Any = None, head: str = ""
) -> str:
    """A definition; `options`: leaf -> TOML lines; `aggregates`: node -> aggregate; `head`: more keys."""
    lines = [HEAD, head]
    for node, (children, weights) in (tree or TREE).items():
        aggregate = (aggregates or {}).get(node, "arithmetic")
        lines += ["[tree]" if node == "index" else f"[tree.{node}]", f"children = {children}".replace("'", '"')]
        lines.append(f'aggregate = "{aggregate}"')
        if aggregate != "sum":
            lines.append(f"weights = {weights}")
    for leaf, option in (options or {}).items():
        lines += [f'[indicator."{leaf}"]', option]
    return "\n".join(lines)


def event(seq: int, city: str, indicator: str, value: int, month: str, day: int = 0, **more: Any) -> Event:
    industry = more.pop("industry", "retail" if indicator == "cloud" else "all")
    at_us = start_us(first_day(month)) + day * 86_400_000_000
    return Event(0, "s", seq, city, indicator, industry, value, at_us, **more)


def system_of(definition: str, events: Sequence[Event], watermark: int | None = END) -> System:
    known = catalogue()
    board, store = Board(Definition.parse(definition, known), known), CellStore(known)
    for partition, rows in Ledger({"users"}).add(events).items():
        board.apply(store.apply(Partition(partition), rows))
    board.watermark(watermark)
    board.diff()
    return board.system


def exact(found: Explanation) -> None:
    """Every list of parts sums to the move."""
    assert found.move is not None
    assert found.before is not None
    assert found.after is not None
    assert found.move == found.after - found.before
    for parts in (found.indicators, found.cities, found.cells):
        assert all(math.isfinite(part.move) for part in parts)
        if parts or parts is found.indicators:
            assert math.fsum(part.move for part in parts) == found.move
    assert found.cells or not found.cities
    if not found.cities:  # a city whose cells cancel out exactly is not listed
        cities = {cell.city for cell in found.cells}
        assert all(math.fsum(cell.move for cell in found.cells if cell.city == city) == 0 for city in cities)


def by_name(parts: Sequence[Part]) -> dict[tuple[str, str], float]:
    return {(part.cause, part.name): part.move for part in parts}


# --- random worlds ----------------------------------------------------------------------------------------------------

OPTIONS = st.sampled_from([
    None,
    'direction = "lower"',
    'denominator = "pay"',
    "floor = 0.5\ncap = 9.0",
    'transform = "log"\nfloor = 0.01\nnormalise = "none"',
    'normalise = "min-max"\ngoalposts = [-10.0, 200.0]',
    'transform = "log"\nfloor = 0.02\nnormalise = "min-max"\ngoalposts = [0.01, 100.0]',
    'normalise = "min-max"',
    'normalise = "min-max"\ndirection = "lower"\ndenominator = "ai"',
    'normalise = "z-score"',
    'normalise = "rank"',
    'transform = "log"\nfloor = 0.01\nnormalise = "z-score"',
])  # fmt: skip
AGGREGATES = st.sampled_from(["arithmetic", "arithmetic", "geometric", "sum"])


def bulk(seed: int, size: int) -> list[Event]:
    random = Random(seed)
    months = ["2020-12", "2021-01", "2021-04", "2022-01", "2022-02"]
    found = []
    for seq in range(size):
        indicator = random.choice(LEAVES)
        value = random.choice([1, 2, 3, 5, 8, 1000, 12345, -2])  # more alike, and their logarithms hardly differ
        more = {"industry": random.choice(["retail", "food"])} if indicator == "cloud" else {}
        given_period = "2021Q1" if random.random() < 0.05 else None
        found.append(
            event(seq, random.choice(CITIES), indicator, value, random.choice(months), random.randrange(5),
                  period=given_period, **more)
        )  # fmt: skip
    return found


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    size=st.integers(20, 120),
    options=st.fixed_dictionaries(dict.fromkeys(LEAVES, OPTIONS)),
    entropy=st.booleans(),
    aggregates=st.fixed_dictionaries({"index": AGGREGATES, "digital": AGGREGATES}),
    rule=st.sampled_from(["sum", "mean"]),
    renormalise=st.booleans(),
    watermark=st.sampled_from([END, END, start_us(first_day("2022-02")) + 3 * 86_400_000_000]),
)
def test_every_split_sums_to_the_move(
    seed: int, size: int, options: dict[str, str | None], entropy: bool, aggregates: dict[str, str], rule: str,
    renormalise: bool, watermark: int,
) -> None:  # fmt: skip
    """And what is put on the largest part is rounding: never a part that was forgotten."""
    chosen = {leaf: option for leaf, option in options.items() if option is not None and '= "' + leaf not in option}
    if entropy:
        chosen["cloud"] = 'transform = "entropy"'
    head = f'group_rule = "{rule}"\nrenormalise = {str(renormalise).lower()}\nmin_coverage = 0.3'
    system = system_of(text(chosen, aggregates, head=head), bulk(seed, size), watermark)
    real = index.explain_parts.settled
    sizes: list[float] = []

    def watched(moves: Sequence[float], total: float) -> tuple[list[float], float]:
        whole = max(1e-3, sizes[-1], abs(total), math.fsum(map(abs, moves)))
        assert abs(math.fsum(moves) - total) <= 1e-8 * whole
        return real(moves, total)

    with pytest.MonkeyPatch.context() as patch:
        for module in (index.explain, index.explain_parts):
            patch.setattr(module, "settled", watched)
        for period in list(system.sheets):
            for entity in [*CITIES, *GROUPS]:
                for against in ("pop", "yoy"):
                    sheets = [system.sheets[p].values for p in system.sheets]
                    sizes.append(max(float(np.nanmax(np.abs(np.nan_to_num(v)))) for v in sheets))
                    found = explain(system, entity, period, against)  # type: ignore[arg-type]
                    if found.reason is not None:
                        assert not found.indicators
                        continue
                    exact(found)
                    assert bool(found.cities) <= (entity in GROUPS)
                    row = system.layout.row_of[entity]
                    sheet = system.sheets[period]
                    if not sheet.is_open:
                        assert found.after == sheet.values[0, row]
                    if found.growth is not None and found.before:
                        assert found.after / found.before - 1.0 == found.growth


# --- by hand ----------------------------------------------------------------------------------------------------------


def grown(random: Random) -> list[Event]:
    """All cities and indicators in two quarters, amounts of up to 10^6 units."""
    found = []
    for month in ("2021-01", "2021-04"):
        for city in CITIES:
            for leaf in LEAVES:
                found.append(event(len(found), city, leaf, random.randrange(1, 10**6), month))
    return found


def amounts(events: Sequence[Event], month: str, cities: Sequence[str], leaf: str) -> int:
    day = first_day(month)
    return sum(e.value for e in events if e.city in cities and e.indicator == leaf and e.day == day)


@given(st.integers(0, 2**32))
def test_linear_leaves_against_fractions(seed: int) -> None:
    """Base shares: weight * move / base * scale, of each leaf, each city, and each leaf in each city."""
    events = grown(Random(seed))
    system = system_of(text(), events)
    weights = {"pay": (0.6, 0.7), "cloud": (0.6, 0.2), "users": (0.6, 0.1), "ai": (0.4, 1.0)}
    found = explain(system, "prov:a", Period.parse("2021Q2"))
    exact(found)
    cities = GROUPS["prov:a"][1]
    right = {}
    for leaf in LEAVES:
        whole = amounts(events, "2021-01", CITIES, leaf)
        for city in cities:
            move = amounts(events, "2021-04", [city], leaf) - amounts(events, "2021-01", [city], leaf)
            right[leaf, city] = Fraction(math.prod(map(Fraction, weights[leaf]))) * Fraction(move, whole) * 100
    largest = float(max(abs(v) for v in right.values()))
    near = lambda value: pytest.approx(float(value), rel=1e-11, abs=largest * 1e-13)  # noqa: E731
    assert len(found.cells) == sum(value != 0 for value in right.values())
    for cell in found.cells:
        assert cell.move == near(right[cell.name, cell.city])
    for part in found.indicators:
        assert part.move == near(sum(right[part.name, city] for city in cities))
        assert part.amount is not None
        assert part.amount.before == amounts(events, "2021-01", cities, part.name)
        assert part.amount.after == amounts(events, "2021-04", cities, part.name)
    for part in found.cities:
        assert part.move == near(sum(right[leaf, part.name] for leaf in LEAVES))
    assert found.indicators == sorted(found.indicators, key=lambda p: -abs(p.move))


def slow_split(node: str, aggregates: dict[str, str], then: dict[str, float], now: dict[str, float]) -> dict[str, Any]:
    """Of a complete tree, from the leaves up: value then, value now, and the leaves' parts, in plain numpy."""
    if node not in TREE:
        return {"then": then[node], "now": now[node], "parts": {node: now[node] - then[node]}}
    children, weights = TREE[node]
    below = [slow_split(child, aggregates, then, now) for child in children]
    before, after = np.array([c["then"] for c in below]), np.array([c["now"] for c in below])
    aggregate = aggregates.get(node, "arithmetic")
    w = np.ones(len(children)) if aggregate == "sum" else np.array(weights)
    if aggregate == "geometric":
        v0, v1 = np.prod(before**w), np.prod(after**w)
        effects = (v1 - v0) / np.log(v1 / v0) * w * np.log(after / before)
    else:
        v0, v1, effects = before @ w, after @ w, w * (after - before)
    parts = {
        leaf: move * effect / (child["now"] - child["then"])
        for child, effect in zip(below, effects, strict=True)
        for leaf, move in child["parts"].items()
    }
    return {"then": v0, "now": v1, "parts": parts}


@given(st.integers(0, 2**32), st.fixed_dictionaries({"index": AGGREGATES, "digital": AGGREGATES}))
def test_geometric_and_nested_nodes_against_numpy(seed: int, aggregates: dict[str, str]) -> None:
    events = grown(Random(seed))
    system = system_of(text(aggregates=aggregates), events)
    score = {
        month: {
            leaf: amounts(events, month, ["c1"], leaf) / amounts(events, "2021-01", CITIES, leaf) * 100
            for leaf in LEAVES
        }
        for month in ("2021-01", "2021-04")
    }
    right = slow_split("index", aggregates, score["2021-01"], score["2021-04"])
    found = explain(system, "c1", Period.parse("2021Q2"))
    exact(found)
    assert not found.cities
    assert {part.name: part.move for part in found.indicators} == pytest.approx(right["parts"], rel=1e-7, abs=1e-9)


def test_log_mean() -> None:
    a, b = np.array([2.0, 1.0, 3.0, 1 + 1e-15]), np.array([1.0, 2.0, 3.0, 1.0])
    assert log_mean(a, b) == pytest.approx([1 / math.log(2), 1 / math.log(2), 3.0, 1.0])


def test_of_a_mean_its_members_and_who_came() -> None:
    """Scores by goalposts 0..100. Then: c1 10, c2 20 (mean 15). Now: c1 14, c2 20, c3 50 (mean 28).

    c1: +4 * (1/2 + 1/3)/2. The rest of 13 is that c3 came.
    """
    tree = {"index": (["pay", "ai"], [0.5, 0.5])}
    options = dict.fromkeys(("pay", "ai"), "goalposts = [0.0, 100.0]")
    head = 'normalise = "min-max"\ngroup_rule = "mean"'
    rows = [("c1", "2021-01", 1000), ("c2", "2021-01", 2000), ("c1", "2021-04", 1400), ("c2", "2021-04", 2000),
            ("c3", "2021-04", 5000)]  # fmt: skip
    events = [
        event(seq, city, leaf, value, month) for seq, (city, month, value) in enumerate(rows) for leaf in ("pay", "ai")
    ]
    found = explain(system_of(text(options, tree=tree, head=head), events), "prov:a", Period.parse("2021Q2"))
    exact(found)
    assert (found.before, found.after) == (15.0, 28.0)
    own = 4 * (1 / 2 + 1 / 3) / 2
    assert by_name(found.cities) == pytest.approx({("city", "c1"): own, ("membership", ""): 13 - own})
    assert by_name(found.indicators) == pytest.approx(
        {("indicator", "pay"): own / 2, ("indicator", "ai"): own / 2, ("membership", ""): 13 - own}
    )
    assert found.cities[0].note == "came: c3"
    cells = {(cell.name, cell.city): cell.move for cell in found.cells}
    assert cells == pytest.approx({("pay", "c1"): own / 2, ("ai", "c1"): own / 2, ("", None): 13 - own})


def test_of_a_sum_a_city_that_came_is_named() -> None:
    tree = {"index": (["pay"], [1.0])}
    events = [event(1, "c1", "pay", 100, "2021-01"), event(2, "c1", "pay", 60, "2021-04"),
              event(3, "c2", "pay", 90, "2021-04")]  # fmt: skip
    found = explain(system_of(text(tree=tree), events), "prov:a", Period.parse("2021Q2"))
    exact(found)
    assert [(p.cause, p.name, p.note) for p in found.cities] == [("membership", "c2", "came"), ("city", "c1", "")]
    assert by_name(found.cities) == pytest.approx({("membership", "c2"): 90.0, ("city", "c1"): -40.0})


def test_an_indicator_that_came_is_availability() -> None:
    """ai alone then (10), pay 30 with weight 0.5 now, ai unmoved: +10 are due to pay's coming, and nothing to ai."""
    tree = {"index": (["pay", "ai"], [0.5, 0.5])}
    options = dict.fromkeys(("pay", "ai"), 'normalise = "none"')
    events = [event(1, "c1", "ai", 1000, "2021-01"), event(2, "c1", "ai", 1000, "2021-04"),
              event(3, "c1", "pay", 3000, "2021-04")]  # fmt: skip
    system = system_of(text(options, tree=tree, head="scale = 1\nrenormalise = true"), events)
    found = explain(system, "c1", Period.parse("2021Q2"))
    exact(found)
    assert (found.before, found.after, found.move) == (10.0, 20.0, 10.0)
    assert [(p.cause, p.name, p.move, p.note) for p in found.indicators] == [
        ("availability", "index", 10.0, "came: pay")
    ]


def test_min_max_the_others_moved() -> None:
    """c2 between c1 = 0 and c3: 50 of 100, then 50 of 200. Its own amount stands: all is reference."""
    tree = {"index": (["pay"], [1.0])}
    rows = [("c1", 0, 0), ("c2", 5000, 5000), ("c3", 10000, 20000)]
    events = [event(seq, c, "pay", v, m) for seq, (c, *vs) in enumerate(rows)
              for m, v in zip(("2021-01", "2021-04"), vs, strict=True)]  # fmt: skip
    system = system_of(text(tree=tree, head='normalise = "min-max"'), events)
    found = explain(system, "c2", Period.parse("2021Q2"))
    exact(found)
    assert by_name(found.indicators) == {("reference", "pay"): -25.0}
    top = explain(system, "c3", Period.parse("2021Q2"))
    # Its level doubled: on the scale of then +100, on that of now +50, so 75 of its own; the scale took it back.
    assert by_name(top.indicators) == {("indicator", "pay"): 75.0, ("reference", "pay"): -75.0}
    assert top.move == 0.0


def test_a_quotient_by_city() -> None:
    """pay / ai of a province: a city that added inhabitants lowered it, one that added pay raised it."""
    tree = {"index": (["pay"], [1.0])}
    options = {"pay": 'denominator = "ai"\nnormalise = "none"'}
    events = [event(1, "c1", "pay", 600, "2021-01"), event(2, "c1", "ai", 100, "2021-01"),
              event(3, "c2", "pay", 600, "2021-01"), event(4, "c2", "ai", 200, "2021-01"),
              event(5, "c1", "pay", 900, "2021-04"), event(6, "c1", "ai", 100, "2021-04"),
              event(7, "c2", "pay", 600, "2021-04"), event(8, "c2", "ai", 300, "2021-04")]  # fmt: skip
    found = explain(system_of(text(options, tree=tree, head="scale = 1"), events), "prov:a", Period.parse("2021Q2"))
    exact(found)
    assert (found.before, found.after) == (4.0, 3.75)
    middle = (3.0 + 4.0) / 2
    assert by_name(found.cities) == pytest.approx(
        {("city", "c1"): 3.0 / middle, ("city", "c2"): -(4.0 + 3.75) / 2 * 1.0 / middle}
    )


def test_entropy_and_ranks_are_not_told_apart_by_city() -> None:
    tree = {"index": (["cloud", "pay"], [0.5, 0.5])}
    options = {"cloud": 'transform = "entropy"\nnormalise = "none"', "pay": 'normalise = "rank"'}
    events = [event(1, "c1", "cloud", 100, "2021-01"), event(2, "c2", "cloud", 50, "2021-01", industry="food"),
              event(3, "c1", "cloud", 100, "2021-04"), event(4, "c2", "cloud", 90, "2021-04", industry="food"),
              event(5, "c1", "pay", 100, "2021-01"), event(6, "c4", "pay", 150, "2021-01"),
              event(7, "c1", "pay", 160, "2021-04"), event(8, "c4", "pay", 150, "2021-04")]  # fmt: skip
    found = explain(system_of(text(options, tree=tree), events), "prov:a", Period.parse("2021Q2"))
    exact(found)
    assert {(part.cause, part.name) for part in found.cities} <= {("together", "cloud"), ("together", "pay"),
                                                                 ("reference", "pay")}  # fmt: skip
    assert ("together", "cloud") in by_name(found.cities)


def test_an_open_period_to_date() -> None:
    """On the evening of the second day of April: the first two days of each quarter."""
    tree = {"index": (["pay"], [1.0])}
    days = [("2021-01", 0, 10), ("2021-01", 1, 20), ("2021-01", 2, 70), ("2021-04", 0, 15), ("2021-04", 1, 30),
            ("2021-04", 2, 99)]  # fmt: skip
    events = [event(seq, "c1", "pay", value, month, day) for seq, (month, day, value) in enumerate(days)]
    system = system_of(text(tree=tree), events, start_us(first_day("2021-04")) + 2 * 86_400_000_000)
    for entity in ("c1", "prov:a"):
        found = explain(system, entity, Period.parse("2021Q2"))
        exact(found)
        assert (found.days, found.before, found.after, found.growth) == (2, 30.0, 45.0, 0.5)
        assert found.indicators[0].amount is not None
        assert (found.indicators[0].amount.before, found.indicators[0].amount.after) == (30, 45)
    assert explain(system, "c1", Period.parse("2021Q2"), "yoy").reason == "open"


def test_what_is_missing_has_its_reason() -> None:
    tree = {"index": (["pay"], [1.0])}
    events = [event(1, "c1", "pay", 100, "2021-01"), event(2, "c1", "pay", 0, "2021-04"),
              event(3, "c1", "pay", 5, "2021-07"), event(4, "c2", "pay", 5, "2021-04", period="2021Q2")]  # fmt: skip
    system = system_of(text(tree=tree), events)

    def why(entity: str, period: str, against: str = "pop") -> str | None:
        found = explain(system, entity, Period.parse(period), against)  # type: ignore[arg-type]
        assert (found.indicators == []) == (found.reason is not None)
        return found.reason if found.why is None else f"{found.reason} ({found.why})"

    assert why("c1", "2021Q1") == "no-predecessor (no-data)"
    assert why("c1", "2021Q2") is None
    assert why("c3", "2021Q2") == "no-value (no-data)"
    assert why("c1", "2022Q3") == "no-value (no-data)"
    assert why("c1", "2021Q2", "yoy") == "no-predecessor (no-data)"
    zero = explain(system, "c1", Period.parse("2021Q3"))
    assert (zero.reason, zero.growth_reason, zero.growth, zero.move) == (None, "zero-predecessor", None, 5.0)
    open_ = system_of(text(tree=tree), events, start_us(first_day("2021-05")))
    assert explain(open_, "c2", Period.parse("2021Q2")).reason == "no-predecessor"
    with pytest.raises(ValueError, match="no entity"):
        explain(system, "nobody", Period.parse("2021Q1"))
    with pytest.raises(ValueError, match="no period"):
        explain(system, "c1", Period.parse("2021-01"))


# --- exact sums -------------------------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(
    st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=8),
    st.floats(-1e-14, 1e-14),
    st.integers(0, 9),
)
def test_settled_sums_exactly(moves: list[float], miss: float, n: int) -> None:
    total = math.fsum(moves) + miss * max(map(abs, moves))
    done, left = settled(moves, total)
    assert math.fsum([*done, left]) == total
    assert abs(left) <= 1e-15 * max(map(abs, moves))
    assert done == pytest.approx(moves, rel=1e-11, abs=0)
    parts = exactly([Part("city", str(i), move) for i, move in enumerate(moves)], total)
    assert math.fsum(part.move for part in parts) == total
    shown = first(parts, n, total)
    assert math.fsum(part.move for part in shown) == total
    assert len(shown) - (len(parts) if not n or len(parts) <= n else n + 1) in (0, 1)


# --- the systems of this project --------------------------------------------------------------------------------------

SYSTEMS = Path(__file__).parents[2] / "systems"


@pytest.mark.parametrize(
    "file", sorted(p for p in SYSTEMS.glob("*.toml") if p.name != ALERT_RULES), ids=lambda file: file.stem
)
def test_every_system_is_explained_exactly(file: Path) -> None:
    """Made-up amounts of every indicator and industry; a few cities have none then, a few none now."""
    known = Catalogue.load(SYSTEMS / "catalogue")
    definition = Definition.load(file, known)
    random, grain = Random(1), definition.grains[0]
    base = definition.base or Period(grain, 2022 * grain.per_year)
    periods = [base, base.successor]
    board, store = Board(definition, known), CellStore(known)
    wanted = {code for code, _ in definition.columns.keys}
    rows: list[list[Any]] = []
    for period in periods:
        for number, city in enumerate(known.cities):
            if (number + len(rows)) % 19 == 0:
                continue
            row: list[Any] = [f"cells:{period.name}:{city}"]
            for indicator, industries in zip(known.indicators, known.industry_codes, strict=True):
                if indicator.code in wanted and random.random() < 0.98:
                    for industry in industries:
                        amount = random.randrange(1, 10**6)
                        stock = f"{amount} {END - 10**15} 1 s"
                        row += (f"{indicator.code}/{industry}", stock if indicator.kind == "stock" else amount)
            rows.append(row)
    board.apply(store.apply(Partition(0), rows))
    board.watermark(END + 10**14)
    board.diff()
    explained = 0
    for period in periods[1:]:
        for entity in [*known.cities[:3], *(e.code for e in known.entities if e.kind != known.base_kind)][::2]:
            if entity in board.system.layout.row_of:
                found = explain(board.system, entity, period)
                if found.reason is None:
                    exact(found)
                    causes = {part.cause: part.move for part in [*found.indicators, *found.cities]}
                    assert abs(causes.get("rounding", 0.0)) <= 1e-9
                    explained += 1
    assert explained > 10
