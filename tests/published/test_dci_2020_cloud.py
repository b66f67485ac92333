"""The six dci_2020_cloud_* tables: cloud usage of provinces, cities and industries, 2019 and the first half of 2020.

Two of them print growths (provinces and industries, 2020H1): totals follow from these figures and no printed rank is
fed in. The other four print orders: totals are made up from them, so they check no more than the plumbing.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.published.names import industry
from tests.published.play import (
    DCI_BASE,
    Player,
    at_ranks,
    before,
    ordered,
    printed,
    rows,
    text,
    world,
)

PROVINCES = rows("dci_2020_cloud_province_rank")
CITIES = rows("dci_2020_cloud_city_top10")
IN_CITIES = rows("dci_2020_cloud_city_industry_top5")
INDUSTRIES = rows("dci_2020_cloud_industry_growth_rank")
PROVINCES_H1 = rows("dci_2020_cloud_province_growth_2020h1")
INDUSTRIES_H1 = rows("dci_2020_cloud_industry_growth_2020h1")
EVERY_PROVINCE = [entity.code for entity in world().entities if entity.kind == "province"]
EVERY_INDUSTRY = [entry.code for entry in world().industries if entry.set == "dci-cloud"]
CITY_OF = {code: world().members[code][0] for code in EVERY_PROVINCE}
NATION = "nation:CN"


def played(totals: Mapping[str, Mapping[tuple[str, str], float]], *rankings: str) -> Player:
    """Totals by node of the tree, each by (city, period)."""
    made = Player(text("dci-2020", *rankings), world())
    made.spread("index", DCI_BASE)
    for node, given in totals.items():
        made.spread(node, given)
    return made


def test_provinces_by_cloud_usage() -> None:
    """Plumbing: 15 ranks and 15 changes."""
    listed = [f"province:{row['province_code']}" for row in PROVINCES]
    everyone = [*listed, *(code for code in EVERY_PROVINCE if code not in listed)]
    changes = {code: int(row["rank_change"]) for code, row in zip(listed, PROVINCES, strict=True)}
    earlier, now = at_ranks(before(everyone, changes)), ordered(everyone, 418.0)
    player = played(
        {"cloud": {(CITY_OF[c], y): t[c] for y, t in (("2018", earlier), ("2019", now)) for c in everyone}},
        "provinces-cloud",
    )
    table = player.table("provinces-cloud", "2019")
    for row, code in zip(PROVINCES, listed, strict=True):
        assert (table[code].rank, table[code].change) == (int(row["rank"]), int(row["rank_change"])), row
    assert len(table) == 31


def test_cities_and_their_largest_industries() -> None:
    """Plumbing: ten ranks of one table, and of another 20 cities with five industries each, which ranks the first ten
    cities alike."""
    city_rank = {row["city_code"]: int(row["city_rank"]) for row in IN_CITIES}
    first: dict[str, list[str]] = {}
    for row in IN_CITIES:
        first.setdefault(row["city_code"], []).append(industry(row["industry"], "dci-cloud"))
        assert len(first[row["city_code"]]) == int(row["position"])
    totals: dict[str, dict[tuple[str, str], float]] = {code: {} for code in EVERY_INDUSTRY}
    for city, rank in city_rank.items():
        falling = ordered([*first[city], *(code for code in EVERY_INDUSTRY if code not in first[city])], 1.0, 0.8)
        for code, part in falling.items():
            totals[code][city, "2019"] = part * 418 * 0.9**rank
    player = played(totals, "cities-cloud", "cloud-industries-in-city")
    table = player.table("cities-cloud", "2019")
    assert {city: table[city].rank for city in city_rank} == city_rank
    assert [(row["city_code"], int(row["rank"])) for row in CITIES] == list(city_rank.items())[:10]
    for city, industries in first.items():
        assert list(player.table("cloud-industries-in-city", "2019", city))[:5] == industries, city


def growths(node_growth: Mapping[str, float], city: str, year_before: str, period: str) -> dict[str, dict]:
    return {node: {(city, year_before): 1.0, (city, period): 1 + growth} for node, growth in node_growth.items()}


def test_industries_by_growth_in_2019() -> None:
    """Plumbing: ten ranks. (The text gives 924 % for the first, and over 400 % for the second, fourth and sixth.)"""
    listed = [industry(row["industry"], "dci-cloud") for row in INDUSTRIES]
    made = ordered([*listed, *(code for code in EVERY_INDUSTRY if code not in listed)], 9.24, 0.85)
    player = played(growths(made, "110000", "2018", "2019"), "cloud-industries-growth")
    table = player.table("cloud-industries-growth", "2019", NATION)
    for row, code in zip(INDUSTRIES, listed, strict=True):
        assert table[code].rank == int(row["rank"]), row
    assert printed(table["life-cloud"].value, "9.24")


def test_industries_by_growth_in_the_first_half_of_2020() -> None:
    """Five growths to the printed digit, and the ranks that follow; the others are made up to grow less."""
    listed = {industry(row["industry"], "dci-cloud"): row for row in INDUSTRIES_H1}
    made = dict.fromkeys(EVERY_INDUSTRY, 0.5) | {code: float(row["growth"]) for code, row in listed.items()}
    player = played(growths(made, "110000", "2019H1", "2020H1"), "cloud-industries-growth")
    table = player.table("cloud-industries-growth", "2020H1", NATION)
    for code, row in listed.items():
        assert printed(table[code].value, row["growth"], 2), row
        assert table[code].rank == int(row["rank"]), row


def test_provinces_by_growth_in_the_first_half_of_2020() -> None:
    """Seven growths to the printed digit, and the ranks that follow. Rank 7 is not printed: one made-up province stands
    between the sixth and the eighth, all others grow less."""
    listed = {f"province:{row['province_code']}": row for row in PROVINCES_H1}
    seventh = next(code for code in EVERY_PROVINCE if code not in listed)
    made = dict.fromkeys(EVERY_PROVINCE, 0.3) | {seventh: 1.5}
    made |= {code: float(row["growth"]) for code, row in listed.items()}
    totals = {(CITY_OF[c], "2019H1"): 1.0 for c in made} | {(CITY_OF[c], "2020H1"): 1 + g for c, g in made.items()}
    player = played({"cloud": totals}, "provinces-cloud-growth")
    table = player.table("provinces-cloud-growth", "2020H1")
    for code, row in listed.items():
        assert printed(table[code].value, row["growth"], 2), row
        assert table[code].rank == int(row["rank"]), row
    assert [int(row["rank"]) for row in PROVINCES_H1] == [1, 2, 3, 4, 5, 6, 8]


def test_every_row_of_the_tables_is_used() -> None:
    tables = (PROVINCES, CITIES, IN_CITIES, INDUSTRIES, PROVINCES_H1, INDUSTRIES_H1)
    assert [len(table) for table in tables] == [15, 10, 100, 10, 7, 5]
