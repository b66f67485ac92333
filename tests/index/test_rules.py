"""The rules of the definition language by hand: scores, aggregates, means of members, and every kind of bad input."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from index import touch
from index.evaluate import Values
from index.evaluate import evaluate as evaluate_columns
from tests.index.oracle import Event, World, first_day, start_us
from tests.index.worlds import CITIES, Engine, world

AMOUNTS = {"c1": 100, "c2": 200, "c3": 300, "c4": 400, "c5": 500}
CLOSED = start_us(first_day("2030-01"))


def event(city: str, indicator: str, value: int, period: str = "2021Q1", industry: str = "all") -> Event:
    event.seq += 1  # type: ignore[attr-defined]
    at_us = start_us(first_day("2021-01"))
    return Event(0, "s", event.seq, city, indicator, industry, value, at_us, period)  # type: ignore[attr-defined]


event.seq = 0  # type: ignore[attr-defined]


def one_leaf(leaf: str = "pay", **changes: Any) -> World:
    """The index is one leaf: scale 1, so that a value is its score."""
    settings: dict[str, Any] = {"tree": {"index": [(leaf, 1.0)]}, "scale": 1.0, "min_coverage": 0.0, "rankings": []}
    return world(**(settings | changes))


def published(world_: World, events: list[Event], period: str = "2021Q1") -> dict[str, dict[str, Any]]:
    """The updates of a closed period by entity, after a look that nothing in any is but JSON."""
    engine = Engine(world_)
    engine.send(events)
    engine.set_watermark(CLOSED)
    updates = engine.board.diff().updates
    json.dumps(updates, allow_nan=False)
    return {u["entity"]: u for u in updates if u["period"] == period}


def values(world_: World, events: list[Event]) -> dict[str, Any]:
    """Value, or the reason why it is missing, by entity."""
    return {
        e: u["value"] if u["value"] is not None else u["why"]["value"] for e, u in published(world_, events).items()
    }


def of_cities(amounts: dict[str, int], indicator: str = "pay") -> list[Event]:
    return [event(city, indicator, value) for city, value in amounts.items()]


@pytest.mark.parametrize(
    ("normalise", "options", "expected"),
    [
        ("none", {}, [1.0, 2.0, 3.0, 4.0, 5.0]),
        ("none", {"floor": 2.0, "cap": 4.0}, [2.0, 2.0, 3.0, 4.0, 4.0]),
        ("none", {"transform": "log"}, [math.log(x) for x in (1, 2, 3, 4, 5)]),
        ("none", {"transform": "log", "cap": 2.0}, [math.log(x) for x in (1, 2, 2, 2, 2)]),
        ("min-max", {}, [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("min-max", {"direction": "lower"}, [1.0, 0.75, 0.5, 0.25, 0.0]),
        ("min-max", {"goalposts": [3.0, 5.0]}, [-1.0, -0.5, 0.0, 0.5, 1.0]),  # nothing is cut off
        ("min-max", {"goalposts": [1.0, 4.0], "transform": "log"},
         [(math.log(x) - math.log(1)) / (math.log(4) - math.log(1)) for x in (1, 2, 3, 4, 5)]),
        ("z-score", {}, [(x - 3.0) / math.sqrt(2.0) for x in (1, 2, 3, 4, 5)]),
        ("z-score", {"direction": "lower"}, [(3.0 - x) / math.sqrt(2.0) for x in (1, 2, 3, 4, 5)]),
        ("rank", {}, [0.2, 0.4, 0.6, 0.8, 1.0]),
        ("rank", {"direction": "lower"}, [1.0, 0.8, 0.6, 0.4, 0.2]),
        ("base-share", {}, [x / 1500 for x in (100, 200, 300, 400, 500)]),
        ("base-share", {"direction": "lower"}, [15.0 / x for x in (1.0, 2.0, 3.0, 4.0, 5.0)]),
    ],
)  # fmt: skip
def test_a_score_by_hand(normalise: str, options: dict[str, Any], expected: list[float]) -> None:
    """Five cities with 1.00 to 5.00, 15.00 in all."""
    found = values(one_leaf(normalise=normalise, options={"pay": options}), of_cities(AMOUNTS))
    assert [found[c] for c in CITIES] == expected


def test_groups_are_placed_on_the_scale_of_the_cities() -> None:
    """prov:a has 6.00, 1.25 of the way from 1.00 to 5.00; better than all five is rank 1, and so is the best."""
    found = values(one_leaf(normalise="min-max"), of_cities(AMOUNTS))
    assert found["prov:a"] == 1.25
    assert values(one_leaf(normalise="rank"), of_cities(AMOUNTS))["prov:a"] == 1.0


def test_a_denominator_by_hand() -> None:
    options = {"pay": {"denominator": "users"}}
    sent = [*of_cities(AMOUNTS), *of_cities({"c1": 400, "c2": 0, "c4": 800}, "users")]
    found = published(one_leaf(normalise="none", options=options), sent)
    assert [found[c]["value"] for c in CITIES] == [0.25, None, None, 0.5, None]
    assert [found[c]["why"].get("value") for c in CITIES] == [
        None, "zero-denominator", "no-denominator", None, "no-denominator",
    ]  # fmt: skip
    assert found["prov:a"]["value"] == 6.0 / 4.0  # of the sums, not of the quotients


def test_entropy_by_hand() -> None:
    """All in one industry: 0; half and half: 1; a quarter and three: in between."""
    parts = {"c1": (100, None), "c2": (50, 50), "c3": (25, 75), "c4": (-1, 2), "c5": (0, 0)}
    sent = [
        event(city, "cloud", value, industry=industry)
        for city, given in parts.items()
        for industry, value in zip(("retail", "food"), given, strict=True)
        if value is not None
    ]
    found = values(one_leaf("cloud", normalise="none", options={"cloud": {"transform": "entropy"}}), sent)
    quarter = -math.fsum([0.25 * math.log(0.25), 0.75 * math.log(0.75)]) / math.log(2)
    assert [found[c] for c in CITIES] == [0.0, 1.0, quarter, "not-positive", "zero-value"]


def test_aggregates_by_hand() -> None:
    """Of 4.00 and 9.00, half each: 6.5, 6.0 (the geometric mean), 13.0; of 4.00 alone always 4.0."""
    sent = [*of_cities({"c1": 400, "c2": 400, "c3": 400}, "pay"), *of_cities({"c1": 900, "c3": -1}, "ai")]
    for how, expected in (
        ("arithmetic", [6.5, 4.0, 1.995]),
        ("geometric", [6.0, 4.0, "not-positive"]),
        ("sum", [13.0, 4.0, 3.99]),
    ):
        w = one_leaf(tree={"index": [("pay", 0.5), ("ai", 0.5)]}, normalise="none", aggregates={"index": how})
        found = values(w, sent)
        assert [found[c] for c in ("c1", "c2", "c3")] == expected, how


def test_not_positive_below_a_node_is_told_above_it() -> None:
    tree = {"index": [("deep", 1.0)], "deep": [("pay", 0.5), ("ai", 0.5)]}
    w = one_leaf(tree=tree, normalise="none", aggregates={"deep": "geometric"})
    assert values(w, [event("c1", "pay", 0), event("c1", "ai", 5)])["c1"] == "not-positive"


def test_industries_add_up_to_their_whole() -> None:
    """A child made by `industries =` divides by the base of all industries; one written out by its own."""
    sent = [
        event(city, "cloud", value, industry=industry)
        for city, industry, value in (("c1", "retail", 30), ("c1", "food", 10), ("c2", "food", 60))
    ]
    tree = {"index": [("retail", 0.5), ("food", 0.5)], "retail": [("cloud/retail", 1.0)], "food": [("cloud/food", 1.0)]}
    family = {"index": ("trade", ["retail", "food"], [("cloud", 1.0)])}
    w = one_leaf(tree=tree, families=family, aggregates={"index": "sum"})
    found = published(w, sent)
    assert found["c1"]["nodes"] == {"retail": 0.3, "cloud/retail": 0.3, "food": 0.1, "cloud/food": 0.1}
    assert found["nation:n"]["value"] == 1.0
    assert published(one_leaf("cloud/retail"), sent)["c1"]["value"] == 1.0


def test_the_mean_of_members_by_hand() -> None:
    """prov:a: c1 has 1.0, c2 has 3.0, c3 nothing: 2.0, at a coverage of two thirds."""
    w = one_leaf(normalise="none", group_rule="mean", min_coverage=0.6)
    found = published(w, of_cities({"c1": 100, "c2": 300, "c4": 700}))
    assert (found["prov:a"]["value"], found["prov:a"]["coverage"]) == (2.0, 2 / 3)
    assert (found["prov:b"]["value"], found["prov:b"]["why"]["value"]) == (None, "low-coverage")
    assert found["prov:b"]["nodes"] == {"pay": 7.0}  # only the root is judged by its coverage


@pytest.mark.parametrize("rule", ["restate", "keep"])
def test_a_city_merged_into_another(rule: str) -> None:
    """c5 (of prov:b) became part of c1 (of prov:a) in 2021-04."""
    w = one_leaf(normalise="none", mergers=[("c5", "c1", "2021-04")], merger_rule=rule)
    w.rankings = [{"name": "cities", "rows": "city", "measure": "value"}]
    sent = [
        event(city, indicator, value, period)
        for period in ("2021Q1", "2021Q2")
        for city, indicator, value in (("c1", "pay", 100), ("c4", "pay", 200), ("c5", "pay", 400))
    ]
    q1, q2 = published(w, sent), published(w, sent, "2021Q2")
    assert [q2[e]["value"] for e in ("c1", "prov:a", "prov:b")] == [5.0, 5.0, 2.0]
    assert "c5" not in q2
    engine = Engine(w)
    engine.send(sent)
    engine.board.diff()
    tables = {k.period: engine.board.table(k) for k in engine.board.table_keys()}
    if rule == "restate":
        assert [q1[e]["value"] for e in ("c1", "prov:a", "prov:b")] == [5.0, 5.0, 2.0]
        assert "c5" not in q1
        assert tables["2021Q2"]["left_out"]["entity"] == ["c2", "c3"]
    else:
        assert [q1[e]["value"] for e in ("c1", "c5", "prov:a", "prov:b")] == [1.0, 4.0, 1.0, 6.0]
        assert tables["2021Q2"]["left_out"] == {
            "entity": ["c2", "c3", "c5"],
            "reason": ["no-data", "no-data", "merged"],
        }


@pytest.mark.parametrize(
    ("settings", "sent", "expected"),
    [
        # a city without data: it has no update; an indicator with no data at all
        ({"tree": {"index": [("pay", 0.5), ("ai", 0.5)]}}, {"c1": 5}, {"c1": 100.0}),
        ({"tree": {"index": [("pay", 0.5), ("ai", 0.5)]}, "renormalise": False}, {"c1": 5}, {"c1": "no-data"}),
        # all values equal, or only one
        ({"normalise": "min-max"}, {"c1": 5, "c2": 5}, {"c1": "no-spread", "c2": "no-spread"}),
        ({"normalise": "z-score"}, {"c1": 7, "c2": 7, "c3": 7}, {"c1": "no-spread", "c3": "no-spread"}),
        ({"normalise": "z-score"}, {"c1": 7}, {"c1": "no-spread"}),
        ({"normalise": "rank"}, {"c1": 7, "c2": 7}, {"c1": 100.0, "c2": 100.0}),
        # nothing that a logarithm could take
        ({"options": {"pay": {"transform": "log"}}, "normalise": "none"}, {"c1": 0, "c2": -3, "c3": 100},
         {"c1": "not-positive", "c2": "not-positive", "c3": 0.0}),
        # a base total of zero, or none
        ({}, {"c1": 5, "c2": -5}, {"c1": "no-base", "c2": "no-base"}),
        ({"base": "2020Q4"}, {"c1": 5}, {"c1": "no-base"}),
        ({"options": {"pay": {"direction": "lower"}}}, {"c1": 5, "c2": 0}, {"c1": 100.0, "c2": "zero-value"}),
    ],
)  # fmt: skip
def test_bad_input_has_a_reason(settings: dict[str, Any], sent: dict[str, int], expected: dict[str, Any]) -> None:
    found = values(one_leaf(**({"scale": 100.0} | settings)), of_cities(sent))
    assert {e: found[e] for e in expected} == expected
    assert all(city in found or city not in sent for city in CITIES)
    assert not [city for city in CITIES if city in found and city not in sent]


def test_a_zero_or_negative_child_of_a_geometric_mean() -> None:
    w = one_leaf(tree={"index": [("pay", 0.5), ("ai", 0.5)]}, normalise="none", aggregates={"index": "geometric"})
    found = values(w, [*of_cities({"c1": 0, "c2": -4, "c3": 4}), *of_cities({"c1": 4, "c2": 4, "c3": 4}, "ai")])
    assert [found[c] for c in ("c1", "c2", "c3")] == ["not-positive", "not-positive", math.pow(0.04, 0.5) ** 2]


def test_under_min_max_only_a_moved_extreme_touches_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event inside the extremes evaluates its city and that city's groups; one that moves an extreme, all rows."""
    counted: list[int] = []

    def counting(*args: Any) -> Values:
        found = evaluate_columns(*args)
        counted.append(found.values.shape[1])
        return found

    monkeypatch.setattr(touch, "evaluate", counting)
    tree = {"index": [("pay", 0.5), ("ai", 0.5)]}
    engine = Engine(one_leaf(tree=tree, normalise="min-max", grains=["quarter"]))
    engine.send([*of_cities(AMOUNTS), *of_cities(AMOUNTS, "ai")])
    engine.board.diff()
    all_rows = len(engine.board.system.layout.all)
    own_rows = {"c2": 5, "c3": 4}  # c2: prov:a, circle:x, circle:y, nation:n; c3: not in circle:x

    def rows_of(*sent: Event) -> list[int]:
        counted.clear()
        engine.send(sent)
        engine.board.diff()
        return list(counted)

    assert rows_of(event("c2", "pay", 7)) == [own_rows["c2"]]
    assert rows_of(event("c3", "ai", -7)) == [own_rows["c3"]]
    assert rows_of(event("c5", "pay", 1)) == [all_rows]  # the greatest grew
    assert rows_of(event("c1", "ai", -1)) == [all_rows]  # the least fell
    assert rows_of(event("c2", "pay", 1000)) == [all_rows]  # a new greatest
    assert rows_of(event("c3", "pay", 0, "2021Q1")) == []  # nothing differs
