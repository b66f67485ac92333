"""The five tables of digital culture: dci_2020_culture_* and dci_2020_cluster_culture_growth_top3.

All print orders and no figures; totals are made up from them, so this checks no more than the plumbing (ranks, changes,
growth ranks, nodes within a scope).
"""

from __future__ import annotations

from tests.published.names import industry
from tests.published.play import (
    DCI_BASE,
    Player,
    at_ranks,
    before,
    cities,
    code_of,
    ordered,
    rows,
    text,
    world,
)

CITIES = rows("dci_2020_culture_city_top10")
GROWTH = rows("dci_2020_culture_city_growth_top10")
PROVINCES = rows("dci_2020_culture_province_rank")
SEGMENTS = rows("dci_2020_culture_segment_city_top10")
FASTEST = rows("dci_2020_cluster_culture_growth_top3")


def started(*rankings: str) -> Player:
    made = Player(text("dci-2020", *rankings), world())
    made.spread("index", DCI_BASE)
    return made


def everyone(listed: list[str]) -> list[str]:
    """The listed cities, and a hundred others behind them."""
    return [*listed, *[city for city in cities() if city not in listed][:100]]


def test_cities_by_culture_index() -> None:
    """Ten ranks and ten changes."""
    order = everyone([row["city_code"] for row in CITIES])
    earlier = before(order, {row["city_code"]: int(row["rank_change"]) for row in CITIES})
    player = started("cities-culture")
    player.spread("culture", {(city, "2018"): total for city, total in at_ranks(earlier, 10.0).items()})
    player.spread("culture", {(city, "2019"): total for city, total in ordered(order, 15.0).items()})
    table = player.table("cities-culture", "2019")
    for row in CITIES:
        mine = table[row["city_code"]]
        assert (mine.rank, mine.change) == (int(row["rank"]), int(row["rank_change"])), row


def test_cities_by_growth_of_the_culture_index() -> None:
    """Ten ranks."""
    growths = ordered(everyone([row["city_code"] for row in GROWTH]), 0.9)
    player = started("cities-culture-growth")
    player.spread("culture", {(city, "2018"): 1.0 for city in growths})
    player.spread("culture", {(city, "2019"): 1 + growth for city, growth in growths.items()})
    table = player.table("cities-culture-growth", "2019")
    for row in GROWTH:
        assert table[row["city_code"]].rank == int(row["rank"]), row


def test_provinces_by_culture_index() -> None:
    """Eleven ranks, from the order in the text."""
    listed = [f"province:{row['province_code']}" for row in PROVINCES]
    order = [*listed, *(e.code for e in world().entities if e.kind == "province" and e.code not in listed)]
    player = started("provinces-culture")
    player.spread("culture", {(world().members[c][0], "2019"): total for c, total in ordered(order).items()})
    table = player.table("provinces-culture", "2019")
    for row, code in zip(PROVINCES, listed, strict=True):
        assert table[code].rank == int(row["rank"]), row
    assert len(table) == 31


def test_cities_by_segment() -> None:
    """80 ranks: ten cities of each of eight segments. Errata 20: nine segments are stated, no ranking has the ninth,
    live streaming."""
    segments = dict.fromkeys(row["segment"] for row in SEGMENTS)
    codes = {name: industry(name, "dci-culture") for name in segments}
    assert {entry.code for entry in world().industries if entry.set == "dci-culture"} - set(codes.values()) == {"live"}
    player = started(*(f"cities-{code}" for code in codes.values()))
    for name, code in codes.items():
        listed = [row["city_code"] for row in SEGMENTS if row["segment"] == name]
        player.spread(code, {(city, "2019"): total for city, total in ordered(everyone(listed)).items()})
    for row in SEGMENTS:
        table = player.table(f"cities-{codes[row['segment']]}", "2019")
        assert table[row["city_code"]].rank == int(row["rank"]), row


def test_fastest_segments_of_each_agglomeration() -> None:
    """33 places, 11 agglomerations."""
    segments = [entry.code for entry in world().industries if entry.set == "dci-culture"]
    lists: dict[str, list[str]] = {}
    for row in FASTEST:
        first = lists.setdefault(code_of(row["agglomeration"], "agglomeration"), [])
        first.append(industry(row["segment"], "dci-culture"))
        assert len(first) == int(row["position"])
    assert len(lists) == 11
    player = started("segments-in-agglomeration-growth")
    for group, first in lists.items():
        growths = ordered([*first, *(code for code in segments if code not in first)], 1.2, 0.8)
        for number, city in enumerate(world().members[group][:4], start=1):
            for code, growth in growths.items():
                player.spread(code, {(city, "2018"): number, (city, "2019"): number * (1 + growth)})
    for group, first in lists.items():
        table = player.table("segments-in-agglomeration-growth", "2019", group)
        assert list(table)[:3] == first
        assert [row.rank for row in table.values()] == list(range(1, 10))


def test_every_row_of_the_tables_is_used() -> None:
    assert [len(table) for table in (CITIES, GROWTH, PROVINCES, SEGMENTS, FASTEST)] == [10, 10, 11, 80, 33]
