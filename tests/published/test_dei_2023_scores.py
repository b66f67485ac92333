"""dei_2023_scores.csv and dei_2023_tiers.csv: 256 scores with their ranks; counts and means of the tiers.

The scores are the figures, and each city's 54 indicators all have its score. Ranks, tiers and means follow from them;
no printed rank is fed in. The table ranks cities whose hidden digits differ one behind the other, so a printed rank
lies inside the tie that the printed score gives.
"""

from __future__ import annotations

import pytest

from tests.published.dei import (
    LOST,
    LOST_RANK,
    LOST_SCORE,
    OTHER_BOZHOU,
    SCORES,
    TIERS,
    YEAR,
    city_of,
    scored,
)
from tests.published.play import Player, inside_tie, printed, rows

RANKINGS = ("cities", "tiers-count", "tiers-mean", "tiers-share", "nation-mean")
PUBLISHED_TIERS = rows("dei_2023_tiers")


def play(extra: dict[str, float]) -> Player:
    scores = {city_of(row): float(row["score"]) for row in SCORES} | extra
    return scored("index", {(city, YEAR): score for city, score in scores.items()}, *RANKINGS)


@pytest.fixture(scope="module")
def as_printed() -> Player:
    return play({})


@pytest.fixture(scope="module")
def with_the_lost_row() -> Player:
    return play({LOST: LOST_SCORE})


def test_the_rows() -> None:
    """256 of 257: one is lost, and 亳州 stands twice."""
    assert len(SCORES) == 256
    assert len({row["city_code"] for row in SCORES}) == 255
    assert {int(row["rank"]) for row in SCORES} == set(range(1, 258)) - {LOST_RANK}
    assert not {LOST, OTHER_BOZHOU} & {row["city_code"] for row in SCORES}


def test_every_score_to_its_digit(with_the_lost_row: Player) -> None:
    for row in SCORES:
        assert printed(with_the_lost_row.value(city_of(row), YEAR), row["score"], 1), row


def test_all_256_ranks_lie_inside_their_tie(with_the_lost_row: Player) -> None:
    table = with_the_lost_row.table("cities", YEAR)
    assert len(table) == 257
    for row in SCORES:
        assert inside_tie(int(row["rank"]), table[city_of(row)], table.values()), row
    assert sum(table[city_of(row)].rank == int(row["rank"]) for row in SCORES) == 199  # the others: hidden digits


def test_without_the_lost_row_those_behind_it_stand_one_too_high(as_printed: Player) -> None:
    table = as_printed.table("cities", YEAR)
    for row in SCORES:
        rank = int(row["rank"]) - (int(row["rank"]) > LOST_RANK)
        assert inside_tie(rank, table[city_of(row)], table.values()), row


def tiers_that_differ(player: Player) -> dict[str, tuple[float, str, float, str]]:
    """Tier -> (count, printed count, mean, printed mean) where one of the two is not as printed."""
    counts, means = player.table("tiers-count", YEAR), player.table("tiers-mean", YEAR)
    found = {}
    for row in PUBLISHED_TIERS:
        count, mean = counts[TIERS[row["tier"]]].value, means[TIERS[row["tier"]]].value
        if count != int(row["city_count"]) or not printed(mean, row["mean_score"], 1):
            found[row["tier"]] = (count, row["city_count"], round(mean, 2), row["mean_score"])
    return found


def test_the_lost_row_makes_exactly_the_third_tier_differ(as_printed: Player, with_the_lost_row: Player) -> None:
    """Counts and means of the five tiers: all ten as printed with the lost row, and without it all but the two of the
    third tier (40 to 50), to which a score of 46.7 to 47.0 belongs."""
    assert tiers_that_differ(with_the_lost_row) == {}
    assert tiers_that_differ(as_printed) == {"三线城市": (98.0, "99", 43.94, "44.0")}


def test_any_score_between_the_neighbours_gives_the_printed_tier() -> None:
    third = [float(row["score"]) for row in SCORES if 40 <= float(row["score"]) < 50]
    for score in (46.7, 46.8, 46.9, 47.0):
        assert printed((sum(third) + score) / 99, "44.0")


def test_the_overall_mean(as_printed: Player, with_the_lost_row: Player) -> None:
    """Printed as 55.3 and as 55.2 (errata 2). Both plays give 55.3; 55.2 is not reproduced."""
    for player, mean in ((as_printed, "55.29"), (with_the_lost_row, "55.25")):
        found = player.table("nation-mean", YEAR)["nation:CN"].value
        assert printed(found, mean)
        assert printed(found, "55.3")
        assert not printed(found, "55.2")
        assert player.value("nation:CN", YEAR) == pytest.approx(found, rel=1e-12)


def test_the_bounds_of_the_tiers(as_printed: Player) -> None:
    """As printed: lower bounds inclusive. Three cities have exactly 40.0 and belong to the third tier."""
    grades = {grade.code: grade.at_least for grade in as_printed.definition.grades}
    for row in PUBLISHED_TIERS:
        assert grades[TIERS[row["tier"]]] == (float(row["min_score"]) if row["min_score"] else None)
    assert sum(row["score"] == "40.0" for row in SCORES) == 3
