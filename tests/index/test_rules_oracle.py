"""Every rule of the definition language, in random worlds: the board publishes what the slow oracle computes, bit for
bit, after events, watermarks, restarts and states that go back."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.index.oracle import Event, World
from tests.index.test_board_oracle import BULKS, STEPS, WATERMARKS, play
from tests.index.worlds import world

INDICATORS = ["pay", "cloud", "users", "ai"]
MERGERS = [
    [],
    [("c5", "c4", "2021-02")],
    [("c5", "c4", "2021-04"), ("c4", "c1", "2021-12")],
    [("c2", "c3", "2022-01"), ("c3", "c4", "2021-02")],
]
TREES: list[dict[str, Any]] = [
    {"tree": {"index": [("digital", 0.6), ("ai", 0.4)], "digital": [("pay", 0.7), ("cloud", 0.2), ("users", 0.1)]}},
    {"tree": {"index": [("digital", 0.25), ("cloud/food", 0.75)], "digital": [("pay", 0.5), ("cloud", 0.5)]}},
    {"tree": {"index": [("pay", 0.3), ("online", 0.7)], "online": [("cloud/retail", 0.4), ("users", 0.6)]}},
    {"tree": {"index": [("users", 0.2), ("online", 0.8)], "online": [("retail", 0.5), ("food", 0.5)],
              "retail": [("cloud/retail", 1.0)], "food": [("cloud/food", 1.0)]},
     "families": {"online": ("trade", ["retail", "food"], [("cloud", 1.0)])}},
    {"tree": {"index": [("ai", 0.5), ("online", 0.5)], "online": [("food", 1.0)], "food": [("cloud/food", 1.0)]},
     "families": {"online": ("trade", ["food"], [("cloud", 1.0)])}},
    {"tree": {"index": [("cloud", 1.0)]}},
]  # fmt: skip
RANKINGS = [
    {"name": "cities", "rows": "city", "measure": "value"},
    {"name": "in-prov", "rows": "city", "measure": "growth", "scope": "prov"},
    {"name": "steady", "rows": "city", "measure": "mean_yoy"},
    {"name": "parts", "rows": "prov", "measure": "share"},
    {"name": "to-date", "rows": "circle", "measure": "to_date"},
]


def options(random: Random, leaf: str, default: str, whole: bool) -> dict[str, Any]:
    """Options of one leaf that go together."""
    found: dict[str, Any] = {}
    if random.random() < 0.5:
        found["normalise"] = random.choice(["base-share", "none", "min-max", "z-score", "rank"])
    how = found.get("normalise", default)
    if how != "none" and random.random() < 0.4:
        found["direction"] = "lower"
    indicator, _, industry = leaf.partition("/")
    if indicator == "cloud" and not industry and not whole and random.random() < 0.4:
        found["transform"] = "entropy"
    else:
        if random.random() < 0.3:
            found["transform"] = "log"
        if random.random() < 0.4:
            found["denominator"] = random.choice([i for i in INDICATORS if i != indicator])
        if random.random() < 0.3:
            found["floor"] = random.choice([0.0, 0.02, -1.5])
        if random.random() < 0.3:
            found["cap"] = random.choice([0.05, 4.0])
    if how == "min-max" and random.random() < 0.4:
        found["goalposts"] = random.choice([[0.01, 3.0], [0.5, 0.6]])
    return found


def drawn(seed: int) -> World:
    """A world that uses some of the rules at once."""
    random = Random(seed)
    shape = random.choice(TREES)
    normalise = random.choice(["base-share", "base-share", "none", "min-max", "z-score", "rank"])
    tree, families = shape["tree"], shape.get("families", {})
    made = {industry for _, only, _ in families.values() for industry in only}
    aggregates = {n: random.choice(["arithmetic", "geometric", "sum"]) for n in tree if n not in made}
    for node, children in tree.items():
        if node in families or aggregates.get(node) == "sum":
            tree = tree | {node: [(child, 1 / len(children)) for child, _ in children]}
            aggregates[node] = "sum"
    below = {child for children in tree.values() for child, _ in children} - tree.keys()
    leaves = {leaf for leaf in below if leaf.split("/")[-1] not in made}
    named = {child for _, _, children in families.values() for child, _ in children}
    drawn_options = {leaf: options(random, leaf, normalise, False) for leaf in sorted(leaves) if random.random() < 0.7}
    drawn_options |= {leaf: options(random, leaf, normalise, True) for leaf in sorted(named) if random.random() < 0.7}
    return world(
        tree=tree,
        families=families,
        aggregates={n: how for n, how in aggregates.items() if how != "arithmetic"},
        options=drawn_options,
        normalise=normalise,
        group_rule=random.choice(["sum", "mean"]),
        mergers=random.choice(MERGERS),
        merger_rule=random.choice(["restate", "keep"]),
        mean_yoy_from=random.choice([None, "2021Q1", "2021Q4", "2021"]),
        mean_yoy_step=random.choice(["period", "year"]),
        grains=random.choice([["quarter", "year"], ["month", "quarter", "half", "year"]]),
        base=random.choice(["2021Q1", "2020Q4"]),
        grace_s=random.choice([0, 3600]),
        renormalise=random.random() < 0.7,
        min_coverage=random.choice([0.0, 0.3, 0.5, 1.0]),
        rankings=RANKINGS,
    )


WORLDS = st.builds(drawn, st.integers(0, 2**32))


@settings(max_examples=30)
@given(WORLDS, BULKS, WATERMARKS, st.lists(STEPS, min_size=1, max_size=3))
def test_any_rules_give_what_the_oracle_computes(
    world_: World, first: list[Event], watermark: int | None, steps: list[tuple[str, Any]]
) -> None:
    begin: list[tuple[str, Any]] = [("events", first), ("watermark", watermark), ("diff", None)]
    diffs: list[tuple[str, Any]] = [part for step in steps for part in (step, ("diff", None))]
    play(world_, begin + diffs)


@settings(max_examples=30)
@given(WORLDS, st.lists(STEPS, min_size=1, max_size=6))
def test_any_rules_give_what_the_oracle_computes_from_little_data(world_: World, steps: list[tuple[str, Any]]) -> None:
    play(world_, steps)
