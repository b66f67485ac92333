"""dti_2022_clusters.csv: seven agglomerations, 134 cities: ranks of 2021 and 2022Q1, change, growth and its rank.

The table prints no values but growths. So the growths and their ranks are a check of the arithmetic: totals of 2020Q1
follow from the printed growths, and no printed growth rank is fed in. Both size ranks and their change are a check of
the plumbing only: the totals of 2021 and 2022Q1 are made up in the printed order.

The printed change compares the year 2021 with the quarter 2022Q1. All quarters of 2021 have the order of the year
here, so it is also the engine's change against the predecessor, 2021Q4.
"""

from __future__ import annotations

import pytest

from index.weights import panel_weights
from tests.published.play import Player, Row, code_of, inside_tie, printed, rows, text, world

QUARTERS_2021 = ["2021Q1", "2021Q2", "2021Q3", "2021Q4"]
TABLE = rows("dti_2022_clusters")
NAMES = list(dict.fromkeys(row["agglomeration"] for row in TABLE))
CENTRAL = ["长江中游", "关中平原", "中原"]
RANKINGS = [
    "cities-in-agglomeration",
    {"name": "t-growth", "rows": "city", "measure": "mean_yoy", "scope": "agglomeration", "rank_decimals": 3,
     "grains": ["quarter"]},
    {"name": "t-mean-growth", "rows": "agglomeration", "measure": "members_mean", "of": "mean_yoy",
     "grains": ["quarter"]},
    {"name": "t-over-120", "rows": "agglomeration", "measure": "members_above", "of": "mean_yoy", "threshold": 1.2,
     "grains": ["quarter"]},
]  # fmt: skip


def totals() -> dict[tuple[str, str], float]:
    """2021 and 2022Q1 in the printed orders; 2020Q1 from the mean of the two growths, (g21 + g22) / 2 = yoy."""
    made: dict[tuple[str, str], float] = {}
    for row in TABLE:
        city = row["city_code"]
        now, before = 1.2 * 0.985 ** int(row["rank_now"]), 0.985 ** int(row["rank_prev_implied"])
        for quarter in QUARTERS_2021:
            made[city, quarter] = before
        made[city, "2022Q1"] = now
        made[city, "2020Q1"] = before / (1 + 2 * float(row["yoy"]) - (now / before - 1))
    return made


def play() -> Player:
    made = Player(text("dti-2022", *RANKINGS), world())
    made.spread("index", totals())
    return made


@pytest.fixture(scope="module")
def player() -> Player:
    return play()


def of(name: str) -> list[dict[str, str]]:
    return [row for row in TABLE if row["agglomeration"] == name]


def table(player: Player, ranking: str, period: str, name: str) -> dict[str, Row]:
    found = player.table(ranking, period, code_of(name, "agglomeration"))
    assert len(found) == len(of(name))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_growth_and_its_rank(player: Player, name: str) -> None:
    """134 growths to the printed digit. 133 of their ranks exactly; 江门 prints the growth of 广州 and the rank behind
    it, 7, which lies inside the tie of both at 6."""
    found = table(player, "t-growth", "2022Q1", name)
    for row in of(name):
        mine = found[row["city_code"]]
        assert printed(mine.value, row["yoy"], 3), row
        assert inside_tie(int(row["yoy_rank"]), mine, found.values()), row
    inexact = {row["city"] for row in of(name) if found[row["city_code"]].rank != int(row["yoy_rank"])}
    assert inexact == ({"江门市"} if name == "珠三角" else set())


@pytest.mark.parametrize("name", NAMES)
def test_both_ranks_and_the_change(player: Player, name: str) -> None:
    """Plumbing: the orders were fed in."""
    year, quarter = (table(player, "cities-in-agglomeration", period, name) for period in ("2021", "2022Q1"))
    for row in of(name):
        before, now = year[row["city_code"]], quarter[row["city_code"]]
        assert before.rank == int(row["rank_prev_implied"]), row
        assert now.rank == int(row["rank_now"]), row
        assert before.rank - now.rank == now.change == int(row["rank_change"]), row


def test_all_rows_are_there() -> None:
    assert len(TABLE) == len({row["city_code"] for row in TABLE}) == 134


def test_erratum_7_the_previous_ranks_of_chengyu_repeat_the_present_ones() -> None:
    """The printed changes are followed; as printed, the previous ranks contradict six of them. All others agree."""
    contradicted = {row["city"] for row in TABLE if row["rank_prev"] != row["rank_prev_implied"]}
    assert contradicted == {"宜宾市", "南充市", "德阳市", "泸州市", "乐山市", "达州市"}
    assert all(row["rank_prev"] == row["rank_now"] for row in of("成渝"))
    for name in NAMES:
        places = list(range(1, len(of(name)) + 1))
        for column in ("rank_prev", "rank_prev_implied", "rank_now", "yoy_rank"):
            assert sorted(int(row[column]) for row in of(name)) == places, (name, column)


def test_erratum_8_the_tables_headed_by_another_name_hold_the_cities_of_their_place() -> None:
    """Each of the seven tables holds exactly the members of its agglomeration; no city stands in two."""
    for name in NAMES:
        assert {row["city_code"] for row in of(name)} == set(world().members[code_of(name, "agglomeration")]), name


def test_erratum_9_the_central_mean_growth_is_another_mean(player: Player) -> None:
    """Stated 124 %; the plain mean of the 69 printed rates is 121.4 %. The engine's mean of the members' growths gives
    the latter, so the statement is not reproduced."""
    means = player.table("t-mean-growth", "2022Q1")
    sizes = {name: len(of(name)) for name in CENTRAL}
    mean = sum(means[code_of(n, "agglomeration")].value * k for n, k in sizes.items()) / sum(sizes.values())
    assert sum(sizes.values()) == 69
    assert printed(mean, "1.214")
    assert not printed(mean, "1.24")


def test_erratum_10_the_scale_of_the_experts() -> None:
    """Both ends are printed as "very important". Here, as in the other editions, 5 weighs most, and 0 and 6 are no
    scores."""
    assert panel_weights([[5, 1], [4, 2]]) == (0.75, 0.25)
    for score in (0, 6):
        with pytest.raises(ValueError, match="from 1 to 5"):
            panel_weights([[score, 1]])


def test_erratum_11_a_year_is_the_sum_of_its_quarters(player: Player) -> None:
    """As the map legends suggest (129.5 in 2021 beside 31.53 in 2022Q1), and as the definition says of itself."""
    for row in TABLE:
        city = row["city_code"]
        parts = sum(player.value(city, quarter) for quarter in QUARTERS_2021)
        assert player.value(city, "2021") == pytest.approx(parts, rel=1e-12)


def test_fact_051_cities_with_growth_over_120_percent(player: Player) -> None:
    """dti-2022-051: 18 cities of Middle Yangtze."""
    assert player.table("t-over-120", "2022Q1")[code_of("长江中游", "agglomeration")].value == 18.0
