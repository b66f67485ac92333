"""dci_2020_gov_city_top30.csv and dci_2020_gov_city_values.csv: cities by digital government index, 2019.

The second prints four values: these come out to the digit, and the first four ranks follow from them. The other 26
ranks are plumbing: totals are made up from the order.
"""

from __future__ import annotations

import pytest

from tests.published.play import DCI_BASE, Player, cities, ordered, printed, rows, text, world

TOP = rows("dci_2020_gov_city_top30")
VALUES = rows("dci_2020_gov_city_values")


@pytest.fixture(scope="module")
def player() -> Player:
    listed = [row["city_code"] for row in TOP]
    behind = [city for city in (*listed[4:], *cities()) if city not in listed[:4]]
    made = Player(text("dci-2020", "cities-government"), world())
    made.spread("index", DCI_BASE)
    totals = ordered(list(dict.fromkeys(behind)), 10.0, 0.98)
    totals |= {row["city_code"]: float(row["value"]) for row in VALUES}
    made.spread("government", {(city, "2019"): total for city, total in totals.items()})
    return made


def test_the_first_four_values_and_their_ranks(player: Player) -> None:
    table = player.table("cities-government", "2019")
    for row in VALUES:
        assert printed(table[row["city_code"]].value, row["value"], 1), row
        assert table[row["city_code"]].rank == int(row["rank"]), row


def test_the_thirty_ranks(player: Player) -> None:
    table = player.table("cities-government", "2019")
    assert len(table) == 351
    assert {row["city_code"]: int(row["rank"]) for row in TOP} == {
        row["city_code"]: table[row["city_code"]].rank for row in TOP
    }
    assert [row["city_code"] for row in VALUES] == [row["city_code"] for row in TOP[:4]]


def test_erratum_21_mean_and_median_are_not_of_one_scale() -> None:
    """The stated province mean of 19.7 is 1.74 a city over 351 cities, below the stated median city of 2.0."""
    assert printed(19.7 * 31 / len(cities()), "1.74")
    assert 19.7 * 31 / len(cities()) < 2.0 < float(VALUES[-1]["value"])
