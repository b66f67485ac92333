"""Rank intervals: against a slow oracle with the same draws, and by hand."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.definition import Definition
from index.periods import Period
from index.robustness import Interval, Robustness, competition_ranks, drawn_weights
from index.system import System
from tests.index.oracle import first_day, start_us
from tests.index.test_explain import HEAD, LEAVES, bulk, event, system_of
from tests.index.worlds import CITIES, GROUPS, catalogue

DRAWS, SEED = 40, 7
PANELS = {"index": [[5, 1], [1, 5], [3, 4]], "digital": [[1, 2, 5], [5, 2, 1], [2, 2, 2], [1, 5, 1]]}
CHILDREN = {"index": ["digital", "ai"], "digital": ["pay", "cloud", "users"]}
RANKINGS = [
    {"name": "cities", "rows": "city"},
    {"name": "rounded", "rows": "city", "rank_decimals": -1, "order": "rising"},
    {"name": "in-circle", "rows": "city", "scope": "circle"},
    {"name": "provinces", "rows": "prov"},
]


def text(aggregates: dict[str, str], given: frozenset[str], rule: str, renormalise: bool, level: float = 0.9) -> str:
    """`given`: nodes with weights instead of their panel."""
    lines = [HEAD, f'group_rule = "{rule}"', f"renormalise = {str(renormalise).lower()}"]
    for node, children in CHILDREN.items():
        lines += ["[tree]" if node == "index" else f"[tree.{node}]", f"children = {children}".replace("'", '"')]
        aggregate = aggregates[node]
        lines.append(f'aggregate = "{aggregate}"')
        if node in given:
            lines.append(f"weights = {[0.3, 0.7] if node == 'index' else [0.2, 0.3, 0.5]}")
        elif aggregate != "sum":
            lines.append(f"panel = {PANELS[node]}")
    lines += ["[robustness]", f"draws = {DRAWS}", f"seed = {SEED}", f"level = {level}"]
    for ranking in RANKINGS:
        lines += ["[[ranking]]", 'measure = "value"']
        lines += [f"{k} = {v if isinstance(v, int) else repr(v)}" for k, v in ranking.items() if v != -1]
        if ranking.get("rank_decimals") == -1:
            lines.append("rank_decimals = 0")
    return "\n".join(lines)


def value(definition: Definition, node: str, weights: dict[str, list[float]], leaves: dict[str, float | None],
          there: dict[str, bool]) -> float:  # fmt: skip
    """One node of one row, in plain Python; NaN where it is missing."""
    if node in LEAVES:
        known = leaves[node]
        return math.nan if known is None else known
    aggregate = definition.tree.nodes[definition.tree.number_of[node]].aggregate
    present = [
        (value(definition, child, weights, leaves, there), w)
        for child, w in zip(CHILDREN[node], weights[node], strict=True)
        if there[child]
    ]
    if not present:
        return math.nan
    whole = len(present) == len(CHILDREN[node])
    if aggregate == "sum":
        total = 0.0
        for number, (v, _) in enumerate(present):
            total = v if number == 0 else total + v
        return total
    used = 0.0
    for _, w in present:
        used += w
    if aggregate == "geometric":
        if any(not v > 0 for v, _ in present):
            return math.nan
        product = 1.0
        for v, w in present:
            product *= v**w
        return product if whole else product ** (1 / used)
    total = 0.0
    for number, (v, w) in enumerate(present):
        total = v * w if number == 0 else total + v * w
    return total if whole else total / used


def slow_intervals(system: System, period: Period) -> list[Interval]:
    definition = system.definition
    sheet, tree, layout = system.sheets[period], definition.tree, system.layout
    rng = np.random.default_rng(SEED)
    ranks: dict[tuple[str, str | None], dict[str, list[int]]] = {}
    published = {layout.codes[row]: float(sheet.values[0, row]) for row in range(layout.total)}
    for _ in range(DRAWS):
        weights = {}
        for node in CHILDREN:
            own = tree.nodes[tree.number_of[node]]
            weights[node] = list(own.weights)
            if own.panel:
                experts = rng.integers(0, len(own.panel), len(own.panel)).tolist()
                sums = [sum(own.panel[e][j] for e in experts) for j in range(len(own.children))]
                weights[node] = [s / sum(sums) for s in sums]
        root: dict[str, float] = {}
        for row in range(layout.total):
            values = {name: float(sheet.values[number, row]) for name, number in tree.number_of.items()}
            there = {name: v == v for name, v in values.items()}
            leaves = {leaf: values[leaf] if there[leaf] else None for leaf in LEAVES}
            root[layout.codes[row]] = value(definition, "index", weights, leaves, there) if there["index"] else math.nan
        if definition.mean_of_members:
            for group, (_, members) in GROUPS.items():
                of = [root[m] for m in members if root[m] == root[m]]
                root[group] = math.fsum(of) / len(of) if of else math.nan
        for ranking in RANKINGS:
            for scope in [g for g, (kind, _) in GROUPS.items() if kind == ranking.get("scope")] or [None]:
                kind = ranking["rows"]
                everybody = CITIES if kind == "city" else [g for g in GROUPS if GROUPS[g][0] == kind]
                if scope is not None:
                    everybody = [c for c in everybody if c in GROUPS[scope][1]]
                rows = [e for e in everybody if published[e] == published[e]]

                def key(entity: str, of: dict[str, float], ranking: dict[str, Any] = ranking) -> float:
                    v = of[entity]
                    if "rank_decimals" in ranking:
                        v = float(np.rint(v))
                    v = -v if ranking.get("order") == "rising" else v
                    return -math.inf if v != v else v

                table = ranks.setdefault((str(ranking["name"]), scope), {})
                for entity in rows:
                    held = table.setdefault(entity, [1 + sum(key(o, published) > key(entity, published) for o in rows)])
                    held.append(1 + sum(key(o, root) > key(entity, root) for o in rows))
    found = []
    low = math.floor((1 - definition.robustness.level) / 2 * DRAWS)  # type: ignore[union-attr]
    for (name, scope), table in ranks.items():
        rows = sorted(table, key=lambda entity: (table[entity][0], entity))
        drawn = {entity: sorted(table[entity][1:]) for entity in rows}
        if rows:
            found.append(
                Interval(name, scope, rows, [table[e][0] for e in rows], [drawn[e][low] for e in rows],
                         [drawn[e][DRAWS - 1 - low] for e in rows])
            )  # fmt: skip
    return found


def intervals(system: System, period: Period) -> list[Interval]:
    outlines = list(system.outlines.values())
    return list(Robustness(system.definition).intervals(system.layout, outlines, system.sheets[period].values))


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    size=st.integers(15, 90),
    aggregates=st.fixed_dictionaries(
        {"index": st.sampled_from(["arithmetic", "geometric"]),
         "digital": st.sampled_from(["arithmetic", "geometric", "sum"])}
    ),
    given_weights=st.sampled_from([frozenset(), frozenset({"index"}), frozenset({"digital"})]),
    rule=st.sampled_from(["sum", "mean"]),
    renormalise=st.booleans(),
    level=st.sampled_from([0.5, 0.9, 0.99]),
)  # fmt: skip
def test_the_oracles_intervals(
    seed: int, size: int, aggregates: dict[str, str], given_weights: frozenset[str], rule: str, renormalise: bool,
    level: float,
) -> None:  # fmt: skip
    if aggregates["digital"] == "sum":
        given_weights = frozenset()
    system = system_of(text(aggregates, given_weights, rule, renormalise, level), bulk(seed, size))
    for period in system.sheets:
        assert intervals(system, period) == slow_intervals(system, period)


def test_experts_who_agree_leave_no_doubt() -> None:
    """Then every draw has the published weights: the interval is the rank."""
    agreed = text({"index": "arithmetic", "digital": "arithmetic"}, frozenset(), "sum", True)
    for panel in PANELS.values():
        agreed = agreed.replace(str(panel), str([panel[0]] * len(panel)))
    system = system_of(agreed, bulk(5, 120))
    for period in system.sheets:
        for found in intervals(system, period):
            assert found.rank == found.rank_low == found.rank_high


def test_who_is_good_at_one_thing_hangs_on_the_experts() -> None:
    """c1 has all of pay, c2 all of ai: which is first, the experts decide; c3 has little of both, and is third."""
    body = f"""{HEAD}
[tree]
children = ["pay", "ai"]
panel = [[5, 1], [1, 5]]
[robustness]
draws = 200
seed = 1
level = 0.9
[[ranking]]
name = "cities"
rows = "city"
measure = "value"
"""
    amounts = [("c1", "pay", 98), ("c2", "ai", 99), ("c3", "pay", 2), ("c3", "ai", 1)]
    events = [event(seq, city, leaf, v, "2021-01") for seq, (city, leaf, v) in enumerate(amounts)]
    system = system_of(body, [*events, event(9, "c1", "ai", 0, "2021-01"),
                              event(10, "c2", "pay", 0, "2021-01")])  # fmt: skip
    (found,) = intervals(system, Period.parse("2021Q1"))
    assert found.entity == ["c2", "c1", "c3"]
    assert (found.rank, found.rank_low, found.rank_high) == ([1, 2, 3], [1, 1, 3], [2, 2, 3])


def test_drawn_weights_are_those_of_drawn_experts() -> None:
    tree = Definition.parse(
        text({"index": "arithmetic", "digital": "arithmetic"}, frozenset(), "sum", True), catalogue()
    ).tree
    drawn = drawn_weights(tree, 500, 3)
    for node, weights in zip(tree.nodes, drawn, strict=True):
        assert (weights is None) == (not node.panel)
        if weights is not None:
            assert weights.sum(axis=1) == pytest.approx(1)
            assert weights.mean(axis=0) == pytest.approx(node.weights, abs=0.03)
            assert len({tuple(row) for row in weights.tolist()}) > 5
    again = drawn_weights(tree, 500, 3)
    assert all(a is b or np.array_equal(a, b) for a, b in zip(drawn, again, strict=True) if a is not None)


def test_industries_share_one_panel() -> None:
    body = f"""{HEAD}
[tree]
children = ["online", "pay"]
panel = [[5, 1], [1, 5]]
[tree.online]
industries = "trade"
children = ["cloud", "sales"]
panel = [[5, 1], [1, 5], [3, 3]]
[robustness]
draws = 30
seed = 1
level = 0.9
"""
    kinds = {"pay": ("flow", ""), "cloud": ("flow", "trade"), "sales": ("flow", "trade")}
    tree = Definition.parse(body, catalogue(indicators=kinds)).tree
    drawn = drawn_weights(tree, 30, 1)
    retail, food = drawn[tree.number_of["retail"]], drawn[tree.number_of["food"]]
    assert retail is food
    assert drawn[0] is not None


@given(st.integers(0, 2**32))
def test_competition_ranks(seed: int) -> None:
    random = Random(seed)
    keys = np.array([[random.choice([1.0, 2.0, 3.0, -1.0, math.nan]) for _ in range(7)] for _ in range(4)])
    for row, ranks in zip(keys.tolist(), competition_ranks(keys).tolist(), strict=True):
        there = [k for k in row if k == k]
        assert ranks == [1 + (sum(o > k for o in there) if k == k else len(there)) for k in row]


def test_without_robustness_it_is_refused() -> None:
    body = text({"index": "arithmetic", "digital": "arithmetic"}, frozenset(), "sum", True)
    plain = body[: body.index("[robustness]")]
    system = system_of(plain, [event(1, "c1", "pay", 1, "2021-01")], start_us(first_day("2024-01")))
    with pytest.raises(ValueError, match=r"no \[robustness\]"):
        Robustness(system.definition)
