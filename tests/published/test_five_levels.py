"""An index of five levels, 50 indicators and 50 countries on data of our own making, against plain numpy.

Root, 2 sub-indices, 5 pillars, 10 sub-pillars, 50 indicators; min-max over the countries of the year, every fourth
indicator with lower as better, every third divided by population or output. The kind of index that innovation and
competitiveness reports publish.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import numpy as np
import pytest

from index.catalogue import Catalogue, Entity, Indicator, Limits
from tests.published.play import Player

SEED = 50505
COUNTRIES = [f"k{number:02d}" for number in range(1, 51)]
LEAVES = [f"x.{number:02d}" for number in range(1, 51)]
BY = ["by.population", "by.output"]
YEARS = ["2020", "2021"]
SCALE = 100.0


class Leaf(NamedTuple):
    name: str
    lower: bool
    by: str | None


class World:
    """The tree with its weights, and the raw figures."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.leaves = [
            Leaf(name, n % 4 == 0, BY[n % 2] if n % 3 == 0 else None) for n, name in enumerate(LEAVES, start=1)
        ]
        self.tree: dict[str, list[tuple[str, float]]] = {}
        subs = [f"sub{n}" for n in range(1, 11)]
        pillars = [f"pillar{n}" for n in range(1, 6)]
        for n, sub in enumerate(subs):
            self.tree[sub] = self._weighed(chance, LEAVES[5 * n : 5 * n + 5])
        for n, pillar in enumerate(pillars):
            self.tree[pillar] = self._weighed(chance, subs[2 * n : 2 * n + 2])
        self.tree["input"] = self._weighed(chance, pillars[:3])
        self.tree["output"] = self._weighed(chance, pillars[3:])
        self.tree["index"] = self._weighed(chance, ["input", "output"])
        self.raw = {
            (year, name): [round(chance.uniform(1, 1000), 2) for _ in COUNTRIES] for year in YEARS for name in LEAVES
        } | {(year, name): [round(chance.uniform(5, 50), 2) for _ in COUNTRIES] for year in YEARS for name in BY}

    def _weighed(self, chance: random.Random, children: list[str]) -> list[tuple[str, float]]:
        points = [chance.randint(1, 9) for _ in children]
        return [(child, p / sum(points)) for child, p in zip(children, points, strict=True)]

    def definition(self) -> str:
        lines = [
            'system = "five"', "version = 1", 'title = "Five levels"', f"scale = {SCALE}", 'grains = ["year"]',
            'normalise = "min-max"',
        ]  # fmt: skip
        for node in ["index", "input", "output", *(name for name in self.tree if name[0] in "ps")]:
            children = self.tree[node]
            lines += ["[tree]" if node == "index" else f"[tree.{node}]"]
            lines += [f"children = {[c for c, _ in children]!r}", f"weights = {[w for _, w in children]!r}"]
        for leaf in self.leaves:
            lines.append(f'[indicator."{leaf.name}"]')
            lines += ['direction = "lower"'] * leaf.lower
            lines += [f'denominator = "{leaf.by}"'] * (leaf.by is not None)
        lines += ["[[ranking]]", 'name = "countries"', 'rows = "country"', 'measure = "value"']
        lines += ["[[ranking]]", 'name = "output"', 'rows = "country"', 'measure = "value"', 'node = "output"']
        return "\n".join(lines)

    def expected(self, year: str, node: str = "index") -> np.ndarray:
        """The value of a node of each country, by plain numpy."""
        if node in self.tree:
            return np.asarray(sum(weight * self.expected(year, child) for child, weight in self.tree[node]))
        leaf = self.leaves[LEAVES.index(node)]
        x = np.array(self.raw[year, node])
        if leaf.by is not None:
            x = x / np.array(self.raw[year, leaf.by])
        share = (x - x.min()) / (x.max() - x.min())
        return SCALE * ((1 - share) if leaf.lower else share)


def catalogue() -> Catalogue:
    return Catalogue(
        name="countries", version=1, timezone="UTC", base_kind="country", years=(2000, 2030), limits=Limits(),
        entities=tuple(Entity(c, "country", c) for c in COUNTRIES), members={},
        indicators=tuple(Indicator(c, c, c, "stock" if c in BY else "flow", "", 2, "") for c in [*LEAVES, *BY]),
    ).checked("countries")  # fmt: skip


@pytest.fixture(scope="module")
def world() -> World:
    print(f"seed {SEED}")
    return World(SEED)


@pytest.fixture(scope="module")
def player(world: World) -> Player:
    """All figures, but sent in two revisions: the second moves extremes of many indicators."""
    play = Player(world.definition(), catalogue())
    sends = [(n, key, value) for key, column in world.raw.items() for n, value in enumerate(column)]
    random.Random(SEED).shuffle(sends)
    for number, (place, (year, name), value) in enumerate(sends):
        play.give(name, COUNTRIES[place], year, value)
        if number == len(sends) // 2:
            assert play.board
    return play


@pytest.mark.parametrize("year", YEARS)
@pytest.mark.parametrize("node", ["index", "input", "output", "pillar2", "sub7", "x.12", "x.24"])
def test_values(world: World, player: Player, year: str, node: str) -> None:
    for country, expected in zip(COUNTRIES, world.expected(year, node), strict=True):
        assert player.value(country, year, node) == pytest.approx(expected, rel=1e-12, abs=1e-12), country


@pytest.mark.parametrize(("ranking", "node"), [("countries", "index"), ("output", "output")])
def test_ranks_and_changes(world: World, player: Player, ranking: str, node: str) -> None:
    ranks = {
        year: {c: 1 + int((values > v).sum()) for c, v in zip(COUNTRIES, values, strict=True)}
        for year in YEARS
        for values in [world.expected(year, node)]
    }
    for year in YEARS:
        assert {c: row.rank for c, row in player.table(ranking, year).items()} == ranks[year]
    table = player.table(ranking, "2021")
    assert {c: row.change for c, row in table.items()} == {c: ranks["2020"][c] - ranks["2021"][c] for c in COUNTRIES}


def test_an_extreme_that_moves_touches_every_country_and_another_figure_only_its_own(world: World) -> None:
    """The countries at both ends stand at 0 and 1 before and after."""
    play = Player(world.definition(), catalogue())
    for (year, name), column in world.raw.items():
        for country, value in zip(COUNTRIES, column, strict=True):
            play.give(name, country, year, value)
    assert play.board
    plain = next(leaf for leaf in world.leaves if leaf.by is None)
    order = np.argsort(world.raw["2021", plain.name])
    first, middle, last = (COUNTRIES[order[place]] for place in (0, 25, -1))
    assert {u["entity"] for u in play.more(plain.name, middle, "2021", 0.01)} == {middle}
    assert {u["entity"] for u in play.more(plain.name, last, "2021", 100.0)} == set(COUNTRIES) - {first, last}
    world.raw["2021", plain.name][order[25]] += 0.01
    world.raw["2021", plain.name][order[-1]] += 100.0
    for country, expected in zip(COUNTRIES, world.expected("2021"), strict=True):
        assert play.value(country, "2021") == pytest.approx(expected, rel=1e-12), country
