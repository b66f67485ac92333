"""dci_2020_halfyear_indicators.csv and dci_2020_app_users_province_share.csv: the response to the epidemic, 2020.

Both print figures: five indicators in 2019H1 and 2020H1 with their growth, and eight shares. They are played as they
stand, with the nation's amounts in two cities; growths, shares and ranks follow.
"""

from __future__ import annotations

import pytest

from tests.published.play import Player, printed, rows, text, world

INDICATORS = rows("dci_2020_halfyear_indicators")
SHARES = rows("dci_2020_app_users_province_share")
NATION = "nation:CN"


def code(row: dict[str, str]) -> str:
    return next(i.code for i in world().indicators if i.name == row["indicator"] and i.code.startswith("dci."))


@pytest.fixture(scope="module")
def player() -> Player:
    made = Player(text("dci-2020-halfyear", "indicators", "indicators-growth", "provinces-users-share"), world())
    for row in INDICATORS:
        for period, column in (("2019H1", "h1_2019"), ("2020H1", "h1_2020")):
            made.give(code(row), "110000", period, float(row[column]) * 0.25)
            made.give(code(row), "310000", period, float(row[column]) * 0.75)
    return made


def test_ten_values(player: Player) -> None:
    for period, column in (("2019H1", "h1_2019"), ("2020H1", "h1_2020")):
        table = player.table("indicators", period, NATION)
        assert len(table) == 5
        for row in INDICATORS:
            assert printed(table[code(row)].value, row[column], 2), row


def test_five_growths(player: Player) -> None:
    """Three as printed. Errata 18: cloud usage is printed +78 % and is 78.6 %; active users +1.55 %, and 1.58 %."""
    table = player.table("indicators-growth", "2020H1", NATION)
    for row in INDICATORS:
        assert printed(table[code(row)].value, row["growth_computed"]), row
    differ = {row["indicator"] for row in INDICATORS if not printed(table[code(row)].value, row["growth_published"])}
    assert differ == {"用云量", "移动应用活跃用户数"}
    assert [row["growth_published"] for row in INDICATORS if row["indicator"] in differ] == ["0.78", "0.0155"]


def test_ranks_of_growth(player: Player) -> None:
    """As the computed growths order them; the printed ones give the same order."""
    table = player.table("indicators-growth", "2020H1", NATION)
    falling = sorted(INDICATORS, key=lambda row: -float(row["growth_published"]))
    assert list(table) == [code(row) for row in falling]


def test_eight_shares_of_app_users() -> None:
    """June 2020: eight shares to the digit and their ranks; the other 23 provinces share the rest evenly."""
    made = Player(text("dci-2020-halfyear", "provinces-users-share"), world())
    provinces = [entity.code for entity in world().entities if entity.kind == "province"]
    listed = {f"province:{row['province_code']}": float(row["share"]) for row in SHARES}
    rest = (1 - sum(listed.values())) / (len(provinces) - len(listed))
    for province in provinces:
        made.give("dci.users", world().members[province][0], "2020-06", 11.54 * listed.get(province, rest))
    table = made.table("provinces-users-share", "2020-06")
    assert len(table) == 31
    for row in SHARES:
        mine = table[f"province:{row['province_code']}"]
        assert printed(mine.value, row["share"], 3), row
        assert mine.rank == int(row["rank"]), row


def test_every_row_of_the_tables_is_used() -> None:
    assert (len(INDICATORS), len(SHARES)) == (5, 8)
