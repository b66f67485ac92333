"""dei_2023_weights.csv: the tree of 5, 15 and 54 indicators, on random leaves against a plain numpy recomputation.

The report prints no leaf of any city. 54 scores of each of the 256 printed rows are drawn from a seed, played through
the engine, and every node is compared with the weighted mean that the 54 printed weights give.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.published.dei import DIMENSIONS, SCORES, WEIGHTS, YEAR, city_of
from tests.published.play import Player, leaves, text, world

SEED = 20230054
CITIES = [city_of(row) for row in SCORES]
WEIGHT = np.array([float(row["weight_global"]) for row in WEIGHTS])


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    """cities x 54 scores, to two decimals."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    return np.array([[round(chance.uniform(0, 100), 2) for _ in WEIGHTS] for _ in CITIES])


@pytest.fixture(scope="module")
def player(drawn: np.ndarray) -> Player:
    made = Player(text("dei-2023", "cities", "cities-economy"), world())
    codes = {indicator.name: indicator.code for indicator in world().indicators if indicator.code.startswith("dei.")}
    assert len(codes) == 54
    for city, scores in zip(CITIES, drawn, strict=True):
        for row, score in zip(WEIGHTS, scores, strict=True):
            made.give(codes[row["level3"]], city, YEAR, float(score))
    return made


def weighted(drawn: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The weighted mean of the chosen leaves of each city."""
    return np.asarray((drawn[:, chosen] * WEIGHT[chosen]).sum(axis=1) / WEIGHT[chosen].sum())


def test_54_weights_sum_to_1() -> None:
    assert len(WEIGHTS) == 54
    assert WEIGHT.sum() == pytest.approx(1.0, abs=1e-12)


def test_the_whole(player: Player, drawn: np.ndarray) -> None:
    for city, expected in zip(CITIES, drawn @ WEIGHT, strict=True):
        assert player.value(city, YEAR) == pytest.approx(expected, rel=1e-12), city


def test_the_nodes_of_both_inner_levels(player: Player, drawn: np.ndarray) -> None:
    """5 and 15 nodes. A node of the definition is the one with the same leaves."""
    names = {indicator.code: indicator.name for indicator in world().indicators}
    nodes = {
        frozenset(names[leaf] for leaf in leaves(player.text, node)): node for node in player.definition.tree.names
    }
    for level, count in (("level1", 5), ("level2", 15)):
        groups = list(dict.fromkeys(row[level] for row in WEIGHTS))
        assert len(groups) == count
        for group in groups:
            chosen = np.array([row[level] == group for row in WEIGHTS])
            node = nodes[frozenset(row["level3"] for row in WEIGHTS if row[level] == group)]
            assert DIMENSIONS.get(group, node) == node
            for city, expected in zip(CITIES, weighted(drawn, chosen), strict=True):
                assert player.value(city, YEAR, node) == pytest.approx(expected, rel=1e-12), (city, group)


def test_ranks_by_one_decimal(player: Player, drawn: np.ndarray) -> None:
    rounded = np.rint(drawn @ WEIGHT * 10)
    table = player.table("cities", YEAR)
    for city, mine in zip(CITIES, rounded, strict=True):
        assert table[city].rank == 1 + int((rounded > mine).sum()), city


def test_errata_3_and_4_of_the_weights(player: Player) -> None:
    """Eight weights are printed as 13 % (12.5 % rounded), one row is inferred, 20 were put back in their columns."""
    assert sum(row["weight3"] == "0.13" and row["weight3_norm"] == "0.125" for row in WEIGHTS) == 8
    assert [row["level3"] for row in WEIGHTS if row["status"] == "inferred"] == ["数字化政务服务"]
    assert sum(row["status"] == "moved" for row in WEIGHTS) == 20
    assert "dei.digital-government-services" in leaves(player.text)
