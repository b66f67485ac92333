"""dti_2023_agglomeration_rank.csv: the 11 agglomerations by their share of the national index, and their city counts.

The counts are figures: they are compared with the engine's count of members, and their sum with the stated 49 % of the
cities. The shares are not printed, only their order: totals are made up from it, so the ranking by share is plumbing.
"""

from __future__ import annotations

import pytest

from tests.published.play import Player, cities, code_of, ordered, printed, rows, text, world

TABLE = rows("dti_2023_agglomeration_rank")
CODES = [code_of(row["agglomeration"], "agglomeration") for row in TABLE]
LAST = "2023Q1"
RANKINGS = [
    "agglomerations-share",
    {"name": "t-count", "rows": "agglomeration", "measure": "members_above", "threshold": 0.0, "grains": ["quarter"]},
]


@pytest.fixture(scope="module")
def player() -> Player:
    """Every city has data; the cities of an agglomeration share its total evenly, those of none have a little."""
    made = Player(text("dti-2023", *RANKINGS), world())
    totals = dict.fromkeys(cities(), 0.1)
    for code, total in ordered(CODES).items():
        totals |= dict.fromkeys(world().members[code], total / len(world().members[code]))
    made.spread("index", {(city, q): total for city, total in totals.items() for q in ("2021Q1", LAST)})
    return made


def test_ranked_by_share(player: Player) -> None:
    table = player.table("agglomerations-share", LAST)
    assert list(table) == CODES
    assert [row.rank for row in table.values()] == [int(row["share_rank"]) for row in TABLE]


def test_city_counts(player: Player) -> None:
    """11 counts, and 172 of 351 cities: 49 %."""
    table = player.table("t-count", LAST)
    for row, code in zip(TABLE, CODES, strict=True):
        assert table[code].value == int(row["city_count"]), row
    assert printed(sum(row.value for row in table.values()) / len(cities()), "0.49")


def test_cities_named_in_the_table_are_members() -> None:
    for row, code in zip(TABLE, CODES, strict=True):
        names = {entity.name.removesuffix("市") for entity in world().entities if entity.code in world().members[code]}
        assert set(row["cities_named_in_table"].split("、")) <= names, row
