"""dci_2020_industry_province_rank.csv, dci_2020_industry_city_risers.csv, dci_2020_cluster_industry_growth_top3.csv.

Digital industry. The tables print orders, and the second the places risen: no values or growths. Totals are made up
from the orders, so this checks no more than the plumbing (ranks, changes, rises, ranking of nodes within a scope).
"""

from __future__ import annotations

import pytest

from tests.published.names import industry
from tests.published.play import (
    DCI_BASE,
    Player,
    at_ranks,
    before,
    cities,
    code_of,
    inside_tie,
    ordered,
    rows,
    text,
    world,
)

PROVINCES = rows("dci_2020_industry_province_rank")
RISERS = rows("dci_2020_industry_city_risers")
FASTEST = rows("dci_2020_cluster_industry_growth_top3")


def years(node: str, ranking: str, earlier: dict[str, float], now: dict[str, float]) -> Player:
    made = Player(text("dci-2020", ranking), world())
    made.spread("index", DCI_BASE)
    made.spread(node, {(city, "2018"): total for city, total in earlier.items()})
    made.spread(node, {(city, "2019"): total for city, total in now.items()})
    return made


def test_provinces_by_industry_index() -> None:
    """15 ranks and 15 changes."""
    listed = [f"province:{row['province_code']}" for row in PROVINCES]
    everyone = [*listed, *(e.code for e in world().entities if e.kind == "province" and e.code not in listed)]
    earlier = before(everyone, {code: int(row["rank_change"]) for code, row in zip(listed, PROVINCES, strict=True)})
    at = {code: world().members[code][0] for code in everyone}
    player = years(
        "industry",
        "provinces-industry",
        {at[code]: total for code, total in at_ranks(earlier).items()},
        {at[code]: total for code, total in ordered(everyone, 190.0).items()},
    )
    table = player.table("provinces-industry", "2019")
    for row, code in zip(PROVINCES, listed, strict=True):
        assert (table[code].rank, table[code].change) == (int(row["rank"]), int(row["rank_change"])), row
    assert len(table) == 31


def test_cities_with_the_largest_rise() -> None:
    """Ten rises, and their ranks: exactly, or inside the tie of equal rises (38, 36, 35 places stand more than once).
    All other cities rise less."""
    listed = {row["city_code"]: int(row["rank_up"]) for row in RISERS}
    now = [city for city in cities() if city not in listed]
    for place, city in enumerate(listed):
        now.insert(60 + 25 * place, city)
    player = years(
        "industry", "cities-industry-rise", at_ranks(before(now, listed), step=0.99), ordered(now, 190.0, 0.99)
    )
    table = player.table("cities-industry-rise", "2019")
    assert len(table) == 351
    for row in RISERS:
        mine = table[row["city_code"]]
        assert mine.value == int(row["rank_up"]), row
        assert inside_tie(int(row["rank"]), mine, table.values()), row
    assert [table[row["city_code"]].rank for row in RISERS] == [1, 2, 3, 4, 4, 6, 6, 8, 8, 8]


def test_erratum_19_three_of_the_ten_rose_by_exactly_35() -> None:
    """Stated: ten cities rose by more than 35 places. By the table seven did."""
    assert sum(int(row["rank_up"]) > 35 for row in RISERS) == 7
    assert sum(int(row["rank_up"]) == 35 for row in RISERS) == 3


def test_fastest_industries_of_each_agglomeration() -> None:
    """33 places, 11 agglomerations: three growths are made up to fall, all others grow less."""
    player = Player(text("dci-2020", "sectors-in-agglomeration-growth"), world())
    player.spread("index", DCI_BASE)
    everything = [entry.code for entry in world().industries if entry.set == "dci"]
    lists: dict[str, list[str]] = {}
    for row in FASTEST:
        first = lists.setdefault(code_of(row["agglomeration"], "agglomeration"), [])
        first.append(industry(row["industry"], "dci"))
        assert len(first) == int(row["position"])
    for group, first in lists.items():
        growths = ordered([*first, *(code for code in everything if code not in first)], 1.2, 0.8)
        for number, city in enumerate(world().members[group][:4], start=1):
            for code, growth in growths.items():
                player.spread(code, {(city, "2018"): number, (city, "2019"): number * (1 + growth)})
    assert len(lists) == 11
    for group, first in lists.items():
        table = player.table("sectors-in-agglomeration-growth", "2019", group)
        assert list(table)[:3] == first
        assert [row.rank for row in table.values()] == list(range(1, 13))


@pytest.mark.parametrize(("table", "size"), [(PROVINCES, 15), (RISERS, 10), (FASTEST, 33)])
def test_every_row_of_the_tables_is_used(table: list[dict[str, str]], size: int) -> None:
    assert len(table) == size
