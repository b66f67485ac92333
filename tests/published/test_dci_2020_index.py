"""dci_2020_province_top10.csv, dci_2020_province_growth_top10.csv, dci_2020_cluster_rank.csv: the total index of 2019.

The first prints ten values and the second ten growths: the ranks of both follow from these figures, and no printed rank
is fed in. The index of 2018 follows from them for Shanghai only, which stands in both; for the others it is made up so
that the printed changes hold, so the changes are plumbing. The cluster table prints orders: plumbing throughout.
"""

from __future__ import annotations

import pytest

from tests.published.play import DCI_BASE, Player, at_ranks, before, code_of, ordered, printed, rows, text, world

TOP = rows("dci_2020_province_top10")
GROWTH = rows("dci_2020_province_growth_top10")
CLUSTERS = rows("dci_2020_cluster_rank")
NATION, NATION_GROWTH = "1087.1", "0.732"  # dci-2020-004 and -005
# 2018 of the others in the first table, made up: the previous order that the changes imply, growths below the tenth
# of the second table (0.812)
IN_2018 = {
    "广东省": 88.5, "江苏省": 35.3, "北京市": 34.6, "浙江省": 34.4, "山东省": 34.2, "河南省": 30.0, "四川省": 29.5,
    "湖南省": 25.2, "河北省": 24.8,
}  # fmt: skip
SLOW = 0.6  # growth of a province that one of the growth table passed


def provinces() -> dict[str, tuple[float, float]]:
    """2018 and 2019 of each province, by name.

    Behind the first ten: those of the growth table, each before as many others as it passed; every block lies below
    the one before it in both years. The rest make up the stated total and growth of the nation.
    """
    growth = {row["province"]: float(row["growth"]) for row in GROWTH}
    made = {row["province"]: (IN_2018.get(row["province"], 0.0), float(row["value"])) for row in TOP}
    made["上海市"] = (made["上海市"][1] / (1 + growth["上海市"]), made["上海市"][1])
    names = [entity.name for entity in world().entities if entity.kind == "province"]
    others = iter([name for name in names if name not in made and name not in growth])
    low = (24.5, 42.5)  # what the next block stays below
    for row in reversed(GROWTH):
        if row["province"] not in made:
            rate = 1 + float(row["growth"])
            top = 0.97 * min(low[0] / 1.04, low[1] / rate)
            block = {row["province"]: (top, top * rate)}
            for place in range(int(row["rank_change"])):
                earlier = top * (1.04 - 0.02 * place)
                block[next(others)] = (earlier, earlier * (1 + SLOW))
            made |= block
            low = (min(earlier for earlier, _ in block.values()), min(now for _, now in block.values()))
    rest = list(others)
    wanted = (float(NATION) / (1 + float(NATION_GROWTH)), float(NATION))
    earlier, now = (
        (total - sum(year[n] for year in made.values())) / len(rest) for n, total in enumerate(wanted)
    )  # fmt: skip
    assert 0 < earlier < low[0]
    assert earlier < now < low[1]
    return made | dict.fromkeys(rest, (earlier, now))


@pytest.fixture(scope="module")
def player() -> Player:
    made = Player(text("dci-2020", "provinces", "provinces-growth", "cities-in-agglomeration"), world())
    made.spread("index", DCI_BASE)
    for name, (earlier, now) in provinces().items():
        city = world().members[code_of(name, "province")][0]
        made.spread("index", {(city, "2018"): earlier, (city, "2019"): now})
    return made


def test_values_ranks_and_changes_of_the_first_ten_provinces(player: Player) -> None:
    table = player.table("provinces", "2019")
    assert len(table) == 31
    for row in TOP:
        mine = table[code_of(row["province"], "province")]
        assert printed(mine.value, row["value"], 1), row
        assert (mine.rank, mine.change) == (int(row["rank"]), int(row["rank_change"])), row


def test_growths_and_ranks_of_the_ten_fastest(player: Player) -> None:
    table = player.table("provinces-growth", "2019")
    for row in GROWTH:
        mine = table[code_of(row["province"], "province")]
        assert printed(mine.value, row["growth"], 3), row
        assert mine.rank == int(row["rank"]), row


def test_the_nation_can_have_the_stated_level_and_growth(player: Player) -> None:
    """1087.1 points and 73.2 %, together with both tables and all their changes: no figure contradicts another."""
    assert printed(player.value("nation:CN", "2019"), NATION)
    assert printed(player.update("nation:CN", "2019")["growth"]["yoy"], NATION_GROWTH)


def test_erratum_17_the_changes_beside_the_growths_are_those_of_the_index(player: Player) -> None:
    """They cannot be changes of the growth rank: four of the previous ranks would be taken twice. As changes of the
    index rank they are possible, and Shanghai's is that of the other table."""
    previous = [int(row["rank"]) + int(row["rank_change"]) for row in GROWTH if int(row["rank_change"])]
    assert previous == [5, 5, 8, 7, 8, 9]
    table = player.table("provinces", "2019")
    for row in GROWTH:
        assert table[code_of(row["province"], "province")].change == int(row["rank_change"]), row
        sign = "-" if row["rank_change"] == "0" else f"{int(row['rank_change']):+d}"
        assert row["rank_change_printed"] == sign, row
    shanghai = [row["rank_change"] for row in (*TOP, *GROWTH) if row["province"] == "上海市"]
    assert shanghai == ["3", "3"]


@pytest.mark.parametrize("name", dict.fromkeys(row["agglomeration"] for row in CLUSTERS))
def test_ranks_and_changes_within_an_agglomeration(name: str) -> None:
    """Plumbing: the orders of both years are fed in."""
    listed = [row for row in CLUSTERS if row["agglomeration"] == name]
    group = code_of(name, "agglomeration")
    now = [row["city_code"] for row in listed]
    assert set(now) <= set(world().members[group])
    everyone = [*now, *(city for city in world().members[group] if city not in now)]
    earlier = before(everyone, {row["city_code"]: int(row["rank_change"]) for row in listed})
    made = Player(text("dci-2020", "cities-in-agglomeration"), world())
    made.spread("index", DCI_BASE)
    made.spread("index", {(city, "2018"): total for city, total in at_ranks(earlier, 2.0).items()})
    made.spread("index", {(city, "2019"): total for city, total in ordered(everyone, 3.0).items()})
    table = made.table("cities-in-agglomeration", "2019", group)
    for row in listed:
        mine = table[row["city_code"]]
        assert (mine.rank, mine.change) == (int(row["rank"]), int(row["rank_change"])), row


def test_every_row_of_the_tables_is_used() -> None:
    assert (len(TOP), len(GROWTH), len(CLUSTERS)) == (10, 10, 39)
