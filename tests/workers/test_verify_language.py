"""The rules of the language as verify reads them, on a few amounts each, against numbers worked out by hand.

Cities a to g; pay, use (flows by food, toys, tools), run (a flow), cap, folk (stocks); pay has 2 decimals, cap 1.
"""

import json
import math
import random
from typing import Any

import pytest

from tests.workers import test_verify_world as worlds
from workers.verify.accept import Accepted, Judge
from workers.verify.batch import Batch, System
from workers.verify.catalogue import Catalogue, parse_catalogue
from workers.verify.checks import Checks
from workers.verify.definition import parse_definition
from workers.verify.periods import Period, parse_period

HEAD = """
system = "t"
version = 1
title = "t"
base = "2021"
scale = 1
grains = ["year"]
groups = ["area", "all"]
nation = "all:X"
"""
Amounts = dict[str, float]  # "city what period" -> amount, `what` an indicator or indicator/industry


def year(name: str) -> Period:
    period = parse_period(name)
    assert period is not None
    return period


def catalogue(mergers: list[dict[str, str]]) -> Catalogue:
    return parse_catalogue({**worlds.catalogue(random.Random(0)), "mergers": mergers})


def recomputed(text: str, amounts: Amounts, *mergers: tuple[str, str, str], head: str = HEAD) -> System:
    """A system of amounts that each are one event; all years are closed."""
    known = catalogue([dict(zip(("code", "into", "month"), each, strict=True)) for each in mergers])
    accepted, batch = Accepted(), Batch()
    judge = Judge(0, Checks(known), accepted, [10**6])
    for seq, (where, value) in enumerate(amounts.items()):
        city, what, period = where.split()
        indicator, _, industry = what.partition("/")
        event: dict[str, Any] = {"source": "s", "seq": seq, "city": city, "indicator": indicator, "value": value}
        event |= {"industry": industry or None, "op": "add" if known.indicators[indicator].flow else "set"}
        event |= {"at": "2024-02-02T00:00:00Z", "period": period}
        judge.record(seq, 2 * 10**12, None, json.dumps(event).encode())
    judge.finish()
    assert judge.snapshots[10**6].counts == {"accepted": len(amounts)}
    batch.names(accepted)
    watermark = judge.snapshots[10**6].watermark
    system = batch.system(parse_definition(head + text, known), known, {0: 10**6}, watermark)
    batch.close()
    return system


def values(system: System, node: str, period: str = "2021") -> dict[str, float | str | None]:
    """Entity -> value or reason."""
    numbers = system.numbers
    return {
        entity: numbers.why(entity, node, year(period)) if v is None else v
        for entity in numbers.entities
        for v in [numbers.v(entity, node, year(period))]
    }


def test_lower_by_a_denominator_between_bounds() -> None:
    """x = run / folk, cut to 2..10; t = B / x, B of all: 30 / 10 = 3."""
    text = """
        [tree]
        children = ["run"]
        weights = [1.0]
        [indicator.run]
        direction = "lower"
        denominator = "folk"
        floor = 2
        cap = 10
    """
    amounts: Amounts = {"a run 2021": 24, "a folk 2021": 4, "b run 2021": 6, "b folk 2021": 6, "c run 2021": 0}
    amounts |= {"d folk 2021": 0, "d run 2021": 0}
    found = values(recomputed(text, amounts), "run")
    assert found["a"] == 3.0 / 6.0
    assert found["b"] == 3.0 / 2.0  # 1, raised to the floor
    assert found["c"] == "no-denominator"
    assert found["d"] == "zero-denominator"
    assert found["e"] == "no-data"
    assert found["area:n"] == 3.0 / 3.0


def test_logarithm_between_goalposts() -> None:
    text = """
        normalise = "min-max"
        [tree]
        children = ["pay"]
        weights = [1.0]
        [indicator.pay]
        transform = "log"
        goalposts = [1, 100]
    """
    amounts: Amounts = {"a pay/food 2021": 7.5, "a pay/toys 2021": 2.5, "b pay/toys 2021": 0}
    found = values(recomputed(text, amounts), "pay")
    assert found["a"] == math.log(10.0) / math.log(100.0)
    assert found["b"] == "not-positive"


def test_over_the_entities_of_the_period() -> None:
    """run of a, b, c: 1, 2, 6; groups are placed among the base entities."""
    amounts: Amounts = {"a run 2021": 1, "b run 2021": 2, "c run 2021": 6}
    tree = '[tree]\nchildren = ["run"]\nweights = [1.0]\n'
    lower = '[indicator.run]\ndirection = "lower"\n'
    found = values(recomputed(f'normalise = "min-max"\n{tree}', amounts), "run")
    assert (found["a"], found["b"], found["c"], found["area:n"]) == (0.0, 0.2, 1.0, (9.0 - 1.0) / 5.0)
    s = math.sqrt((4.0 + 1.0 + 9.0) / 3)
    found = values(recomputed(f'normalise = "z-score"\n{tree}{lower}', amounts), "run")
    assert (found["a"], found["c"]) == (2.0 / s, -3.0 / s)
    found = values(recomputed(f'normalise = "rank"\n{tree}', {**amounts, "d run 2021": 2}), "run")
    assert (found["a"], found["b"], found["d"], found["c"]) == (0.25, 0.75, 0.75, 1.0)
    same: Amounts = {"a run 2021": 5, "b run 2021": 5}
    for normalise, expected in (("min-max", "no-spread"), ("z-score", "no-spread"), ("rank", 1.0)):
        assert values(recomputed(f'normalise = "{normalise}"\n{tree}', same), "run")["a"] == expected


def test_entropy_of_the_industries() -> None:
    text = 'normalise = "none"\n[tree]\nchildren = ["use"]\nweights = [1.0]\n[indicator.use]\ntransform = "entropy"\n'
    amounts: Amounts = {"a use/food 2021": 4, "a use/toys 2021": 4, "b use/food 2021": 9, "c use/food 2021": 0}
    amounts |= {"d use/food 2021": 3, "d use/tools 2021": -1}
    found = values(recomputed(text, amounts), "use")
    assert found["a"] == pytest.approx(math.log(2) / math.log(3), rel=1e-15)
    assert (found["b"], found["c"], found["d"]) == (0.0, "zero-value", "not-positive")


INDUSTRIES = """
[tree]
children = ["line", "run"]
weights = [0.5, 0.5]
aggregate = "geometric"
[tree.line]
industries = "trade"
only = ["tools", "food"]
children = ["pay", "use"]
weights = [0.25, 0.75]
"""


def test_industries_add_up_and_the_root_is_geometric() -> None:
    """Each is a share of the indicator's base over all industries (pay 10.00, use 8), toys too."""
    amounts: Amounts = {"a pay/food 2021": 5, "a pay/tools 2021": 1, "b pay/toys 2021": 4}
    amounts |= {"a use/food 2021": 2, "a use/tools 2021": 4, "b use/food 2021": 2, "a run 2021": 3, "b run 2021": 1}
    system = recomputed(f"renormalise = true\n{INDUSTRIES}", amounts)
    assert [n.name for n in system.numbers.definition.nodes if n.name in ("food", "toys", "tools")] == ["food", "tools"]
    food, tools = 0.25 * 0.5 + 0.75 * 0.25, 0.25 * 0.1 + 0.75 * 0.5
    assert values(system, "line")["a"] == food + tools
    assert values(system, "index")["a"] == pytest.approx(math.sqrt((food + tools) * 0.75), rel=1e-15)
    # b has no tools at all: the sum is that of the rest, and its coverage (0.5 of 1/2) shows it
    assert values(system, "food")["b"] == (0.75 * 0.25) / 0.75
    assert values(system, "line")["b"] == 0.25
    assert system.numbers.coverage("b", year("2021")) == 0.5 * (0.5 * 0.75 + 0.5 * 0.0) + 0.5 * 1.0
    assert values(recomputed(INDUSTRIES, amounts), "index")["b"] == "no-data"
    negative = recomputed(f"renormalise = true\n{INDUSTRIES}", {**amounts, "b run 2021Q1": -2})
    assert values(negative, "index")["b"] == "not-positive"


def test_a_group_is_the_mean_of_its_members() -> None:
    text = 'group_rule = "mean"\nmin_coverage = 0.5\n[tree]\nchildren = ["run"]\nweights = [1.0]\n'
    system = recomputed(text, {"a run 2021": 1, "b run 2021": 3, "c run 2021": 4})
    found = values(system, "index")
    assert found["area:n"] == math.fsum([0.125, 0.375, 0.5]) / 3
    assert values(system, "run")["area:s"] == 0.5  # of c alone
    assert found["area:s"] == "low-coverage"
    assert system.numbers.coverage("area:s", year("2021")) == 1 / 3


MERGED = ("g", "a", "2022-01")
ONE = '[tree]\nchildren = ["run", "folk"]\nweights = [0.5, 0.5]\n'
BEFORE_AND_AFTER: Amounts = {
    f"{city} {what} {when}": amount
    for when in ("2021", "2022")
    for city, what, amount in (("a", "run", 6), ("a", "folk", 30), ("g", "run", 2), ("g", "folk", 10))
}


def test_a_merger_restated_or_kept() -> None:
    """Levels of the two add up, as their flows do."""
    restated = recomputed(ONE, BEFORE_AND_AFTER, MERGED)
    assert "g" not in restated.numbers.entities
    for period in ("2021", "2022"):
        assert values(restated, "run", period)["a"] == values(restated, "folk", period)["a"] == 1.0
    kept = recomputed(f'mergers = "keep"\n{ONE}', BEFORE_AND_AFTER, MERGED)
    before, after = values(kept, "index", "2021"), values(kept, "index", "2022")
    assert (before["a"], before["g"], before["area:g"]) == (0.75, 0.25, 0.25)
    assert (after["a"], after["g"], after["area:g"]) == (1.0, "merged", "no-data")
    assert kept.numbers.growth("a", "index", year("2022"), "pop") == (1.0 / 0.75 - 1.0, None)
    assert {each.entity for each in kept.values() if each.period == "2022"} == {"a", "area:n", "all:X"}


def test_mean_of_yearly_steps() -> None:
    head = HEAD.replace('"year"', '"half"').replace('"2021"', '"2021H1"')
    amounts: Amounts = {f"a run {half}": v for half, v in (("2021H1", 8), ("2022H1", 10), ("2023H1", 15))}
    tree = '[tree]\nchildren = ["run"]\nweights = [1.0]\n'
    by_year = recomputed(f'mean_yoy_from = "2022H1"\nmean_yoy_step = "year"\n{tree}', amounts, head=head).numbers
    assert by_year.growth("a", "index", year("2023H1"), "mean_yoy") == ((0.25 + 0.5) / 2, None)
    by_period = recomputed(f'mean_yoy_from = "2022H1"\n{tree}', amounts, head=head).numbers
    assert by_period.growth("a", "index", year("2023H1"), "mean_yoy") == (None, "gap")  # 2022H2


MEASURES: list[tuple[str, dict[str, float | str]]] = [
    ('rows = "city"\nmeasure = "share"', {"a": 0.1, "b": 0.3, "c": 0.6}),
    ('rows = "city"\nmeasure = "rise"', {"a": 0.0, "b": -1.0, "c": 1.0}),
    ('rows = "city"\nmeasure = "span_mean"\nfrom = "2021"', {"a": 1.0, "b": 3.5, "c": 4.5}),
    ('rows = "city"\nmeasure = "compound"\nfrom = "2021"', {"a": 0.0, "b": 3.0 / 4.0 - 1.0, "c": 1.0}),
    ('rows = "city"\nmeasure = "contribution"', {"a": 0.0, "b": -1.0 / 8.0, "c": 3.0 / 8.0}),
    ('rows = "city"\nmeasure = "growth_multiple"', {"a": 0.0, "b": -0.25 / 0.25, "c": 1.0 / 0.25}),
    ('rows = "city"\nmeasure = "times_in_first"\nfirst = 1\nfrom = "2021"', {"a": 0.0, "b": 1.0, "c": 1.0}),
    ('rows = "city"\nmeasure = "both_high"\nfirst = 1', {"a": 0.0, "b": 0.0, "c": 1.0}),
    ('rows = "city"\nmeasure = "quadrant"', {"a": 0.0, "b": 0.0, "c": 3.0}),
    ('rows = "all"\nmeasure = "members_mean"', {"all:X": 10.0 / 3.0}),
    ('rows = "all"\nmeasure = "members_mean"\nof = "pop"', {"all:X": (0.0 - 0.25 + 1.0) / 3}),
    ('rows = "all"\nmeasure = "lead"', {"all:X": 6.0 / 2.0}),
    ('rows = "all"\nmeasure = "first_share"\nfirst = 2', {"all:X": 0.9}),
    ('rows = "all"\nmeasure = "members_above"\nthreshold = "mean"', {"all:X": 1.0}),
    ('rows = "all"\nmeasure = "members_above_growth"\nthreshold = 2', {"all:X": 2.0 / 2.0 - 1.0}),
    ('rows = "all"\nmeasure = "max_to_mean"', {"all:X": 6.0 / (10.0 / 3)}),
    ('rows = "all"\nmeasure = "gini"', {"all:X": (2 * 25.0) / (3 * 10.0) - 4 / 3}),
    ('rows = "area"\nmeasure = "lead"', {"area:n": 3.0, "area:s": "no-spread", "area:g": "no-value"}),
    ('rows = "grades"\nmeasure = "grade_count"', {"high": 2.0, "low": 1.0}),
    ('rows = "grades"\nmeasure = "grade_mean"', {"high": 4.5, "low": 1.0}),
    ('rows = "grades"\nmeasure = "grade_growth"\nscope = "area"', {"high": 0.0, "low": 0.0}),
]


@pytest.mark.parametrize(("ranking", "expected"), MEASURES, ids=[each[0].replace("\n", " ") for each in MEASURES])
def test_measures(ranking: str, expected: dict[str, float | str]) -> None:
    """Values of 2021: 1, 4, 3; of 2022: 1, 3, 6."""
    text = f"""
normalise = "none"
[tree]
children = ["run"]
weights = [1.0]
[[grade]]
code = "high"
title = "t"
at_least = 3
[[grade]]
code = "low"
title = "t"
[[ranking]]
name = "r"
{ranking}
"""
    amounts: Amounts = {"a run 2021": 1, "b run 2021": 4, "c run 2021": 3}
    amounts |= {"a run 2022": 1, "b run 2022": 3, "c run 2022": 6}
    tables = recomputed(text, amounts).tables()
    table = tables["r", "2022", "area:n" if "scope" in ranking else None]
    found: dict[str, float | str | None] = {name: row.value for name, row in table.rows.items()} | table.left_out
    assert {name: found[name] for name in expected} == expected
