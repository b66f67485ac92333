"""cw_2023_city_rank.csv: fifteen cities by digital economy (2021) beside fifteen by unicorn companies (2022).

The table prints two orders and no figures; totals are made up from them, so this checks no more than the plumbing: two
nodes ranked beside each other, and their correlation over the cities. The unicorns are played as firms (major players).
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.published.play import Player, ordered, rows, text, world

TABLE = rows("cw_2023_city_rank")
CORRELATION = {
    "name": "t-correlation", "rows": "nation", "node": "size", "other": "cluster.players", "measure": "correlation",
}  # fmt: skip


@pytest.fixture(scope="module")
def player() -> Player:
    made = Player(text("cluster-2023", "cities-economy", "cities-players", CORRELATION), world())
    economy = ordered([row["digital_economy_city_code"] for row in TABLE], 1000.0)
    unicorns = ordered([row["unicorn_city_code"] for row in TABLE], 90.0, 0.8)
    for city, total in economy.items():
        made.give("cluster.economy", city, "2021", total)
    for city, total in unicorns.items():
        made.give("cluster.players", city, "2021", total)
        made.give("cluster.players", city, "2022", total)
    return made


def test_cities_by_digital_economy(player: Player) -> None:
    table = player.table("cities-economy", "2021")
    for row in TABLE:
        assert table[row["digital_economy_city_code"]].rank == int(row["rank"]), row


def test_cities_by_unicorns(player: Player) -> None:
    table = player.table("cities-players", "2022")
    for row in TABLE:
        assert table[row["unicorn_city_code"]].rank == int(row["rank"]), row
    assert len(TABLE) == 15


def test_the_correlation_of_both(player: Player) -> None:
    """Over the cities that stand in both columns, against numpy."""
    both = {row["digital_economy_city_code"] for row in TABLE} & {row["unicorn_city_code"] for row in TABLE}
    x = [player.value(city, "2021", "size") for city in sorted(both)]
    y = [player.value(city, "2021", "cluster.players") for city in sorted(both)]
    found = player.table("t-correlation", "2021")["nation:CN"].value
    assert found == pytest.approx(np.corrcoef(x, y)[0, 1], rel=1e-12)
