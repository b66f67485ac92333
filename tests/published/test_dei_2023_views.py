"""dei_2023_risers.csv and dei_2023_cores_circles.csv: five risers per dimension, core agglomerations and circles.

The risers' scores are figures: they come out to the printed digit. Their ranks and rises are orders: the scores of the
other cities and of 2022 are made up around them, so that part is plumbing. Of the cores and circles the table prints
names only. The means of the cores follow from the printed scores of their cities.
"""

from __future__ import annotations

import itertools

import pytest

from tests.published.dei import DIMENSIONS, SCORES, YEAR, city_of, scored
from tests.published.play import before, code_of, printed, rows, world

RISERS = rows("dei_2023_risers")
NAMES = rows("dei_2023_cores_circles")
CITIES = [city_of(row) for row in SCORES]


def ladder(marks: dict[int, float]) -> list[float]:
    """A score for each place: at the marks as given, between them evenly, all different at one decimal."""
    known = {0: 100.0, **marks, len(CITIES): max(marks.values()) - 60.0}
    places = sorted(known)
    steps = {}
    for first, last in itertools.pairwise(places):
        for place in range(first + 1, last + 1):
            steps[place] = known[first] + (known[last] - known[first]) * (place - first) / (last - first)
    made = [round(steps[place], 2) for place in range(1, len(CITIES) + 1)]
    assert made == sorted(made, reverse=True)
    return made


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_risers(dimension: str) -> None:
    """Five scores, ranks and rises. 温州 and 佛山 both rose from 38 in 数字生态, so they shared that rank in 2022."""
    listed = [row for row in RISERS if row["dimension"] == dimension]
    marks = {int(row["rank"]): float(row["score"]) for row in listed}
    places = {int(row["rank"]): row["city_code"] for row in listed}
    rest = iter([city for city in CITIES if city not in places.values()])
    now = [places.get(place) or next(rest) for place in range(1, len(CITIES) + 1)]
    rises = {row["city_code"]: int(row["rank_change"]) for row in listed}
    scores = ladder(marks)
    node = DIMENSIONS[dimension]
    player = scored(
        node,
        {(city, YEAR): score for city, score in zip(now, scores, strict=True)}
        | {(city, "2022"): scores[rank - 1] for city, rank in before(now, rises).items()},
        f"cities-{node}",
        f"cities-{node}-rise",
    )
    table, rise = player.table(f"cities-{node}", YEAR), player.table(f"cities-{node}-rise", YEAR)
    for row in listed:
        mine = table[row["city_code"]]
        assert printed(mine.value, row["score"], 1), row
        assert (mine.rank, mine.change) == (int(row["rank"]), int(row["rank_change"])), row
        assert rise[row["city_code"]].value == int(row["rank_change"]), row


def test_erratum_6_one_core_lies_below_the_national_mean() -> None:
    """The text says all four lie far above it. By the printed scores three do; the 16 cities of 成渝 have 52.1."""
    player = scored("index", {(city_of(row), YEAR): float(row["score"]) for row in SCORES}, "cores", "nation-mean")
    table = {code: row.value for code, row in player.table("cores", YEAR).items()}
    mean = player.table("nation-mean", YEAR)["nation:CN"].value
    assert len(table) == 4
    assert {code for code, value in table.items() if value < mean} == {code_of("成渝", "core")}
    assert printed(table[code_of("成渝", "core")], "52.1")
    score = {city_of(row): float(row["score"]) for row in SCORES}
    for code, value in table.items():
        members = [score[city] for city in world().members[code] if city in score]
        assert value == pytest.approx(sum(members) / len(members), rel=1e-12), code


def test_the_names_of_cores_and_circles() -> None:
    """4 and 20 names. The four cores are groups of the catalogue; of the circles only Wuhan's members are printed (in
    the appendix of agglomerations), so the other 19 cannot be played."""
    cores = [row["name"].removesuffix("城市群") for row in NAMES if row["kind"] == "core agglomeration"]
    circles = [row["name"] for row in NAMES if row["kind"] == "metropolitan circle"]
    assert {entity.name for entity in world().entities if entity.kind == "core"} == set(cores)
    assert (len(cores), len(circles), len(NAMES)) == (4, 20, 24)
    assert {entity.name for entity in world().entities if entity.kind == "circle"} & set(circles) == {"武汉都市圈"}
