"""What the tests of the DEI tables share: the rows of the scores as cities of their own, and equal leaves."""

from __future__ import annotations

from collections.abc import Mapping

from tests.published.play import Player, leaves, rows, text, world

YEAR = "2023"
SCORES = rows("dei_2023_scores")
WEIGHTS = rows("dei_2023_weights")
TIERS = {
    "一线城市": "first",
    "新一线城市": "new-first",
    "二线城市": "second",
    "三线城市": "third",
    "四线城市": "fourth",
}
DIMENSIONS = {
    "数字基础设施": "infrastructure",
    "数字经济": "economy",
    "数字社会": "society",
    "数字政府": "government",
    "数字生态": "ecology",
}
# Errata 1: 亳州 is printed twice, and one of the two rows is another city; and rank 166 is lost. The two cities that
# are absent from the list and might be meant stand in. Which of them is which makes no difference to any figure.
OTHER_BOZHOU, LOST = "451100", "460400"  # 贺州, 儋州
LOST_RANK, LOST_SCORE = 166, 46.9  # the score lies between its neighbours', 46.7 to 47.0


def city_of(row: Mapping[str, str]) -> str:
    """The code under which a row of the scores is played."""
    return OTHER_BOZHOU if (row["city"], row["rank"]) == ("亳州市", "203") else row["city_code"]


def scored(node: str, scores: Mapping[tuple[str, str], float], *rankings: str) -> Player:
    """A player in which the leaves below a node have that score, by (city, year)."""
    made = Player(text("dei-2023", *rankings), world())
    for leaf in leaves(made.text, node):
        for (city, year), score in scores.items():
            made.give(leaf, city, year, score)
    return made
